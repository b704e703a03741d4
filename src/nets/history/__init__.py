"""Trends of many runs by commit: `archive.read_archive` reads them, `series.history` finds where they change."""
