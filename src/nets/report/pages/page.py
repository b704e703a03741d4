"""The page: one run, what changed since others, and histories, whichever there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from nets.errors import counted
from nets.gate.limits import Limits
from nets.history.records import History
from nets.records.run import Run
from nets.report.charts.history import history_charts
from nets.report.document import Chart, Page, Part, Section
from nets.report.history import history_parts, shown_lines
from nets.report.pages.compared import compared_sections
from nets.report.pages.run import Shown, made_section, run_sections, verdict_in_words

HISTORY_WIDTH = 160
"""Characters: room for long trends."""


def page(
    runs: Sequence[tuple[Run, bytes]],
    histories: Sequence[tuple[str, History]],
    pictures: Shown | None,
    limits: Limits,
) -> Page:
    """The first run in full, each other one beside it; `runs`: with the bytes of their files.

    Sections without a part are left out.
    """
    sections: list[Section] = []
    if runs:
        (first, content), *rest = runs
        others = [run for run, _ in rest]
        sections += run_sections(first, pictures)
        sections[1:1] = compared_sections(first, others, limits)
    sections += [_history(name, found) for name, found in histories]
    if runs:
        sections.append(made_section(first, content))
    title = first.source if runs else " and ".join(name for name, _ in histories)
    summary = verdict_in_words(first) if runs else "; ".join(_changes(found) for _, found in histories)
    return Page(f"nets: {title}", summary, tuple(section for section in sections if section.parts))


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
    parts: tuple[Part, ...] = (*history_parts(found, width=HISTORY_WIDTH), *history_charts(found, shown_lines(found)))
    return Section(f"History of {name}", parts)


def _changes(found: History) -> str:
    n = len(found.changed_commits)
    return f"Figures changed at {counted(n, 'commit')}" if n else "No change was found"
