"""A document as lines for a terminal, none longer than it is wide."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from nets.report.document import Part, Section, Sentence, Table, Tone
from nets.report.folding import folded
from nets.report.layout import Grid, Layout, Piece, layout_of
from nets.report.screen import writable
from nets.report.text import plain

STYLES: Mapping[Tone, str] = {
    "plain": "",
    "strong": "bold",
    "dim": "dim",
    "good": "green",
    "doubtful": "yellow",
    "bad": "red",
}


Line = list[Piece]
EMPTY: Line = []


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the lines go; `width`: None where a line may have any length."""

    width: int | None
    encoding: str

    def shown(self, text: str, *max_length: int) -> str:
        """A text as it is written, so that its length is known."""
        return writable(plain(text, *max_length), self.encoding)


def terminal_lines(parts: Iterable[Part], *, width: int | None, color: bool, encoding: str = "utf-8") -> list[str]:
    """Sentences and tables, one below the other, without the charts, as lines for a terminal.

    Where a table is wider than `width`, at least 20, its cells and headings are broken at spaces, then columns go below
    others; where that is not enough each row becomes a block of lines. With None every row stays on one line.
    """
    lines = list(_lines(parts, Frame(width, encoding)))
    if not color:
        texts = ("".join([text for text, _ in line]).rstrip() for line in lines)
        return "\n".join(texts).rstrip().split("\n") if lines else []
    out = io.StringIO()
    console = Console(file=out, width=width or 80, force_terminal=True, no_color=False, color_system="standard")
    for line in lines:
        console.print(Text.assemble(*line), soft_wrap=True)
    return [line.rstrip() for line in out.getvalue().rstrip().splitlines()]


def _lines(parts: Iterable[Part], frame: Frame) -> Iterator[Line]:
    for part in parts:
        match part:
            case Sentence():
                yield from _sentence_lines(part, frame)
            case Table():
                yield from _table_lines(part, frame)
            case Section():
                title = Sentence(part.title, "strong")
                yield from (EMPTY, *_sentence_lines(title, frame), *_lines(part.parts, frame))


def _sentence_lines(sentence: Sentence, frame: Frame) -> Iterator[Line]:
    """Below the first line the others are indented."""
    text, style = frame.shown(sentence.text, sentence.max_length), STYLES[sentence.tone]
    if frame.width is None:
        yield [(f"{'  ' * sentence.level}{text}", style)]
        return
    indent = min(2 * sentence.level, frame.width // 2)
    for i, line in enumerate(folded(text, frame.width - indent, frame.width - indent - 2)):
        yield [(f"{' ' * (indent + 2 * (i > 0))}{line}", style)]


def _table_lines(table: Table, frame: Frame) -> Iterator[Line]:
    """The headings, a line below them, and the rows, an empty line around them.

    rich's own tables take longer for 1,000 cells than all else does.
    """
    grid = Grid.of(table, frame.shown)
    if frame.width is not None and table.by_column and not grid.fits(frame.width):
        for part in grid.parted(table, frame.width):
            yield from _laid_out(part, Grid.of(part, frame.shown), frame)
    else:
        yield from _laid_out(table, grid, frame)


def _laid_out(table: Table, grid: Grid, frame: Frame) -> Iterator[Line]:
    layout = layout_of(grid, frame.width)
    if layout is None:
        assert frame.width is not None
        yield from _blocks(table, grid, frame.width)
        return
    yield EMPTY
    yield from _row_lines(layout.head(STYLES["strong"]), layout)
    yield [(" " + writable("─", frame.encoding) * layout.length, "")]
    for row, texts in zip(table.rows, grid.rows, strict=True):
        styles = [
            " ".join(filter(None, (STYLES[column.tone], STYLES[row.tone], STYLES[cell.tone])))
            for cell, column in zip(row.cells, table.columns, strict=True)
        ]
        yield from _row_lines(layout.row(texts, styles), layout)
    yield EMPTY


def _row_lines(lines: Iterable[list[Piece]], layout: Layout) -> Iterator[Line]:
    columns = list(zip(layout.widths, layout.right, strict=True))
    for pieces in lines:
        line = [(" ", "")]
        for (text, style), (width, right) in zip(pieces, columns, strict=True):
            padding = " " * (width - cell_len(text))
            line += (
                [(padding, ""), (text, style), (layout.gap, "")]
                if right
                else [(text, style), (padding + layout.gap, "")]
            )
        yield line


def _blocks(table: Table, grid: Grid, width: int) -> Iterator[Line]:
    """Each row as lines of a heading and a value, all but the first indented; what is empty is left out."""
    for row, texts in zip(table.rows, grid.rows, strict=True):
        yield EMPTY
        indent = 1
        for heading, text, column, cell in zip(grid.headings, texts, table.columns, row.cells, strict=True):
            if not text:
                continue
            style = " ".join(filter(None, (STYLES[column.tone], STYLES[row.tone], STYLES[cell.tone])))
            named = f"{heading}: {text}" if heading else text
            for i, line in enumerate(folded(named, width - indent, width - indent - 2)):
                yield [(f"{' ' * (indent + 2 * (i > 0))}{line}", style)]
            indent = 3
    yield EMPTY
