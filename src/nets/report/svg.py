"""A chart's SVG as a part of a page: in the page's colours, with names of its own, without anything that could act."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass

from nets.report.palette import COLORS, GRID, INK, MUTED, SURFACE
from nets.report.text import plain

WIDE = 480
"""Pixels of a drawing whose texts would be too small to read at a telephone's width."""
_NAMESPACE = "{http://www.w3.org/2000/svg}"
_ELEMENTS = frozenset({
    "svg", "g", "path", "rect", "line", "circle", "ellipse", "polyline", "polygon", "text", "tspan", "title", "defs",
    "clipPath", "linearGradient", "stop",
})  # fmt: skip
_LOOKS = frozenset({
    "fill", "fill-opacity", "fill-rule", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray",
    "stroke-dashoffset", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit", "opacity", "font-size",
    "font-weight", "font-style", "text-anchor", "dominant-baseline", "letter-spacing", "stop-color", "stop-opacity",
    "clip-path", "clip-rule",
})  # fmt: skip
_PLACES = frozenset({
    "id", "d", "x", "y", "x1", "y1", "x2", "y2", "dx", "dy", "cx", "cy", "r", "rx", "ry", "width", "height", "points",
    "transform", "viewBox", "offset", "gradientUnits", "clipPathUnits",
})  # fmt: skip
_DEFAULT_COLORS = {
    "#000": INK,
    "#000000": INK,
    "black": INK,
    "#fff": SURFACE,
    "white": SURFACE,
    "#888": MUTED,
    "#ddd": GRID,
}
"""Vega's own, where a chart has set none."""
_VARIABLES = {color.light: f"var(--{color.role})" for color in COLORS} | {
    name: f"var(--{color.role})" for name, color in _DEFAULT_COLORS.items()
}
_REFERENCE = re.compile(r"url\(#([\w-]+)\)", re.ASCII)
_LOOK = re.compile(r"[#\w\s.,%()+-]*", re.ASCII)
"""A colour, a length, or a name, but nothing with an address."""
_SILENT = frozenset({"axis", "legend", "title", "header"})
"""Parts of a drawing that say on screen what their labels say."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """An `<svg>` element; `is_wide`: its texts can't be read at a telephone's width."""

    text: str
    is_wide: bool


def adapted(svg: str, *, prefix: str, labelled_by: str) -> Drawing:
    """The drawing for a page; `prefix`: of its identifiers; `labelled_by`: the identifier of what names it.

    Only known elements and attributes are kept. The palette's light colours become the variables of their roles; what a
    `style` attribute says becomes attributes, since the page's policy forbids styles; a mark's label becomes its title,
    which a browser shows on hovering. Raises ValueError where it is not SVG.
    """
    try:
        drawn = ET.fromstring(svg)
    except ET.ParseError as error:
        raise ValueError(f"the drawing is not SVG: {error}") from None
    root = _adapted(drawn, prefix)
    if root is None or root.tag != "svg":
        raise ValueError(f"the drawing is not SVG: its element is {plain(drawn.tag)}")
    width = float(root.get("width", "0").removesuffix("px") or 0)
    is_wide = width > WIDE
    root.attrib |= {"class": "wide" if is_wide else "narrow", "role": "img", "aria-labelledby": labelled_by}
    return Drawing(ET.tostring(root, encoding="unicode"), is_wide)


def _adapted(element: ET.Element, prefix: str) -> ET.Element | None:
    tag = element.tag.removeprefix(_NAMESPACE)
    if tag not in _ELEMENTS:
        return None
    stated = {**element.attrib, **_declared(element.attrib["style"])} if "style" in element.attrib else element.attrib
    made = ET.Element(tag)
    for name, value in stated.items():
        if name in _PLACES:
            made.set(name, prefix + value if name == "id" else value)
        elif name in _LOOKS and _LOOK.fullmatch(value):
            made.set(name, _REFERENCE.sub(rf"url(#{prefix}\1)", _VARIABLES.get(value.strip().lower(), value)))
    made.text, made.tail = _text(element.text), _text(element.tail)
    inner = [each for child in element if (each := _adapted(child, prefix)) is not None]
    label = element.get("aria-label")
    is_mark = label and tag != "svg" and element.get("aria-roledescription") not in _SILENT
    if is_mark and not any(each.tag == "title" for each in inner):
        title = ET.Element("title")
        title.text = _text(label)
        inner.insert(0, title)
    made.extend(inner)
    return made


def _declared(style: str) -> dict[str, str]:
    """What a style attribute declares, by name."""
    pairs = (declaration.partition(":") for declaration in style.split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs if value}


def _text(text: str | None) -> str | None:
    """Without what is invisible and what could hide or turn text."""
    return plain(text, 1_000) if text and text.strip() else text
