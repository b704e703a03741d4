"""What is trained: the article's networks, anyone's, and what either is made of."""
