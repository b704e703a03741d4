"""How a table fits into a terminal: which columns stand beside each other, which below, and how wide each is; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len

from nets.report.document import Column, Row, Table
from nets.report.folding import folded, words

Piece = tuple[str, str]
"""A text on one line, and its style."""
WIDE, NARROW = 3, 2
"""Spaces between columns."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table's texts as they are written. `heads`: of each column the lines of its heading, as many of each column."""

    columns: Sequence[Column]
    heads: Sequence[Sequence[str]]
    rows: Sequence[Sequence[str]]
    widths: Sequence[int]

    @classmethod
    def of(cls, table: Table, shown: Callable[[str], str]) -> Grid:
        """The widths are those that every text has on one line."""
        headings = [[shown(part) for part in column.heading.split("\n")] for column in table.columns]
        height = max(map(len, headings), default=0)
        heads = [[""] * (height - len(parts)) + parts for parts in headings]
        rows = [[shown(cell.text) for cell in row.cells] for row in table.rows]
        widths = [max(map(cell_len, (*head, *(row[i] for row in rows)))) for i, head in enumerate(heads)]
        return cls(table.columns, heads, rows, widths)

    @property
    def headings(self) -> list[str]:
        """Each column's heading on one line; a hyphen at a line's end is the word's own."""
        return [" ".join(filter(None, head)).replace("- ", "-") for head in self.heads]

    def fits(self, width: int) -> bool:
        """Whether each row has room on one line."""
        return _length(self.widths, WIDE) < width

    def parted(self, table: Table, width: int) -> Iterator[Table]:
        """The table as several, each with the first column and as many of the others as there is room for."""
        first, taken, room = 1, self.widths[0], width - 1
        for i in range(1, len(self.widths)):
            if i > first and taken + WIDE + self.widths[i] > room:
                yield _part(table, range(first, i))
                first, taken = i, self.widths[0]
            taken += WIDE + self.widths[i]
        yield _part(table, range(first, len(self.widths)))


def _part(table: Table, chosen: Sequence[int]) -> Table:
    places = (0, *chosen)
    columns = tuple(table.columns[i] for i in places)
    rows = tuple(Row(tuple(row.cells[i] for i in places), row.tone) for row in table.rows)
    return replace(table, columns=columns, rows=rows)


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns of a grid stand beside each other, how wide, and with what between them.

    `under`: of each column that goes below another, that one's place among those beside each other.
    """

    grid: Grid
    beside: Sequence[int]
    under: dict[int, int]
    widths: Sequence[int]
    gap: str

    @property
    def length(self) -> int:
        """Characters of a line."""
        return _length(self.widths, len(self.gap))

    @property
    def right(self) -> list[bool]:
        """Which columns are aligned to the right."""
        return [self.grid.columns[i].right for i in self.beside]

    def head(self, style: str) -> Iterator[list[Piece]]:
        """The headings' lines, those of a column that goes below another, without a mark of its own, below it."""
        named = [*enumerate(self.beside), *((k, i) for i, k in self.under.items() if not self.grid.columns[i].mark)]
        parts: list[list[Piece]] = [[] for _ in self.beside]
        for k, i in named:
            parts[k] += _pieces(filter(None, self.grid.heads[i]), self.widths[k], style)
        height = max(1, *map(len, parts)) if parts else 0
        return _lines([[("", "")] * (height - len(pieces)) + pieces for pieces in parts])

    def row(self, texts: Sequence[str], styles: Sequence[str]) -> Iterator[list[Piece]]:
        """A row's lines: what stands beside each other, then what goes below with a mark, a line or more for each."""
        parts = [_pieces((texts[i],), self.widths[k], styles[i]) for k, i in enumerate(self.beside)]
        if not self.under:
            yield from _lines(parts)
            return
        marked: dict[str, list[list[Piece]]] = {}
        for i, k in self.under.items():
            pieces, mark = _pieces((texts[i],), self.widths[k], styles[i]), self.grid.columns[i].mark
            if not mark:
                parts[k] = parts[k] + pieces
            elif texts[i]:
                below = marked.setdefault(mark, [_marks(mark, styles[i]), *([] for _ in self.beside[1:])])
                below[k] = below[k] + pieces
        yield from _lines(parts)
        for below in marked.values():
            yield from _lines(below)


