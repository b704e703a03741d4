"""A run beside others, and held against each of them in the gate's own words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import fmean

from nets.errors import Unusable, counted
from nets.gate.findings import FAILING, INCONCLUSIVE, Gate
from nets.gate.judge import judge_runs
from nets.gate.limits import Limits
from nets.records.cell import Result
from nets.records.run import Run
from nets.report.charts.compared import compared_chart
from nets.report.document import Cell, Part, Row, Section, Sentence, row, sentences, table
from nets.report.gate import captions, findings_sentences, findings_table, moment, verdict
from nets.report.pages.table import images_per_s, spread_text
from nets.report.run import accuracy_text
from nets.report.sentence import commit_text, sentence
from nets.report.text import ABSENT, listed

Judged = Gate | Unusable
"""What the gate found, or why two runs can't be compared."""


def compared_with(base: Run, head: Run, limits: Limits) -> Judged:
    """What changed from one run to another."""
    try:
        return judge_runs(base, head, limits)
    except Unusable as error:
        return error


def comparisons_in_words(compared: Sequence[tuple[Run, Judged]]) -> list[str]:
    """What the comparisons came to, those that came to the same together."""
    sources: dict[str, list[str]] = {}
    for other, found in compared:
        sources.setdefault(_in_words(found), []).append(other.source)
    return [f"Against {listed(names)}: {said}." for said, names in sources.items()]


def _in_words(found: Judged) -> str:
    if isinstance(found, Unusable):
        return "not comparable"
    if worse := found.with_status(*FAILING):
        return f"{counted(len(worse), 'figure')} regressed"
    unknown = found.with_status(*INCONCLUSIVE)
    untold = f", {counted(len(unknown), 'figure')} can't be told" if unknown else ""
    return f"nothing regressed{untold}"


def compared_sections(run: Run, compared: Sequence[tuple[Run, Judged]]) -> Iterator[Section]:
    """All runs side by side; then what changed in `run` since each of the others."""
    if not compared:
        return
    yield Section("Runs side by side", tuple(_side_by_side([*(other for other, _ in compared), run])))
    for other, found in compared:
        yield Section(f"Changed since {other.source}", tuple(_compared(found)))


def _compared(found: Judged) -> Iterator[Part]:
    """What differs comes first."""
    if isinstance(found, Unusable):
        yield Sentence(f"They can't be compared: {found}", "doubtful")
        return
    yield Sentence(sentence(found), "strong")
    yield from sentences(captions(found))
    yield from sentences(f"note: {note}" for note in found.notes)
    if (chart := compared_chart(found)) is not None:
        yield chart
    elif (rows := findings_table(found)).rows:
        yield rows
    yield from findings_sentences(found)
    yield Sentence(verdict(found), "strong")


def _side_by_side(runs: Sequence[Run]) -> Iterator[Part]:
    """A row for each run, since there may be any number of them."""
    names = [f"{i}: {run.source}" for i, run in enumerate(runs, start=1)]
    rows = list(_differences(runs, names))
    if rows:
        yield table(("what differs", "value", "runs"), rows, caption="What differs between the runs")
    else:
        yield Sentence("No recorded version, device, commit or protocol differs between the runs.")
    headings = ("cell", "run", "time of a round (s)", "images a second", "test accuracy")
    figures = list(_figures(runs, names))
    caption = "The same cells in each run, mean ± standard deviation"
    yield table(headings, figures, right=headings[2:], caption=caption)


def _differences(runs: Sequence[Run], names: Sequence[str]) -> Iterator[Row]:
    """Each value of a fact that is not the same in all runs, and the runs that have it."""
    versions = [run.versions.by_name() for run in runs]
    facts = {
        "device": [_of_cells(run, lambda each: str(each.device)) for run in runs],
        "protocol": [_of_cells(run, lambda each: each.protocol.name) for run in runs],
        "epochs": [_of_cells(run, lambda each: str(each.protocol.epochs)) for run in runs],
        "batch size": [_of_cells(run, lambda each: str(each.protocol.batch_size)) for run in runs],
        "rounds": [_of_cells(run, lambda each: str(len(each.rounds))) for run in runs],
        "pipeline": [_of_cells(run, lambda each: each.pipeline) for run in runs],
        "threads": [_of_cells(run, lambda each: str(each.execution.threads)) for run in runs],
        "commit": [commit_text(run.commit.id, run.commit.subject, dirty=run.commit.dirty) or ABSENT for run in runs],
        "run on": [ABSENT if run.ran is None else moment(run.ran) for run in runs],
    }
    for name in dict.fromkeys(name for known in versions for name in known):
        facts[name] = [known.get(name) or ABSENT for known in versions]
    for fact, values in facts.items():
        if len(set(values)) > 1:
            for value in dict.fromkeys(values):
                with_it = [name for name, each in zip(names, values, strict=True) if each == value]
                yield row((fact, value, ", ".join(with_it)))


def _figures(runs: Sequence[Run], names: Sequence[str]) -> Iterator[Row]:
    by_id = [{result.id: result for result in run.cells} for run in runs]
    for cell in dict.fromkeys(cell for known in by_id for cell in known):
        for name, known in zip(names, by_id, strict=True):
            if (result := known.get(cell)) is not None:
                yield row((cell, name, _time(result), _speed(result), _accuracy(result)))


def _time(result: Result) -> Cell:
    times = [round_.time_s for round_ in result.rounds]
    return Cell(spread_text(times), value=fmean(times)) if times else Cell(ABSENT)


def _speed(result: Result) -> Cell:
    speed = images_per_s(result)
    return Cell(ABSENT) if speed is None else Cell(f"{speed:,.0f}", value=speed)


def _accuracy(result: Result) -> Cell:
    return Cell(accuracy_text(result), value=None if result.accuracy is None else result.accuracy.mean)


def _of_cells(run: Run, fact: Callable[[Result], str]) -> str:
    """What the cells have in common, or all that they have."""
    return ", ".join(dict.fromkeys(map(fact, run.cells))) or ABSENT
