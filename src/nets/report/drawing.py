"""A chart as SVG, for a page, and as SVG and PNG in files: drawn by vl-convert, and made lighter.

What comes out holds no script, no style, no link and no identifier: a page may forbid all of them. Each mark that says
something has a `<title>`, which a browser shows on hovering, without JavaScript.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from itertools import groupby
from pathlib import Path
from typing import Any

from nets.records import durable
from nets.report import engine
from nets.report.charts.marks import TEXT
from nets.report.charts.panels import FONT, MARGIN
from nets.report.charts.style import INK, SURFACE, fitted
from nets.report.document import Chart
from nets.report.text import plain

TITLE, TITLE_HEIGHT = 16, 34
"""Pixels: the size of a file's title, and the height that it takes."""
MIN_SHARING = 3
"""Of so many neighbours that look alike a group is shorter."""
_NAMESPACE = "{http://www.w3.org/2000/svg}"
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?|-?\d+e-?\d+")
_MOVE = re.compile(r"^translate\(([^,()]+),([^,()]+)\)$")
_CIRCLE = re.compile(r"^M([\d.]+),0A\1,\1,0,1,1,-\1,0A\1,\1,0,1,1,\1,0$")
_AREAS = ("point", "rect mark")
_INHERITED = frozenset(
    (
        "fill", "stroke", "fill-opacity", "stroke-opacity", "stroke-width", "stroke-dasharray", "stroke-linejoin",
        "text-anchor", "font-size", "font-weight",
    )
)  # fmt: skip
_KEPT = _INHERITED | {"d", "transform", "x1", "y1", "x2", "y2", "opacity"}
_DEFAULTS = {
    "opacity": "1", "fill-opacity": "1", "stroke-opacity": "1", "stroke-width": "1", "text-anchor": "start",
    "transform": "translate(0,0)", "fill": "none", "font-weight": "normal", "font-size": str(TEXT), "x1": "0",
    "y1": "0", "x2": "0", "y2": "0",
}  # fmt: skip
"""Of SVG, and of the root below."""


def svg(chart: Chart) -> str:
    """The chart as an `<svg>` element, transparent; the same for the same chart. Raises Unusable."""
    return begun([chart])(chart)


def begun(charts: Iterable[Chart]) -> Callable[[Chart], str]:
    """Have charts drawn meanwhile; what is returned gives each one's `<svg>` element, and raises Unusable."""
    asked = {id(chart): (chart, _asked(chart)) for chart in charts}

    def drawn(chart: Chart) -> str:
        size, (_, answer) = chart.spec["usermeta"], asked[id(chart)]
        return _text(_root(chart, size["width"], size["height"]), _light(answer))

    return drawn


def svg_file(chart: Chart) -> str:
    """The chart as a file of its own: with its title, on the light theme's surface. Raises Unusable."""
    width, height = chart.spec["usermeta"]["width"], chart.spec["usermeta"]["height"] + TITLE_HEIGHT
    root = _root(chart, width, height)
    ET.SubElement(root, "path", {"d": f"M0,0H{_rounded(width)}V{_rounded(height)}H0Z", "fill": SURFACE})
    place = {"x": str(MARGIN), "y": str(TITLE_HEIGHT - 8), "font-size": str(TITLE), "font-weight": "bold", "fill": INK}
    ET.SubElement(root, "text", place).text = fitted(chart.title, width - 2 * MARGIN, TITLE, is_bold=True)
    moved = ET.Element("g", {"transform": f"translate(0,{TITLE_HEIGHT})"})
    moved.extend(_light(_asked(chart)))
    return _text(root, [moved]) + "\n"


def png(chart: Chart) -> bytes:
    """The same as a PNG."""
    return engine.png(svg_file(chart))


def write_plots(charts: Iterable[Chart], folder: Path) -> tuple[Path, ...]:
    """Write NAME.svg and NAME.png of each chart into a folder, of a second one NAME-2.svg. Raises Unusable."""
    written: list[Path] = []
    times: Counter[str] = Counter()
    for chart in charts:
        times[chart.name] += 1
        name = chart.name if times[chart.name] == 1 else f"{chart.name}-{times[chart.name]}"
        written += [folder / f"{name}.svg", folder / f"{name}.png"]
        text = svg_file(chart)
        durable.write(written[-2], text)
        durable.write(written[-1], engine.png(text))
    return tuple(written)


def _asked(chart: Chart) -> Future[str]:
    return engine.svg(_unmeasured(chart.spec))


def _light(answer: Future[str]) -> list[ET.Element]:
    return _lighter(ET.fromstring(answer.result()))


