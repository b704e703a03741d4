"""Records -> what a person reads."""
