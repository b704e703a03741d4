"""Networks: the article's three, builders for a user's own, and how layers and operations are counted."""