def layout_of(grid: Grid, width: int | None) -> Layout | None:
    """The first that has room: as it is, with broken texts, with columns below others, with broken numbers, too."""
    places = range(len(grid.columns))
    if width is None or grid.fits(width):
        return Layout(grid, places, {}, grid.widths, " " * WIDE)
    measures = [_Measure.of(grid, i) for i in places]
    for breaks_numbers in (False, True):
        for below in _stackings(grid.columns):
            for gap in (WIDE, NARROW):
                beside = [i for i in places if i not in below]
                place = {i: k for k, i in enumerate(beside)}
                under = {i: place[on] for i, on in below.items()}
                full, least = _widths(grid, measures, beside, under, breaks_numbers=breaks_numbers)
                room = width - 1 - gap * (len(beside) - 1)
                if sum(least) <= room:
                    return Layout(grid, beside, under, _shared(full, least, room), " " * gap)
    return None


def _stackings(columns: Sequence[Column]) -> Iterator[dict[int, int]]:
    """Which columns go below which: none, then one more each time, the last first; those with one mark go at once."""
    headings = [column.heading for column in columns]
    on = {i: headings.index(column.below) for i, column in enumerate(columns) if column.below in headings}
    below: dict[int, int] = {}
    yield below
    for i in reversed(on):
        if i not in below and on[i] not in on:
            alike = (j for j in on if columns[j].mark == columns[i].mark) if columns[i].mark else (i,)
            below = {j: on[j] for j in sorted({*below, *alike}) if on[j] not in on}
            yield below


@dataclass(frozen=True, slots=True)
class _Measure:
    """How wide a column's texts are on one line, and its longest words, of the cells and of the heading."""

    cells: int
    cells_least: int
    head: int
    head_least: int

    @classmethod
    def of(cls, grid: Grid, i: int) -> _Measure:
        texts, head = {row[i] for row in grid.rows}, grid.heads[i]
        return cls(
            max(map(cell_len, texts), default=0),
            max((cell_len(word) for text in texts for word in words(text)), default=0),
            max(map(cell_len, head)),
            max(cell_len(word) for line in head for word in words(line)),
        )


def _widths(
    grid: Grid, measures: Sequence[_Measure], beside: Sequence[int], under: dict[int, int], *, breaks_numbers: bool
) -> tuple[list[int], list[int]]:
    """Of the columns that stand beside each other: the width that each would like, and the least that it needs."""
    full, least = [0] * len(beside), [0] * len(beside)
    for i, k in [*((i, k) for k, i in enumerate(beside)), *under.items()]:
        measure, column = measures[i], grid.columns[i]
        is_whole = column.right and not breaks_numbers
        has_head = i not in under or not column.mark
        full[k] = max(full[k], measure.cells, measure.head if has_head else 0)
        least[k] = max(
            least[k], measure.cells if is_whole else measure.cells_least, measure.head_least if has_head else 0
        )
        if column.mark and i in under:
            full[0], least[0] = (max(each, cell_len(_indented(column.mark))) for each in (full[0], least[0]))
    return full, least


def _shared(full: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """The widths within the room: what is wider than it needs to be is no wider than a limit, the highest possible.

    What is left over goes to the first columns that lack something.
    """

    def within(limit: int) -> list[int]:
        return [max(need, min(wish, limit)) for wish, need in zip(full, least, strict=True)]

    limit = max(full)
    while sum(within(limit)) > room:
        limit -= 1
    widths = within(limit)
    for k, wish in enumerate(full):
        if widths[k] < wish and sum(widths) < room:
            widths[k] += 1
    return widths


def _length(widths: Sequence[int], gap: int) -> int:
    return sum(widths) + gap * (len(widths) - 1)


def _indented(mark: str) -> str:
    return f"  {mark}"


def _marks(mark: str, style: str) -> list[Piece]:
    return [(_indented(mark), style)]


def _pieces(texts: Iterable[str], width: int, style: str) -> list[Piece]:
    return [(line, style) for text in texts for line in folded(text, width)]


def _lines(parts: Sequence[list[Piece]]) -> Iterator[list[Piece]]:
    """From a list of pieces for each column a list for each line."""
    for k in range(max(map(len, parts), default=0)):
        yield [pieces[k] if k < len(pieces) else ("", "") for pieces in parts]
