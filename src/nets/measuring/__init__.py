"""Whole measurements: a cell's record, comparisons in turns, reference runs, a network against the reference."""
