"""What every chart is made of: panels of points, rules, lines, bars and texts, as Vega-Lite; pure.

Every place and size is given in pixels, so that a chart is laid out alike whatever fonts a machine has. What a file
says, a name or a message, is a value of the data only: never a field's name and never part of an expression.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nets.report.charts.style import GRID, INK, MUTED, fitted
from nets.report.charts.style import width as text_width
from nets.report.document import Chart, Table
from nets.report.text import plain

Datum = Mapping[str, Any]
"""A mark: `x`, `y` (`x2`, `y2`), `colour`, `title` (said on hovering), and what else its kind asks for."""
Layer = dict[str, Any]
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""The first is in vl-convert; the next two have its widths."""
MARGIN = 10
SMALL, WIDE = 350, 560
"""Pixels: the width of a chart that stands beside others, and of one that has a row to itself."""
TEXT, HEADING = 12, 13
"""Pixels: the sizes of texts."""
LINE = 18
"""Pixels: the height of a line of text."""
INNER = WIDE - 2 * MARGIN
CLEAR = "transparent"
BAND_OPACITY = 0.25
"""Of a range that something is expected in."""
Align = Literal["left", "center", "right"]


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


@dataclass(frozen=True, slots=True)
class Mark:
    """What a key says of a mark: `shape` is a point's, or "line" or "bar"."""

    says: str
    colour: str
    shape: str = "circle"
    is_hollow: bool = False
    opacity: float = 1


@dataclass(frozen=True, slots=True)
class Key:
    """What the marks of a chart mean, as layers of its first panel, and the height that it takes above that."""

    layers: tuple[Layer, ...]
    height: float


def key(marks: Sequence[Mark], width: float, *, above: float, left: float = 0) -> Key:
    """In as many lines of `width` pixels as that takes, the last of them ending `above` pixels above the panel.

    `left`: where it begins, in pixels from the panel's left edge.
    """
    places: list[tuple[float, int]] = []
    x, line = 0.0, 0
    for mark in marks:
        room = 16 + text_width(mark.says, TEXT)
        if x > 0 and x + room > width:
            x, line = 0.0, line + 1
        places.append((x + left, line))
        x += room + 12
    height = (line + 1) * LINE
    data: dict[str, list[Datum]] = {"line": [], "bar": [], "point": []}
    said: list[Datum] = []
    for mark, (x, line) in zip(marks, places, strict=True):
        y = -above - height + (line + 0.5) * LINE
        look: Datum = {
            "colour": mark.colour, "fill": CLEAR if mark.is_hollow else mark.colour, "shape": mark.shape, "title": "",
            "opacity": mark.opacity,
        }  # fmt: skip
        if mark.shape == "line":
            data["line"].append({**look, "x": x - 1, "x2": x + 11, "y": y, "y2": y})
        elif mark.shape == "bar":
            data["bar"].append({**look, "x": x, "x2": x + 10, "y": y - 5, "y2": y + 5})
        else:
            data["point"].append({**look, "x": x + 5, "y": y})
        said.append(text(mark.says, MUTED, x=x + 16, y=y))
    layers = (rules(data["line"]), bars(data["bar"]), points(data["point"]), texts(said))
    return Key(tuple(in_pixels(layer) for layer in layers if layer["data"]["values"]), height)


def in_pixels(layer: Layer) -> Layer:
    """The layer with its places in pixels from the panel's left and upper edge, whatever the axes are."""
    places = {name: {"field": name, "type": "quantitative", "scale": None} for name in ("x", "y")}
    return {**layer, "encoding": {**layer["encoding"], **places}}


def points(data: Sequence[Datum], *, size: float = 45) -> Layer:
    """Points, with `shape` and `fill`; hollow where that is CLEAR. `size`: of a point, in square pixels."""
    looks = {name: {"field": name, "type": "nominal", "scale": None} for name in ("fill", "shape")}
    return _layer({"type": "point", "size": size, "strokeWidth": 1.5, "opacity": 1}, data, looks, "stroke")


