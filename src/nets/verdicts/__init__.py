"""Verdicts on results: accuracy bands and how often they err, and both definitions of depth; `merge` joins sittings."""