def _unmeasured(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The same with one character for every text, which then stands where a title does: see `_seen`.

    Every text would be measured, for 1.6 ms, and nothing here goes by that: places and sizes are in pixels.
    """
    return {
        **spec,
        "concat": [
            {**panel, "layer": [_with_mute_texts(layer) for layer in panel["layer"]]} for panel in spec["concat"]
        ],
    }


def _with_mute_texts(layer: dict[str, Any]) -> dict[str, Any]:
    if layer["mark"]["type"] != "text":
        return layer
    muted = [{**each, "text": "x", "title": each["text"]} for each in layer["data"]["values"]]
    return {**layer, "data": {"values": muted}}


def _root(chart: Chart, width: float, height: float) -> ET.Element:
    return ET.Element(
        "svg",
        {
            "xmlns": _NAMESPACE[1:-1],
            "width": _rounded(width),
            "height": _rounded(height),
            "viewBox": f"0 0 {_rounded(width)} {_rounded(height)}",
            "role": "img",
            "aria-label": plain(f"{chart.title}: {chart.says}", 1_000),
            "font-family": FONT,
            "font-size": str(TEXT),
            "fill": "none",
            "stroke-miterlimit": "10",
        },
    )


def _text(root: ET.Element, children: list[ET.Element]) -> str:
    root.extend(children)
    return ET.tostring(root, encoding="unicode", short_empty_elements=True)


def _lighter(parent: ET.Element) -> list[ET.Element]:
    """What is to be seen of an element's children."""
    return _shared(_merged([each for child in parent for each in _seen(child)]))


def _seen(element: ET.Element) -> Iterator[ET.Element]:
    """The element without what only a script needs; instead of a group without attributes, its children."""
    attributes = dict(element.attrib)
    for declaration in attributes.pop("style", "").split(";"):
        name, _, value = declaration.partition(":")
        attributes.setdefault(name.strip(), value.strip())
    if attributes.get("display") == "none" or attributes.get("opacity") == "0":
        return
    kind = element.tag.removeprefix(_NAMESPACE)
    kept, label = _kept(attributes), attributes.get("aria-label")
    if kind == "path" and label and "fill" not in kept and attributes.get("aria-roledescription") in _AREAS:
        kept |= {"fill": SURFACE, "fill-opacity": "0"}  # what is hollow says its title within, too
    if kind == "g":
        children = _lighter(element)
        if not kept:
            yield from children
        elif children:
            made = ET.Element("g", kept)
            made.extend(children)
            yield made
    elif kind == "text" or (kind in ("path", "line") and kept.keys() & {"fill", "stroke"} and kept.get("d") != ""):
        made = ET.Element(*_simplest(kind, kept))
        made.text = element.text
        if kind == "text" and label:
            made.text = label
        elif label:
            ET.SubElement(made, "title").text = label
        yield made


def _kept(attributes: Mapping[str, str]) -> dict[str, str]:
    """Those that say how it looks, where that isn't as it would be anyway; lengths to a tenth of a pixel."""
    kept = {
        name: value
        if name.endswith(("fill", "stroke", "opacity"))
        else _NUMBER.sub(lambda found: _rounded(float(found[0])), value)
        for name, value in attributes.items()
        if name in _KEPT
    }
    if "font-size" in kept:
        kept["font-size"] = kept["font-size"].removesuffix("px")
    if kept.get("d") == "M0,0h0v0h0Z":
        kept["d"] = ""
    return {name: value for name, value in kept.items() if value != _DEFAULTS.get(name)}


def _simplest(kind: str, kept: dict[str, str]) -> tuple[str, dict[str, str]]:
    """A circle instead of its path, and a place instead of a move."""
    place = _MOVE.match(kept.get("transform", ""))
    circle = _CIRCLE.match(kept.get("d", ""))
    x, y = place.groups() if place else ("0", "0")
    rest = {name: value for name, value in kept.items() if name not in ("transform", "d")}
    if circle and ("transform" not in kept or place):
        return "circle", {"cx": x, "cy": y, "r": circle[1], **rest}
    if kind == "text" and place:
        return "text", {"x": x, "y": y, **rest}
    return kind, kept


def _merged(elements: Iterable[ET.Element]) -> list[ET.Element]:
    """Paths that look alike, say nothing and follow one another, as one."""
    merged: list[ET.Element] = []
    for element in elements:
        if merged and _alike(merged[-1], element):
            merged[-1].set("d", merged[-1].get("d", "") + element.get("d", ""))
        else:
            merged.append(element)
    return merged


def _alike(a: ET.Element, b: ET.Element) -> bool:
    """Whether two may become one path: where either lets shine through what is below, they must not overlap."""
    if not (a.tag == b.tag == "path") or "transform" in a.attrib or len(a) or len(b):
        return False
    return {**a.attrib, "d": ""} == {**b.attrib, "d": ""}


def _shared(elements: list[ET.Element]) -> list[ET.Element]:
    """Neighbours that share a look in a group that has it."""
    grouped: list[ET.Element] = []
    for look, run in groupby(elements, lambda each: {n: v for n, v in each.attrib.items() if n in _INHERITED}):
        members = list(run)
        if len(members) < MIN_SHARING or not look or members[0].tag == "g":
            grouped += members
            continue
        group = ET.Element("g", look)
        for each in members:
            for name in look:
                del each.attrib[name]
            group.append(each)
        grouped.append(group)
    return grouped


def _rounded(value: float) -> str:
    """A length to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0") if math.isfinite(value) and abs(value) >= 0.05 else "0"
