"""Tables and sentences as lines of a terminal, and text as Markdown."""

from __future__ import annotations

import io
import re
from collections.abc import Container, Iterable
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nets.report.text import MAX_LENGTH, plain

_MARKUP = re.compile(r"[!#$&()*:<>@\[\\\]^_`{|}~]|(?<=www)\.|^[-+=]|^\d+\.(?=\s|$)", re.IGNORECASE)
"""What Markdown or HTML may take for structure, anywhere or at the start of a line."""
MAX_SENTENCE = 1_000
ALWAYS_SHOWN = ("total_s", "accuracy")
"""Metrics that a table shows even where nothing changed."""


def markdown(text: str, max_length: int = MAX_LENGTH) -> str:
    """Text for GitHub's Markdown and HTML, its special characters as references, which are never taken for structure.

    An @ is followed by a word joiner, since mentions and addresses are looked for after the references are resolved.
    Source: GitHub Flavored Markdown, section 6.2.
    """
    return _MARKUP.sub(_reference, plain(text, max_length)).replace("&#64;", "&#64;&#8288;")


def _reference(found: re.Match[str]) -> str:
    return "".join(f"&#{ord(character)};" for character in found[0])


def grid(headings: Iterable[str], *, right: Container[str] = (), dim: Container[str] = ()) -> Table:
    """An empty table whose rows stay on one line; `right`, `dim`: the columns that are aligned to the right, or dim."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        justify: Literal["left", "right"] = "right" if heading in right else "left"
        table.add_column(heading, no_wrap=True, justify=justify, style="dim" if heading in dim else None)
    return table


def terminal_lines(parts: Iterable[Text | Table], *, width: int, color: bool) -> list[str]:
    """Sentences and tables, one below the other, as lines for a terminal of that width.

    A longer line is not broken here: a row that the terminal wraps is better than a row that is cut.
    """
    shown = list(parts)
    wide = Console(width=10_000)
    needed = max((wide.measure(part).maximum for part in shown if isinstance(part, Table)), default=0)
    out = io.StringIO()
    console = Console(
        file=out, width=max(width, needed), force_terminal=color, color_system="standard" if color else None
    )
    for part in shown:
        console.print(part, soft_wrap=isinstance(part, Text))
    return [line.rstrip() for line in out.getvalue().rstrip().splitlines()]
