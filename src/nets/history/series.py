"""Runs -> lines of comparable points, ordered by commit, with their changes; pure but for git's order of commits.

A line is a cell, a metric, and the facts that the gate demands to be the same (`nets.gate.comparability`). A point is a
commit: of times and of figures the median over all rounds of all its runs, so that a disturbed round moves little; of
accuracy the mean, as in the record. A run that is there twice (stored, and exported) counts once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import stdev

from nets.errors import Unusable
from nets.gate.comparability import facts
from nets.history.archive import UNVERSIONED, Archive, Commit, Stored, in_order
from nets.history.records import Change, Condition, History, Line, Point, State
from nets.history.scales import TRACKED, TrackedMetric
from nets.records.cell import Result
from nets.stats.changepoints import MIN_COMMITS, change_points

TWICE = timedelta(minutes=1)
"""The same figures, to the last digit, at moments no further apart are one run in two files."""
Under = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Readings:
    """What was read at one commit."""

    values: list[float] = field(default_factory=list)
    n_runs: int = 0


def history(archive: Archive, repository: Path, cells: Collection[str] = (), metrics: Collection[str] = ()) -> History:
    """Every line of the archive, or those of some cells or metrics; commits ordered by `repository` if it knows them.

    Raises Unusable for a cell or a metric that is unknown, and where no line is left.
    """
    taken, n_twice = _once(archive.runs)
    _demand_known("cell", cells, {result.id for _, result in taken})
    _demand_known("metric", metrics, {metric.name for metric in TRACKED})
    order, is_topological = in_order((stored.commit for stored in archive.runs), repository)
    place = {commit.key: i for i, commit in enumerate(order)}
    lines: dict[tuple[str, int, Under], dict[int, _Readings]] = defaultdict(lambda: defaultdict(_Readings))
    unfit: Counter[str] = Counter()
    for stored, result in taken:
        if cells and result.id not in cells:
            continue
        for i, metric in enumerate(TRACKED):
            if metrics and metric.name not in metrics:
                continue
            reading = metric.fit(metric.read(result))
            if reading.because is not None:
                unfit[f"{result.id} {metric.name}: {reading.because}"] += 1
            if reading.values:
                at = lines[result.id, i, _under(stored, result, reading.window)][place[stored.commit.key]]
                at.values += reading.values
                at.n_runs += 1
    if not lines:
        raise Unusable("no finished round of these cells, or none with these metrics, is in any file")
    return History(
        topological=is_topological,
        n_files=len(archive.runs),
        n_commits=len(order),
        first=_moment(order[0].time),
        last=_moment(order[-1].time),
        passed_over=archive.passed_over,
        notes=tuple(_notes(order, n_twice, unfit)),
        lines=tuple(_line(cell, TRACKED[i], under, lines[cell, i, under], order) for cell, i, under in sorted(lines)),
    )


def _once(runs: Iterable[Stored]) -> tuple[list[tuple[Stored, Result]], int]:
    """Every finished record, each run once, and how many records were there again; the first file's counts."""
    seen: dict[tuple[str | None, bool, str], list[datetime]] = defaultdict(list)
    taken: list[tuple[Stored, Result]] = []
    n_twice = 0
    for stored in runs:
        commit = stored.commit
        for result in stored.run.results:
            if result.outcome.status == "error" or not result.rounds:
                continue
            times = seen[commit.id, commit.dirty, result.model_dump_json()]
            if any(abs(commit.ran - ran) <= TWICE for ran in times):
                n_twice += 1
            else:
                taken.append((stored, result))
            times.append(commit.ran)
    return taken, n_twice


def _demand_known(what: str, asked: Collection[str], known: Collection[str]) -> None:
    for name in asked:
        if name not in known:
            raise Unusable(
                f"--{what}{'s' if what == 'cell' else ''} {name}: unknown; there are {', '.join(sorted(known))}"
            )


def _under(stored: Stored, result: Result, window: str | None) -> Under:
    """What is the same for every point of the record's line."""
    known = tuple((fact, value or "none") for fact, value in facts(stored.run, result, result))
    return known if window is None else (*known, ("window", window))


def _line(
    cell: str, metric: TrackedMetric, under: Under, at: Mapping[int, _Readings], order: tuple[Commit, ...]
) -> Line:
    places = sorted(at)
    points = tuple(_point(i, order[i], at[i], metric) for i in places)
    values = [point.value for point in points]
    state: State = "tested"
    if metric.scale == "exact":
        state, changes = "exact", tuple(_exact(points, metric))
    elif len(set(values)) == 1:
        state, changes = "constant", ()
    elif len(points) < MIN_COMMITS:
        state, changes = "too few", ()
    else:
        changes = tuple(_tested(points, metric))
    return Line(
        cell=cell,
        metric=metric.name,
        unit=metric.unit,
        worse=metric.worse,
        under=tuple(Condition(fact=fact, value=value) for fact, value in under),
        state=state,
        points=points,
        changes=changes,
    )


def _point(place: int, commit: Commit, readings: _Readings, metric: TrackedMetric) -> Point:
    values = sorted(readings.values)
    return Point(
        place=place,
        commit=commit.id or UNVERSIONED,
        time=_moment(commit.time),
        dirty=commit.dirty,
        value=metric.middle(values),
        std=stdev(values) if len(values) > 1 and metric.scale != "exact" else None,
        n_runs=readings.n_runs,
        n_values=len(values),
    )


def _exact(points: tuple[Point, ...], metric: TrackedMetric) -> Iterator[Change]:
    for i, (was, is_) in enumerate(pairwise(points), start=1):
        if was.value != is_.value:
            yield _change(points, i, metric, was.value, is_.value, is_.value - was.value, None)


def _tested(points: tuple[Point, ...], metric: TrackedMetric) -> Iterator[Change]:
    """The levels are medians; of an even number of logarithms the geometric middle."""
    for found in change_points([metric.on_scale(point.value) for point in points], metric.least_shift):
        before, after = metric.from_scale(found.before), metric.from_scale(found.after)
        yield _change(points, found.index, metric, before, after, metric.effect(found.shift), found.p)


def _change(
    points: tuple[Point, ...],
    i: int,
    metric: TrackedMetric,
    before: float,
    after: float,
    effect: float,
    p: float | None,
) -> Change:
    is_worse = None if metric.worse is None else (effect > 0) == (metric.worse == "more")
    return Change(
        begins=points[i].commit,
        time=points[i].time,
        since=points[i - 1].commit,
        index=i,
        before=before,
        after=after,
        effect=effect,
        p=p,
        direction=None if is_worse is None else "worse" if is_worse else "better",
    )


def _notes(order: Iterable[Commit], n_twice: int, unfit: Mapping[str, int]) -> Iterator[str]:
    """What a reader should know of the whole."""
    n_dirty = sum(commit.dirty for commit in order)
    n_unversioned = sum(commit.id is None for commit in order)
    if n_dirty:
        yield f"{_counted(n_dirty, 'run')} with uncommitted changes (*), each a point of its own"
    if n_unversioned:
        yield f"{_counted(n_unversioned, 'run')} of no commit, each a point of its own, at its own time"
    if n_twice:
        yield f"{_counted(n_twice, 'record')} in a second file, and counted once"
    for sentence in sorted(unfit):
        yield f"left out {'once' if unfit[sentence] == 1 else f'{unfit[sentence]} times'}: {sentence}"


def _counted(n: int, what: str) -> str:
    return f"one {what}" if n == 1 else f"{n} {what}s"


def _moment(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
