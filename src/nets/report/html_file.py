"""What a page's file is made of beside its content: templates, style, script and policy, and files as parts of it."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from nets.report.document import MAX_MESSAGE, Picture
from nets.report.palette import COLORS
from nets.report.text import plain

PICTURE_WIDTH = 96
"""Pixels of the page that an image of a data set is enlarged to, or a few fewer: each of its pixels is a square."""
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
_PNG_HEADER = struct.Struct(">16x2I")
"""Of a PNG file, up to its width and height. Source: PNG specification, third edition, 5.2 and 11.2.1."""


def policy(style: str, script: str) -> str:
    """The content security policy of a page that holds these two."""
    return "; ".join(
        (
            "default-src 'none'",
            "img-src data:",
            f"style-src {_source(style)}",
            f"script-src {_source(script)}",
            "connect-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _source(text: str) -> str:
    """The element's content as a policy names it. Source: Content Security Policy Level 3, 6.7.3.3."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def stylesheet() -> str:
    """The palette of both themes, and the page's rules."""
    light = "".join(f"--{color.role}:{color.light};" for color in COLORS)
    dark = "".join(f"--{color.role}:{color.dark};" for color in COLORS)
    themes = f":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
    return themes + asset("page.css")


@cache
def asset(name: str) -> str:
    """The text of a file that comes with the package."""
    return resources.files("nets.report").joinpath("assets", name).read_text("utf-8").replace("\r\n", "\n")


@cache
def environment() -> Environment:
    """Templates in which every text is made plain and escaped, without a filter that could be forgotten."""
    templates = Environment(
        loader=PackageLoader("nets.report", "assets"),
        autoescape=True,
        finalize=lambda value: plain(value, MAX_MESSAGE) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["cut"] = plain
    return templates


def shown_size(picture: Picture) -> tuple[int, int]:
    """The width and height in pixels of the page, whole multiples of the image's own."""
    if picture.png is None or len(picture.png) < _PNG_HEADER.size:
        return PICTURE_WIDTH, PICTURE_WIDTH
    width, height = _PNG_HEADER.unpack_from(picture.png)
    times = max(PICTURE_WIDTH // max(width, 1), 1)
    return width * times, height * times


def png_uri(png: bytes) -> Markup:
    """An image within the page."""
    return data_uri("image/png", png)


def data_uri(media_type: str, content: bytes) -> Markup:
    """A file within the page; a media type that is none is not written into it."""
    known = media_type if _MEDIA_TYPE.fullmatch(media_type) else "application/octet-stream"
    return Markup(f"data:{known};base64,{base64.b64encode(content).decode()}")


def size_text(n_bytes: int) -> str:
    """A file's size for people, in powers of 1,000."""
    if n_bytes < 1_000:
        return f"{n_bytes} bytes"
    return f"{n_bytes / 1_000:,.1f} KB" if n_bytes < 1_000_000 else f"{n_bytes / 1_000_000:,.1f} MB"
