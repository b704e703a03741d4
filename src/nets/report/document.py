"""One way to write for a person: as lines of a terminal, or as Markdown."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nets.report.text import MAX_LENGTH, plain

_MARKUP = re.compile(r"[!#$&()*:<>@\[\\\]^_`{|}~]|(?<=www)\.|^[-+=]|^\d+\.(?=\s|$)", re.IGNORECASE)
"""What Markdown or HTML may take for structure, anywhere or where a line begins."""


def markdown(text: str, max_length: int = MAX_LENGTH) -> str:
    """The same for GitHub's Markdown and HTML: character references, which are never taken for structure.

    An @ is followed by a word joiner, since mentions and addresses are looked for after the references are resolved.
    Source: GitHub Flavored Markdown, section 6.2.
    """
    return _MARKUP.sub(_reference, plain(text, max_length)).replace("&#64;", "&#64;&#8288;")


def _reference(found: re.Match[str]) -> str:
    return "".join(f"&#{ord(character)};" for character in found[0])


def terminal_lines(parts: Iterable[Text | Table], *, width: int, color: bool) -> list[str]:
    """Sentences and tables, one below the other, as lines of a terminal of that width.

    Neither is broken here: a terminal that wraps a row beats a row that is cut.
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
