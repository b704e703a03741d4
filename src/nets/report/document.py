"""What a report is made of: sentences, tables, charts, pictures; a terminal, Markdown and a page write it alike; pure.

Texts are as they are: each writer makes them safe for where they go.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

MAX_SENTENCE = 1_000
MAX_MESSAGE = 10_000
"""Characters of a sentence of ours, and of somebody else's message, that are shown."""
ALWAYS_SHOWN = ("total_s", "accuracy")
"""Metrics that a table shows even where nothing changed."""
SHADES = 6

Tone = Literal["plain", "strong", "dim", "good", "doubtful", "bad"]
"""What a text means to its reader; each writer has its own colour or weight for it. No colour says it alone."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A line of text; `level`: how far below the one before it that it says more of."""

    text: str
    tone: Tone = "plain"
    max_length: int = MAX_SENTENCE
    level: int = 0


@dataclass(frozen=True, slots=True)
class Bar:
    """A value beside the range that it is expected in, both fractions of a scale from `start` to `end`."""

    value: float
    low: float
    high: float
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Cell:
    """A place in a table. `value`: what its column is sorted by; where it is None, the text is.

    On a page alone: `bar`, and `shade`, how deeply its ground is coloured, from 1 to SHADES, or 0 for not at all.
    """

    text: str
    tone: Tone = "plain"
    value: float | None = None
    bar: Bar | None = None
    shade: int = 0


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; its heading may have several lines.

    Where a terminal has no room for it beside the others, its values go below those of the column headed `below`, on a
    line of their own that begins with `mark` if it has one.
    """

    heading: str
    right: bool = False
    tone: Tone = "plain"
    below: str | None = None
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table, of a cell for each column."""

    cells: tuple[Cell, ...]
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings; `caption` says on a page what it is.

    `by_column`: each column but the first is about one thing, of which the first says what a row tells; a terminal
    without room for all of them makes several tables of it.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str = ""
    by_column: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing in Vega-Lite, with the same figures as a table; only a page and a picture's file can hold it.

    `name`: of the file, without its ending. `says`: what is to be seen in it, for those who can't see it.
    `is_tabular`: a page shows the table, whose cells are shaded, instead of the drawing.
    """

    name: str
    title: str
    says: str
    spec: Mapping[str, Any]
    table: Table
    is_tabular: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of a data set, and what is said below it; `png` is None where the data are not here."""

    png: bytes | None
    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Gallery:
    """Images side by side, on a page alone."""

    title: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Download:
    """A file that a page holds."""

    name: str
    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Section:
    """Parts under a title."""

    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A document of its own; `summary`: what it says in one sentence."""

    title: str
    summary: str
    parts: tuple[Part, ...]


Part: TypeAlias = Sentence | Table | Chart | Gallery | Download | Section


def table(
    headings: Iterable[str],
    rows: Iterable[Iterable[str | Cell] | Row],
    *,
    right: Container[str] = (),
    dim: Container[str] = (),
    caption: str = "",
    below: Mapping[str, str | tuple[str, str]] = MappingProxyType({}),
) -> Table:
    """A table of texts; `right`, `dim`: the headings of the columns that are aligned to the right, or dim.

    `below`: a column's heading -> that of the column that it may go below, or this and its mark.
    """
    columns = tuple(
        Column(each, each in right, "dim" if each in dim else "plain", *_place(below.get(each))) for each in headings
    )
    return Table(columns, tuple(each if isinstance(each, Row) else row(each) for each in rows), caption)


def number(value: float | None, form: str) -> Cell:
    """A number as `format` writes it, or a dash."""
    return Cell("–" if value is None else format(value, form), value=value)


def without_empty_columns(whole: Table, empty: str) -> Table:
    """The table without the columns in which each cell says `empty`, and those that would go below them."""
    of_columns = zip(whole.columns, zip(*(row.cells for row in whole.rows), strict=True), strict=True)
    left_out = {column.heading for column, cells in of_columns if all(cell.text == empty for cell in cells)}
    kept = [i for i, column in enumerate(whole.columns) if left_out.isdisjoint((column.heading, column.below))]
    rows = tuple(replace(row, cells=tuple(row.cells[i] for i in kept)) for row in whole.rows)
    return replace(whole, columns=tuple(whole.columns[i] for i in kept), rows=rows)


def _place(below: str | tuple[str, str] | None) -> tuple[str | None, str]:
    return below if isinstance(below, tuple) else (below, "")


def row(cells: Iterable[str | Cell], tone: Tone = "plain") -> Row:
    """A row of texts."""
    return Row(tuple(Cell(each) if isinstance(each, str) else each for each in cells), tone)


def sentences(texts: Iterable[str], tone: Tone = "plain", max_length: int = MAX_SENTENCE) -> list[Part]:
    """Each text as a sentence."""
    return [Sentence(each, tone, max_length) for each in texts]
