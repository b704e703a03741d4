"""The colours of pages and charts: what each means, and how it looks on light and on dark.

Charts are drawn in the light theme's colours; a page replaces each of these by the variable of its role, so that
they follow the reader's theme. No two roles have the same colour, or they could not be told apart there.

Contrast with the surface is at least 4.5:1 for text (ink, muted, good, doubtful, bad) and 3:1 for marks (series, band),
by WCAG 2.2. The series differ from each other by 0.09 or more in OKLab, for full colour vision, protanopia,
deuteranopia and tritanopia alike; they start from the colours of Okabe and Ito. Grid lines carry nothing, and are
faint.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Color:
    """A role, in the names of CSS, and its colours as `#rrggbb`."""

    role: str
    light: str
    dark: str


SURFACE = Color("surface", "#ffffff", "#14171c")
INK = Color("ink", "#1b1f24", "#e6e9ee")
MUTED = Color("muted", "#57606a", "#9aa4b1")
GRID = Color("grid", "#e1e5ea", "#2b313a")
BAND = Color("band", "#868f99", "#6b7683")
"""A range that something is expected in: an outline of it, or a filling at a quarter of its opacity."""
GOOD = Color("good", "#00805e", "#4fd0b0")
DOUBTFUL = Color("doubtful", "#a06000", "#f7cf5a")
BAD = Color("bad", "#9b1030", "#f8716d")
SERIES = (
    Color("series-1", "#2c69d4", "#5786ed"),
    Color("series-2", "#d26c23", "#ed8948"),
    Color("series-3", "#13a37d", "#31bf94"),
    Color("series-4", "#a94c96", "#ca59a9"),
    Color("series-5", "#765f08", "#f1df6b"),
    Color("series-6", "#073b5e", "#c2e2fa"),
)
"""Networks, rounds, sides: things of one kind. In this order: a chart of three takes the first three."""
COLORS = (SURFACE, INK, MUTED, GRID, BAND, GOOD, DOUBTFUL, BAD, *SERIES)
