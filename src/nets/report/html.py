"""A document as one HTML file: it asks for nothing from anywhere, and reads without JavaScript."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from markupsafe import Markup

from nets.report.document import (
    Bar,
    Cell,
    Chart,
    Column,
    Download,
    Gallery,
    Page,
    Part,
    Row,
    Section,
    Sentence,
    Table,
)
from nets.report.html_file import asset, data_uri, environment, png_uri, policy, shown_size, size_text, stylesheet
from nets.report.svg import adapted

LONG, LONG_WORD = 32, 16
"""Characters of a table's cell that are broken into lines, and of a heading's word that is broken; others are not."""
MANY_COLUMNS = 9
"""Of a table that is printed smaller."""
SHORT = 3
"""Characters of a matrix's headings that are not turned."""
MAX_HEADING_LEVEL = 6


def html_text(page: Page, draw: Callable[[Chart], str]) -> str:
    """The page's file, the same for the same page; `draw` gives a chart's SVG in the palette's light colours.

    A content security policy forbids all requests, and all scripts and styles but the file's own two.
    """
    style, script = stylesheet(), asset("page.js")
    writer = _Writer(draw)
    return (
        environment()
        .get_template("page.html.jinja")
        .render(
            page=page,
            policy=policy(style, script),
            style=Markup(style),
            script=Markup(script),
            body=writer.parts(page.parts, level=2),
            contents=writer.contents,
        )
    )


@dataclass(frozen=True, slots=True)
class _Item:
    """A sentence, and those that say more of it."""

    sentence: Sentence
    items: tuple[_Item, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """A cell as the template takes it: `kinds`, its classes; `value`, what it is sorted by, as JavaScript reads it."""

    text: str
    kinds: str
    value: str | None
    bar: _BarPlaces | None


@dataclass(frozen=True, slots=True)
class _BarPlaces:
    """Where a bar's parts are, in hundredths of its width."""

    says: str
    band_start: float
    band_width: float
    value: float
    is_inside: bool


@dataclass
class _Writer:
    """Writes parts in their order; what it has named so far keeps names from being given twice."""

    draw: Callable[[Chart], str]
    contents: list[tuple[str, str]] = field(default_factory=list)
    _named: Counter[str] = field(default_factory=lambda: Counter(("content", "said")))
    _macros: Any = field(default_factory=lambda: environment().get_template("parts.html.jinja").module)

    def parts(self, parts: Sequence[Part], *, level: int, label: str = "") -> Markup:
        """Parts below each other; `level`: of the headings of their sections; `label`: what stands above them."""
        written: list[str] = []
        for kind, run in groupby(parts, _kind):
            if kind is _Item:
                written.append(self._macros.sentences(_tree(each for each in run if isinstance(each, Sentence))))
            elif kind is Chart:
                drawn = [self._chart(each) for each in run if isinstance(each, Chart)]
                written.append(self._macros.charts(drawn))
            else:
                written += [self._part(each, level, label) for each in run]
        return Markup("").join(map(Markup, written))

    def _part(self, part: Part, level: int, label: str) -> str:
        match part:
            case Sentence():
                return str(self._macros.strong(part))
            case Table():
                return self._table(part, label)
            case Gallery():
                sized = [(each, *shown_size(each)) for each in part.pictures]
                return str(self._macros.gallery(part, sized, png_uri))
            case Download():
                return str(
                    self._macros.download(part, data_uri(part.media_type, part.content), size_text(len(part.content)))
                )
            case Section():
                return self._section(part, level)
            case Chart():
                raise AssertionError("charts are written together")

    def _section(self, section: Section, level: int) -> str:
        anchor = self._name(section.title)
        if level == 2:
            self.contents.append((anchor, section.title))
        body = self.parts(section.parts, level=level + 1, label=section.title)
        return str(self._macros.section(section, anchor, min(level, MAX_HEADING_LEVEL), body))

    def _chart(self, chart: Chart) -> str:
        anchor = self._name(f"chart {chart.name}")
        table = Markup(self._table(chart.table, chart.title) if chart.table.columns else "")
        if chart.is_tabular:
            return str(self._macros.tabular_chart(chart, anchor, table))
        drawing = adapted(self.draw(chart), labelled_by=f"{anchor}-title")
        return str(self._macros.chart(chart, anchor, Markup(drawing.text), drawing.is_wide, table))

    def _table(self, table: Table, label: str) -> str:
        rows = [(_tone(row.tone), _places(row, table.columns)) for row in table.rows]
        headings = [(column.heading.split("\n"), _heading_kinds(column)) for column in table.columns]
        kind = "many" if len(headings) > MANY_COLUMNS else ""
        if table.by_column:
            kind = f"{kind} unsorted".lstrip()
        if any(cell.shade for row in table.rows for cell in row.cells):
            is_turned = any(len(column.heading) > SHORT for column in table.columns[1:])
            kind = "matrix turned" if is_turned else "matrix"
        return str(self._macros.table(table, self._name("table"), label or "Table", headings, rows, kind))

    def _name(self, text: str) -> str:
        """An identifier that only this element has: letters, digits and hyphens."""
        slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60].strip("-") or "part"
        self._named[slug] += 1
        n = self._named[slug]
        return slug if n == 1 else self._name(f"{slug}-{n}")


def _kind(part: Part) -> type:
    """What may share an element with those of its kind beside it; a strong sentence stands by itself."""
    if isinstance(part, Sentence):
        return Sentence if part.tone == "strong" else _Item
    return type(part)


def _tree(sentences: Iterable[Sentence]) -> list[_Item]:
    """Each with those after it that have a deeper level."""
    waiting = list(sentences)
    items: list[_Item] = []
    while waiting:
        first = waiting.pop(0)
        n = next((i for i, each in enumerate(waiting) if each.level <= first.level), len(waiting))
        items.append(_Item(first, tuple(_tree(waiting[:n]))))
        del waiting[:n]
    return items


def _tone(tone: str) -> str:
    return "" if tone == "plain" else tone


def _heading_kinds(column: Column) -> str:
    is_long = any(len(word) > LONG_WORD for word in re.split(r"[\s-]", column.heading))
    return " ".join(kind for kind, holds in (("right", column.right), ("long", is_long)) if holds)


def _places(row: Row, columns: Sequence[Column]) -> Iterator[_Place]:
    for cell, column in zip(row.cells, columns, strict=True):
        tone = _tone(cell.tone) or (_tone(column.tone) if row.tone == "plain" else "")
        looks = (
            tone,
            "right" if column.right else "",
            "long" if len(cell.text) > LONG else "",
            f"shade-{cell.shade}" if cell.shade else "",
        )
        kinds = " ".join(filter(None, looks))
        bar = None if cell.bar is None else _bar_places(cell.bar)
        yield _Place(cell.text, kinds, _sorted_by(cell), bar)


def _sorted_by(cell: Cell) -> str | None:
    return repr(float(cell.value)) if cell.value is not None and math.isfinite(cell.value) else None


def _bar_places(bar: Bar) -> _BarPlaces | None:
    """None where there is no scale: its ends are the same, or a figure is not finite."""
    width = bar.end - bar.start
    if not all(map(math.isfinite, (bar.value, bar.low, bar.high, width))) or width <= 0:
        return None
    low, high, value = (
        round(100 * min(max((each - bar.start) / width, 0), 1), 1) for each in (bar.low, bar.high, bar.value)
    )
    says = f"{bar.value:.4g}, expected {bar.low:.4g} to {bar.high:.4g}"
    return _BarPlaces(says, low, max(round(high - low, 1), 0), value, bar.low <= bar.value <= bar.high)
