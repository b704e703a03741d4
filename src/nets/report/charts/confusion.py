"""Which classes a network takes for which; pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from nets.errors import counted
from nets.records.cell import Result
from nets.report.charts.marks import TEXT, Datum, Layer, bars, in_pixels, rules, text, texts
from nets.report.charts.panels import MARGIN, SMALL, Axis, Panel, chart, pixels
from nets.report.charts.style import GRID, MUTED, fitted, looks, slug, width
from nets.report.document import SHADES, Cell, Chart, Table, table
from nets.report.text import plain

MAX_CLASSES, MAX_COUNTS, MAX_TITLES = 100, 12, 30
"""Classes: that can be drawn at all; of which the counts are written; of whose rectangles each says its own."""
MAX_LISTED = 30
LEAST, MOST = 0.08, 0.5
"""Opacities of next to nothing and of the most, which are page.css's, too; counts are read on both."""
NAMES, LINE, SMALL_TEXT = 84, 18, 9
"""Pixels: for the names of classes at most, a line of text, the size of counts that would be too wide."""
Counts = Sequence[Sequence[int]]


def confusion_charts(results: Sequence[Result]) -> dict[str, Chart]:
    """A heat map for each cell whose record has the counts, by the cell's id."""
    look = looks(result.cell.model for result in results)
    made = {
        result.id: confusion_chart(result.id, seen.confusion, seen.class_names, look[result.cell.model].colour)
        for result in results
        if (seen := result.predictions) is not None and seen.confusion is not None
    }
    return {cell: each for cell, each in made.items() if each is not None}


def confusion_chart(cell: str, counts: Counts, names: Sequence[str] | None, colour: str) -> Chart | None:
    """A heat map of `counts`, a row for each true class and a column for each predicted one; `colour`: its network's.

    The shade grows with the logarithm of the count, so that one mistake is to be seen beside a thousand right ones.
    None where there are more classes than can be told apart, or none.
    """
    n = len(counts)
    if not 0 < n <= MAX_CLASSES:
        return None
    classes = [plain(each) for each in names] if names is not None else [str(i) for i in range(n)]
    shown = [fitted(each, NAMES, TEXT) for each in classes]
    widest = max(width(each, TEXT) for each in shown)
    left = MARGIN + LINE + widest + 6
    side = max(3, int((SMALL - left - MARGIN) / n))
    is_turned = widest > max(side, 20)
    size = float(side * n)
    axis = Axis(0, n, is_shown=False, end=size)
    layers = (*_places(counts, classes, side, colour), *_labels(shown, side, left, is_turned=is_turned))
    panel = Panel(size, size, axis, pixels(size), layers)
    bottom = MARGIN + LINE + 8 + (widest if is_turned else TEXT)
    made = chart(
        slug("confusion", cell), f"Confusion matrix: {plain(cell)}", _says(counts, classes),
        _table(cell, counts, classes), [panel], left=left, right=max(MARGIN, SMALL - left - size), bottom=bottom,
    )  # fmt: skip
    return replace(made, is_tabular=n <= MAX_COUNTS)


def _places(counts: Counts, classes: Sequence[str], side: int, colour: str) -> Iterator[Layer]:
    """A grid, a rectangle for each count above 0, and the counts where there is room."""
    n, most = len(counts), max(max(row) for row in counts)
    ends = [float(i * side) for i in range(0, n + 1, 1 if n <= MAX_TITLES else 10)]
    grid: list[Datum] = [{"x": 0, "x2": n * side, "y": at, "y2": at, "colour": GRID, "title": ""} for at in ends]
    grid += [{"x": at, "x2": at, "y": 0, "y2": n * side, "colour": GRID, "title": ""} for at in ends]
    yield in_pixels(rules(grid, width=1))
    places: list[tuple[float, Datum]] = []
    written: list[Datum] = []
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            if not count:
                continue
            said = "classified correctly" if i == j else f"taken for {classes[j]}"
            title = f"{classes[i]}, {said}: {counted(count, 'image')}" if n <= MAX_TITLES else ""
            place = {"x": j * side, "x2": (j + 1) * side, "y": i * side, "y2": (i + 1) * side}
            shade = round(LEAST + (MOST - LEAST) * _shade(count, most) / SHADES, 2)
            places.append((shade, {**place, "colour": colour, "opacity": shade, "title": title}))
            if n <= MAX_COUNTS:
                written.append(text(str(count), x=(j + 0.5) * side, y=(i + 0.5) * side + 0.5))
    if n > MAX_TITLES:
        places.sort(key=lambda each: each[0])  # neighbours that look alike are drawn as one
    yield in_pixels(bars([each for _, each in places]))
    fits = all(width(str(each["text"]), TEXT) <= side for each in written)
    yield in_pixels(texts(written, align="center", size=TEXT if fits else SMALL_TEXT))


