"""What measures the statistics themselves: how often a verdict errs. Not shipped; run from the repository's root."""
