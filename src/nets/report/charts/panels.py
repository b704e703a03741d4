"""Panels with axes, side by side or below each other, as one chart in Vega-Lite; pure.

Every place and size is given in pixels, so that a chart is laid out alike whatever fonts a machine has.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nets.report.charts.marks import CLEAR, TEXT, Layer, rules
from nets.report.charts.style import GRID, MUTED
from nets.report.document import Chart, Table

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""The first is in vl-convert; the next two have its widths."""
MARGIN = 10
SMALL, WIDE = 350, 560
"""Pixels: the width of a chart that stands beside others, and of one that has a row to itself."""
INNER = WIDE - 2 * MARGIN


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a panel: what `start` and `end`, in pixels from its left or lower edge, stand for.

    `end` is None for the other edge. `format`: d3's, of the texts at `ticks`. `is_shown`: whether there are any.
    """

    low: float
    high: float
    ticks: tuple[float, ...] = ()
    format: str = ".5~g"
    title: str = ""
    is_log: bool = False
    is_shown: bool = True
    has_grid: bool = True
    start: float = 0
    end: float | None = None

    def at(self, value: float) -> float:
        """How many pixels from the left edge a value lies, on an axis whose `end` is known."""
        assert self.end is not None
        low, high, each = (math.log(v) if self.is_log else v for v in (self.low, self.high, value))
        return self.start + (each - low) / (high - low) * (self.end - self.start)


def pixels(n: float) -> Axis:
    """An axis of pixels, to the right or downwards, without marks."""
    return Axis(0, n, is_shown=False)


@dataclass(frozen=True, slots=True)
class Panel:
    """A rectangle with its own axes."""

    width: float
    height: float
    x: Axis
    y: Axis
    layers: tuple[Layer, ...]


def strips(axis: Axis, middles: Sequence[float], half: float = 9) -> Layer:
    """Grid lines of rows alone, `half` pixels up and down from the middle of each, and a line along it."""
    up = [
        {"x": tick, "x2": tick, "y": y - half, "y2": y + half, "colour": GRID, "title": ""}
        for y in middles
        for tick in axis.ticks
    ]
    along = [{"x": axis.low, "x2": axis.high, "y": y, "y2": y, "colour": GRID, "title": ""} for y in middles]
    return rules([*up, *along], width=1)


def chart(
    name: str,
    title: str,
    says: str,
    table: Table,
    panels: Sequence[Panel],
    *,
    columns: int = 1,
    left: float = MARGIN,
    right: float = MARGIN,
    top: float = MARGIN,
    bottom: float = MARGIN,
    row_gap: float = 0,
    column_gap: float = 0,
) -> Chart:
    """Panels in rows of `columns`, `left` to `bottom` pixels from the edges and so far apart, as a chart.

    Axes, their titles and headings lie in those margins and gaps.
    """
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    width = left + right + max(sum(each.width for each in row) + column_gap * (len(row) - 1) for row in rows)
    height = top + bottom + sum(max(each.height for each in row) for row in rows) + row_gap * (len(rows) - 1)
    spec = {
        "$schema": SCHEMA,
        "background": CLEAR,
        "padding": {"left": left, "right": right, "top": top, "bottom": bottom},
        "autosize": {"type": "none"},
        "usermeta": {"width": width, "height": height},
        "config": _CONFIG,
        "bounds": "flush",
        "columns": columns,
        "spacing": {"row": row_gap, "column": column_gap},
        "concat": [_panel(each) for each in panels],
    }
    return Chart(name, title, says, spec, table)


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "width": panel.width,
        "height": panel.height,
        "view": {"stroke": None},
        "encoding": {"x": _channel("x", panel.x, panel.width), "y": _channel("y", panel.y, panel.height)},
        "layer": _fewer(panel.layers),
    }


def _fewer(layers: Sequence[Layer]) -> list[Layer]:
    """Without those that are empty, and all texts of one look as one layer, on top: each takes 10 ms to be drawn."""
    kept: list[Layer] = []
    said: dict[str, Layer] = {}
    for layer in layers:
        if not layer["data"]["values"]:
            continue
        if layer["mark"]["type"] != "text":
            kept.append(layer)
            continue
        look = json.dumps([layer["mark"], layer["encoding"]], sort_keys=True)
        before = said[look]["data"]["values"] if look in said else []
        said[look] = {**layer, "data": {"values": [*before, *layer["data"]["values"]]}}
    return [*kept, *said.values()]


def _channel(name: str, axis: Axis, length: float) -> dict[str, Any]:
    scale: dict[str, Any] = {"domain": [axis.low, axis.high], "nice": False}
    scale |= {"type": "log"} if axis.is_log else {"zero": False}
    if name == "x" or not axis.is_shown:
        scale["range"] = [axis.start, length if axis.end is None else axis.end]
    shown: dict[str, Any] | None = None
    if axis.is_shown:
        shown = {"title": axis.title or None, "values": list(axis.ticks), "format": axis.format, "grid": axis.has_grid}
    return {"field": name, "type": "quantitative", "scale": scale, "axis": shown}


_CONFIG: dict[str, Any] = {
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": TEXT, "titleFontSize": TEXT, "titleFontWeight": "normal", "labelColor": MUTED,
        "titleColor": MUTED, "domainColor": MUTED, "tickColor": MUTED, "gridColor": GRID, "tickSize": 4,
        "labelOverlap": False, "labelBound": False, "labelFlush": False, "labelLimit": 0, "titleLimit": 0,
        "titlePadding": 6,
    },
    "axisY": {"domain": False, "ticks": False, "titleAngle": 0, "titleAlign": "left", "titleAnchor": "start"},
    "axisX": {"grid": True},
}  # fmt: skip