def _labels(shown: Sequence[str], side: int, left: float, *, is_turned: bool) -> Iterator[Layer]:
    """The classes beside rows and columns, as many as there is room for, and what each side means."""
    n = len(shown)
    every = next(each for each in (1, 2, 5, 10, 20, 50) if each * side >= TEXT + 1)
    middles = [(i + 0.5) * side for i in range(0, n, every)]
    named = shown[::every]
    rows = [text(name, MUTED, x=-6, y=at) for name, at in zip(named, middles, strict=True)]
    yield in_pixels(texts(rows, align="right"))
    room = TEXT + 1 if is_turned else max(width(name, TEXT) for name in shown) + 5
    every = next(each for each in (1, 2, 5, 10, 20, 50) if each * side >= room)
    columns = [text(shown[i], MUTED, x=(i + 0.5) * side, y=n * side + 6) for i in range(0, n, every)]
    if is_turned:
        yield in_pixels(texts(columns, align="right", angle=270))
    else:
        yield in_pixels(texts(columns, align="center", is_below=True))
    lowest = n * side + 10 + (max(width(name, TEXT) for name in shown) if is_turned else TEXT)
    yield in_pixels(texts([text("predicted class", MUTED, x=n * side / 2, y=lowest)], align="center", is_below=True))
    yield in_pixels(
        texts([text("true class", MUTED, x=MARGIN + TEXT / 2 - left, y=n * side / 2)], align="center", angle=270)
    )


def _shade(count: int, most: int) -> int:
    """From 0 for none to SHADES for the most."""
    return min(SHADES, math.ceil(SHADES * math.log1p(count) / math.log1p(most))) if count else 0


def _mistakes(counts: Counts) -> list[tuple[int, int, int]]:
    """(images, true class, predicted class) of what was confused, the most first."""
    pairs = [(n, i, j) for i, row in enumerate(counts) for j, n in enumerate(row) if n and i != j]
    return sorted(pairs, key=lambda each: (-each[0], *each[1:]))


def _says(counts: Counts, classes: Sequence[str]) -> str:
    n_images, n_right = sum(map(sum, counts)), sum(counts[i][i] for i in range(len(counts)))
    said = f"{n_right:,} of {n_images:,} images are classified correctly"
    worst = [f"{classes[i]} for {classes[j]} ({n})" for n, i, j in _mistakes(counts)[:3]]
    return f"{said}; most often taken are {', '.join(worst)}." if worst else f"{said}."


def _table(cell: str, counts: Counts, classes: Sequence[str]) -> Table:
    """Of few classes the matrix; of more the confusions, the most first, and at the end how many there are in all."""
    caption = f"Images of {plain(cell)} by true and predicted class"
    if len(counts) <= MAX_COUNTS:
        most = max(map(max, counts))
        rows: list[list[str | Cell]] = [
            [name, *(Cell(str(n), value=n, shade=_shade(n, most)) for n in row)]
            for name, row in zip(classes, counts, strict=True)
        ]
        return table(["true class, predicted", *classes], rows, right=classes, caption=caption)
    mistakes = _mistakes(counts)
    listed: list[list[str | Cell]] = [
        [classes[i], classes[j], Cell(str(n), value=n)] for n, i, j in mistakes[:MAX_LISTED]
    ]
    n_left = sum(n for n, *_ in mistakes[MAX_LISTED:])
    rest: list[list[str | Cell]] = [["all others", "", Cell(str(n_left), value=n_left)]] if n_left else []
    n_right = sum(counts[i][i] for i in range(len(counts)))
    right: list[str | Cell] = ["classified correctly", "", Cell(str(n_right), value=n_right)]
    return table(
        ("true class", "predicted class", "images"), [right, *listed, *rest], right=("images",), caption=caption
    )