def rules(data: Sequence[Datum], *, width: float = 1.5, dash: Sequence[int] = ()) -> Layer:
    """Straight lines from (x, y) to (x2, y2)."""
    mark = {"type": "rule", "strokeWidth": width, **({"strokeDash": list(dash)} if dash else {})}
    return _layer(mark, data, {"x2": {"field": "x2"}, "y2": {"field": "y2"}}, "stroke")


def bars(data: Sequence[Datum]) -> Layer:
    """Filled rectangles from (x, y) to (x2, y2), each with its `opacity`."""
    opacity = {"field": "opacity", "type": "quantitative", "scale": None}
    extra = {"x2": {"field": "x2"}, "y2": {"field": "y2"}, "opacity": opacity}
    return _layer({"type": "rect"}, data, extra, "fill")


def lines(data: Sequence[Datum], *, width: float = 1.2) -> Layer:
    """A line for each `series`, broken where a value is None."""
    extra = {"detail": {"field": "series", "type": "nominal"}, "order": {"field": "x", "type": "quantitative"}}
    return _layer({"type": "line", "strokeWidth": width, "strokeJoin": "round"}, data, extra, "stroke")


def texts(
    data: Sequence[Datum],
    *,
    align: Align = "left",
    at: float | None = None,
    dx: float = 0,
    dy: float = 0,
    size: float = TEXT,
    is_bold: bool = False,
    is_below: bool = False,
    angle: float = 0,
) -> Layer:
    """Texts (`text`) at (x, y); with `at`, all so many pixels from the panel's left edge.

    `is_below`: hung from y instead of around it; `angle`: degrees, clockwise.
    """
    mark = {
        "type": "text", "align": align, "baseline": "top" if is_below else "middle", "dx": dx, "dy": dy,
        "fontSize": size, "limit": 0, "angle": angle, **({"fontWeight": "bold"} if is_bold else {}),
    }  # fmt: skip
    layer = _layer(mark, data, {"text": {"field": "text", "type": "nominal"}}, "fill")
    if at is not None:
        layer["data"]["values"] = [{**each, "x": at} for each in layer["data"]["values"]]
        layer["encoding"]["x"] = {"field": "x", "type": "quantitative", "scale": None}
    return layer


def strips(axis: Axis, middles: Sequence[float], half: float = 9) -> Layer:
    """Grid lines of rows alone, `half` pixels up and down from the middle of each, and a line along it."""
    up = [
        {"x": tick, "x2": tick, "y": y - half, "y2": y + half, "colour": GRID, "title": ""}
        for y in middles
        for tick in axis.ticks
    ]
    along = [{"x": axis.low, "x2": axis.high, "y": y, "y2": y, "colour": GRID, "title": ""} for y in middles]
    return rules([*up, *along], width=1)


def heads(left: Sequence[Datum], right: Sequence[Datum], width: float, *, is_bold: bool = True) -> tuple[Layer, ...]:
    """The names of rows, at a panel's left edge, and what is said of each at its right one, `width` pixels away.

    A name is cut in its middle where both don't fit.
    """
    said = {each["y"]: text_width(str(each["text"]), TEXT) for each in right}
    rooms = [width - said.get(each["y"], 0) - (12 if said.get(each["y"]) else 0) for each in left]
    cut = [
        {**each, "text": fitted(str(each["text"]), room, TEXT, is_bold=is_bold)}
        for each, room in zip(left, rooms, strict=True)
    ]
    return texts(cut, at=0, is_bold=is_bold), texts(right, at=width, align="right")


def text(said: str, colour: str = INK, **place: float) -> Datum:
    """A text of one line for `texts`; it has no title, being read as it is."""
    return {"text": plain(said), "colour": colour, "title": "", **place}


def _layer(mark: dict[str, Any], data: Sequence[Datum], extra: dict[str, Any], paint: str) -> Layer:
    encoding = {
        **extra,
        paint: {"field": "colour", "type": "nominal", "scale": None},
        "description": {"field": "title", "type": "nominal"},
    }
    return {"data": {"values": [dict(each) for each in data]}, "mark": mark, "encoding": encoding}


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
