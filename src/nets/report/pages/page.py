"""The page: one run, what changed since others, and histories, whichever there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from nets.gate.limits import Limits
from nets.history.records import History
from nets.records.run import Run
from nets.report.charts.history import history_charts
from nets.report.document import Chart, Page, Part, Section
from nets.report.history import changes_in_words, history_parts, shown_lines
from nets.report.pages.compared import compared_sections, compared_with, comparisons_in_words
from nets.report.pages.run import Shown, made_section, run_sections, verdict_in_words

HISTORY_WIDTH = 160
"""Characters: room for long trends."""


def page(
    runs: Sequence[Run],
    content: bytes,
    histories: Sequence[tuple[str, History]],
    pictures: Shown | None,
    limits: Limits,
) -> Page:
    """The first run in full, which the file's `content` holds, and what changed in it since each other one.

    Sections without a part are left out.
    """
    sections: list[Section] = []
    said: list[str] = []
    if runs:
        first, *others = runs
        compared = [(other, compared_with(other, first, limits)) for other in others]
        sections += run_sections(first, pictures)
        sections[1:1] = compared_sections(first, compared)
        said = [verdict_in_words(first), *comparisons_in_words(compared)]
    else:
        said = [changes_in_words(found) for _, found in histories]
    sections += [_history(name, found) for name, found in histories]
    if runs:
        sections.append(made_section(first, content))
    title = first.source if runs else " and ".join(name for name, _ in histories)
    return Page(f"nets: {title}", " ".join(said), tuple(section for section in sections if section.parts))


def charts_of(whole: Page) -> list[Chart]:
    """Every chart of a page, in its order."""
    return list(_charts(whole.parts))


def drawn_charts(whole: Page) -> list[Chart]:
    """Those that the page shows as drawings."""
    return [each for each in charts_of(whole) if not each.is_tabular]


def _charts(parts: Iterable[Part]) -> Iterator[Chart]:
    for part in parts:
        if isinstance(part, Chart):
            yield part
        elif isinstance(part, Section):
            yield from _charts(part.parts)


def _history(name: str, found: History) -> Section:
    told = history_parts(found, width=HISTORY_WIDTH, has_options=False)
    return Section(f"History of {name}", (*told, *history_charts(found, shown_lines(found))))
