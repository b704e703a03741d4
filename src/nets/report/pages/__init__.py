"""Whole pages: a run, what changed since others, and a history, each in sections."""
