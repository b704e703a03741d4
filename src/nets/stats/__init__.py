"""Every statistical formula once, with its source: tests and intervals, and change points of a series."""
