"""A document as lines for a terminal."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from nets.report.document import Column, Part, Row, Section, Sentence, Table, Tone
from nets.report.text import plain

STYLES: Mapping[Tone, str] = {
    "plain": "",
    "strong": "bold",
    "dim": "dim",
    "good": "green",
    "doubtful": "yellow",
    "bad": "red",
}


def terminal_lines(parts: Iterable[Part], *, width: int, color: bool) -> list[str]:
    """Sentences and tables, one below the other, without the charts, as lines for a terminal.

    A line that is longer than `width` is not broken: one that the terminal wraps is better than one that is cut.
    """
    lines = list(_lines(parts))
    if not color:
        return "\n".join(line.plain.rstrip() for line in lines).rstrip().split("\n") if lines else []
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system="standard")
    for line in lines:
        console.print(line, soft_wrap=True)
    return [line.rstrip() for line in out.getvalue().rstrip().splitlines()]


def _lines(parts: Iterable[Part]) -> Iterator[Text]:
    for part in parts:
        match part:
            case Sentence():
                text = plain(part.text, part.max_length)
                yield Text(f"{'  ' * part.level}{text}", style=STYLES[part.tone])
            case Table():
                yield from _table_lines(part)
            case Section():
                yield from (Text(), Text(plain(part.title), style=STYLES["strong"]))
                yield from _lines(part.parts)


def _table_lines(table: Table) -> list[Text]:
    """The headings, a line below them, and the rows, an empty line around them; each row stays on one line.

    rich's own tables take longer for 1,000 cells than all else does.
    """
    headings = [[plain(part) for part in column.heading.split("\n")] for column in table.columns]
    height = max(map(len, headings), default=0)
    above = [[""] * (height - len(parts)) + parts for parts in headings]
    heads = [[parts[i] for parts in above] for i in range(height)]
    bodies = [[plain(cell.text) for cell in row.cells] for row in table.rows]
    widths = [max(map(cell_len, column)) for column in zip(*heads, *bodies, strict=True)]
    rule = Text(" " + "─" * (sum(widths) + 3 * len(widths) - 3))
    bold = [STYLES["strong"]] * len(widths)
    head = [_table_line(head, widths, table.columns, bold) for head in heads]
    body = [
        _table_line(texts, widths, table.columns, _styles(row, table.columns))
        for texts, row in zip(bodies, table.rows, strict=True)
    ]
    return [Text(), *head, rule, *body, Text()]


def _table_line(texts: Sequence[str], widths: Sequence[int], columns: Sequence[Column], styles: Sequence[str]) -> Text:
    line = Text(" ")
    for text, width, column, style in zip(texts, widths, columns, styles, strict=True):
        padding = " " * (width - cell_len(text))
        line.append(padding if column.right else "").append(text, style or None)
        line.append("   " if column.right else f"{padding}   ")
    return line


def _styles(row: Row, columns: Sequence[Column]) -> list[str]:
    """Of each cell: its column's, its row's and its own style, a later one on top."""
    return [
        " ".join(filter(None, (STYLES[column.tone], STYLES[row.tone], STYLES[cell.tone])))
        for cell, column in zip(row.cells, columns, strict=True)
    ]
