"""Where a session's wall time went; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

from nets.records.run import Harness
from nets.report.charts.marks import TEXT, Datum, bars, in_pixels, rules, text, texts
from nets.report.charts.panels import INNER, Axis, Panel, chart, pixels
from nets.report.charts.style import BAND, MUTED, width
from nets.report.document import Cell, Chart, Table, table

HEIGHT = 34
NAMES, SECONDS = 58, 74
"""Pixels from the bar's top: where a part is named below it, and its seconds."""
LEAST_S = 0.05
"""A shorter part would be named with 0.0 s: it is in the table alone."""


def harness_chart(harness: Harness) -> Chart | None:
    """One bar of all seconds, in parts that are named below it; None where there is none to be seen."""
    seconds = {"timed": harness.timed_s, **harness.parts}
    shown = [(name, each) for name, each in seconds.items() if each >= LEAST_S]
    if not shown:
        return None
    ends = list(accumulate((each for _, each in shown), initial=0.0))
    axis = Axis(0, ends[-1], is_shown=False, end=INNER)
    middles = [axis.at((a + b) / 2) for a, b in pairwise(ends)]
    labels = [(name, f"{each:.1f} s") for name, each in shown]
    places = _apart(middles, [max(width(line, TEXT) for line in label) + 4 for label in labels])
    parts: list[Datum] = []
    for i, ((name, each), (a, b)) in enumerate(zip(shown, pairwise(ends), strict=True)):
        title = f"{name}: {each:.2f} s, {each / harness.wall_s:.1%} of the wall time"
        look = {"colour": MUTED if name == "timed" else BAND, "opacity": 1 if i % 2 == 0 else 0.4}
        parts.append({"x": a, "x2": b, "y": 0, "y2": HEIGHT, "title": title, **look})
    leaders: list[Datum] = [
        {"x": a, "x2": b, "y": HEIGHT + 2, "y2": NAMES - 9, "colour": MUTED, "title": ""}
        for a, b in zip(middles, places, strict=True)
    ]
    names = [text(label[0], y=NAMES, x=place) for label, place in zip(labels, places, strict=True)]
    figures = [text(label[1], MUTED, y=SECONDS, x=place) for label, place in zip(labels, places, strict=True)]
    layers = (bars(parts), in_pixels(rules(leaders, width=1)), in_pixels(texts([*names, *figures], align="center")))
    panel = Panel(INNER, SECONDS + 8, axis, pixels(SECONDS + 8), layers)
    return chart("harness", "Where the time went", _says(harness, shown), _table(harness, seconds), [panel])


def _apart(wanted: Sequence[float], widths: Sequence[float]) -> list[float]:
    """The middles of texts side by side from 0 to INNER, as near as may be to where they are wanted."""
    places: list[float] = []
    edge = 0.0
    for middle, wide in zip(wanted, widths, strict=True):
        places.append(max(middle, edge + wide / 2))
        edge = places[-1] + wide / 2
    edge = float(INNER)
    for i in reversed(range(len(places))):
        places[i] = min(places[i], edge - widths[i] / 2)
        edge = places[i] - widths[i] / 2
    return places


def _says(harness: Harness, shown: Sequence[tuple[str, float]]) -> str:
    rest = sorted((each for each in shown if each[0] != "timed"), key=lambda each: -each[1])
    share = harness.timed_s / harness.wall_s
    said = f"{share:.1%} of {harness.wall_s:.1f} s of wall time were timed training and evaluation"
    if not rest:
        return f"{said}."
    most = " and ".join(f"{name} ({seconds:.1f} s)" for name, seconds in rest[:2])
    return f"{said}; of the rest {most} took most."


def _table(harness: Harness, seconds: Mapping[str, float]) -> Table:
    rows = [
        (name, Cell(f"{each:.2f}", value=each), Cell(f"{each / harness.wall_s:.1%}", value=each))
        for name, each in (*seconds.items(), ("all", harness.wall_s))
    ]
    return table(("part", "time (s)", "share"), rows, right=("time (s)", "share"), caption="The session's wall time")
