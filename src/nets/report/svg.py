"""A chart's SVG, as `nets.report.drawing` makes it, as a part of a page: in the colours of the reader's theme."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from nets.report.palette import COLORS

WIDE = 480
"""Pixels of a drawing whose texts would be too small to read at a telephone's width."""
_NAMESPACE = "{http://www.w3.org/2000/svg}"
_VARIABLES = {color.light: f"var(--{color.role})" for color in COLORS}


@dataclass(frozen=True, slots=True)
class Drawing:
    """An `<svg>` element; `is_wide`: its texts can't be read at a telephone's width."""

    text: str
    is_wide: bool


def adapted(svg: str, *, labelled_by: str) -> Drawing:
    """The drawing for a page; `labelled_by`: the identifier of what names it.

    The palette's light colours become the variables of their roles.
    """
    root = ET.fromstring(svg)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_NAMESPACE)
        for name in ("fill", "stroke"):
            if (variable := _VARIABLES.get(element.get(name, ""))) is not None:
                element.set(name, variable)
    root.attrib.pop("aria-label", None)
    is_wide = float(root.attrib["width"]) > WIDE
    root.attrib |= {"class": "wide" if is_wide else "narrow", "role": "img", "aria-labelledby": labelled_by}
    return Drawing(ET.tostring(root, encoding="unicode"), is_wide)
