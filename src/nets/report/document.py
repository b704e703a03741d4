"""Tables and sentences as lines of a terminal, and text as Markdown."""

from __future__ import annotations

import io
import re
from collections.abc import Container, Iterable, Sequence

from rich.console import Console
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


class Grid:
    """A table whose rows stay on one line, like rich's, whose own takes longer for 1,000 cells than all else does."""

    def __init__(self, headings: Iterable[str] = (), *, right: Container[str] = (), dim: Container[str] = ()) -> None:
        """An empty table; `right`, `dim`: the columns that are aligned to the right, or dim."""
        self._columns: list[tuple[str, bool, str]] = []
        self._rows: list[tuple[list[Text], str]] = []
        for heading in headings:
            self.add_column(heading, right=heading in right, style="dim" if heading in dim else "")

    def add_column(self, heading: str, *, right: bool = False, style: str = "") -> None:
        """One more column; a heading is never markup, and may have several lines."""
        self._columns.append((heading, right, style))

    def add_row(self, *cells: str | Text, style: str = "") -> None:
        """One more row, of a cell for each column; a `str` is never markup."""
        self._rows.append(([Text(cell) if isinstance(cell, str) else cell for cell in cells], style))

    def lines(self) -> list[Text]:
        """The headings, a line below them, and the rows, an empty line around them."""
        headings = [heading.split("\n") for heading, *_ in self._columns]
        height = max(map(len, headings), default=0)
        above = [[""] * (height - len(parts)) + parts for parts in headings]
        head = [[Text(parts[i]) for parts in above] for i in range(height)]
        rows = [(cells, "bold") for cells in head] + self._rows
        widths = [max(cell.cell_len for cell in column) for column in zip(*(cells for cells, _ in rows), strict=True)]
        lines = [self._line(cells, widths, style) for cells, style in rows]
        rule = Text(" " + "─" * (sum(widths) + 3 * len(widths) - 3))
        return [Text(), *lines[:height], rule, *lines[height:], Text()]

    def _line(self, cells: Sequence[Text], widths: Sequence[int], style: str) -> Text:
        line = Text(" ")
        for cell, width, (_, right, of_column) in zip(cells, widths, self._columns, strict=True):
            padding = " " * (width - cell.cell_len)
            line.append(padding if right else "").append_text(_styled(cell, of_column, style))
            line.append("   " if right else f"{padding}   ")
        return line


def _styled(cell: Text, *styles: str) -> Text:
    """A cell under the styles of its column and row, its own on top."""
    if not any(styles):
        return cell
    made = Text(cell.plain)
    for style in (*styles, cell.style):
        if style:
            made.stylize(style)
    for span in cell.spans:
        made.stylize(span.style, span.start, span.end)
    return made


def terminal_lines(parts: Iterable[Text | Grid], *, width: int, color: bool) -> list[str]:
    """Sentences and tables, one below the other, as lines for a terminal.

    A line that is longer than `width` is not broken: one that the terminal wraps is better than one that is cut.
    """
    lines = [line for part in parts for line in (part.lines() if isinstance(part, Grid) else [part])]
    if not color:
        return "\n".join(line.plain.rstrip() for line in lines).rstrip().split("\n")
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system="standard")
    for line in lines:
        console.print(line, soft_wrap=True)
    return [line.rstrip() for line in out.getvalue().rstrip().splitlines()]
