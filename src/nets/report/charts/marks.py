"""What is drawn in a panel of a chart: points, rules, lines, bars, texts and their key, as Vega-Lite's layers; pure.

What a file says, a name or a message, is a value of the data only: never a field's name, never part of an
expression.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nets.report.charts.style import INK, MUTED, fitted
from nets.report.charts.style import width as text_width
from nets.report.text import plain

Datum = Mapping[str, Any]
"""A mark: `x`, `y` (`x2`, `y2`), `colour`, `title` (said on hovering), and what else its kind asks for."""
Layer = dict[str, Any]
TEXT, HEADING = 12, 13
"""Pixels: the sizes of texts."""
LINE = 18
"""Pixels: the height of a line of text."""
CLEAR = "transparent"
BAND_OPACITY = 0.25
"""Of a range that something is expected in."""
Align = Literal["left", "center", "right"]


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
