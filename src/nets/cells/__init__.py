"""What can be run: the suite's cells, and networks of one's own."""
