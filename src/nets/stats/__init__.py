"""Every statistical formula, once: tests and intervals, and where a series changes its level."""
