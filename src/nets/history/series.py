"""Runs -> lines of comparable points, ordered by commit, with their changes; pure but for git's order of commits.

A line is a cell, a metric, and the facts that the gate demands to be the same (`nets.gate.comparability`). A point is a
commit: of times and of figures the median over all rounds of all its runs, so that a disturbed round moves little; of
accuracy the mean, as in the record. A run that is there twice (stored, and exported) counts once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain, pairwise
from pathlib import Path

from nets.errors import Unusable, counted
from nets.gate.comparability import facts
from nets.history.archive import UNVERSIONED, Archive, Commit, in_order
from nets.history.records import Change, Condition, History, Line, Point, State
from nets.history.tracked import SCALES, TRACKED, TrackedMetric
from nets.records.cell import Result
from nets.records.run import Run
from nets.stats.changepoints import MIN_COMMITS, change_points
from nets.stats.inference import deviation

SAME_RUN_WITHIN = timedelta(minutes=1)
"""The same figures, to the last digit, at moments no further apart are one run in two files."""
Conditions = tuple[tuple[str, str], ...]
Values = list[tuple[float, ...]]
"""The values read at one commit, run by run."""


def history(archive: Archive, repository: Path, cells: Collection[str] = (), metrics: Collection[str] = ()) -> History:
    """Every line of the archive, or those of some cells or metrics; commits ordered by `repository` if it knows them.

    Raises Unusable for a cell or a metric that is unknown, and where no line is left.
    """
    taken, n_duplicates = _without_duplicates(archive.runs)
    _demand_known("--cells", cells, {result.id for *_, result in taken})
    _demand_known("--metric", metrics, {metric.name for metric in TRACKED})
    order, is_topological = in_order((commit for _, commit in archive.runs), repository)
    place = {commit.key: i for i, commit in enumerate(order)}
    lines: dict[tuple[str, int, Conditions], dict[int, Values]] = defaultdict(lambda: defaultdict(list))
    unfit: Counter[str] = Counter()
    for run, commit, result in taken:
        if cells and result.id not in cells:
            continue
        under = tuple((fact, value or "none") for fact, value in facts(run, result, result))
        for i, metric in enumerate(TRACKED):
            if metrics and metric.name not in metrics:
                continue
            reading = metric.plausible(result)
            if reading.because is not None:
                unfit[f"{result.id} {metric.name}: {reading.because}"] += 1
            if reading.values:
                window = () if reading.window is None else (("window", reading.window),)
                lines[result.id, i, (*under, *window)][place[commit.key]].append(reading.values)
    if not lines:
        raise Unusable("no finished round of these cells, or none with these metrics, is in any file")
    return History(
        topological=is_topological,
        n_files=len(archive.runs),
        n_commits=len(order),
        first=_iso(order[0].time),
        last=_iso(order[-1].time),
        passed_over=archive.passed_over,
        notes=tuple(_notes(order, n_duplicates, unfit)),
        lines=tuple(_line(cell, TRACKED[i], under, lines[cell, i, under], order) for cell, i, under in sorted(lines)),
    )


def _without_duplicates(runs: Iterable[tuple[Run, Commit]]) -> tuple[list[tuple[Run, Commit, Result]], int]:
    """Every finished record once, by its first file, and how many records were found again."""
    seen: dict[tuple[str | None, bool, str], list[datetime]] = defaultdict(list)
    taken: list[tuple[Run, Commit, Result]] = []
    n_duplicates = 0
    for run, commit in runs:
        for result in run.results:
            if result.outcome.status == "error" or not result.rounds:
                continue
            times = seen[commit.id, commit.dirty, result.model_dump_json()]
            if any(abs(commit.ran - ran) <= SAME_RUN_WITHIN for ran in times):
                n_duplicates += 1
            else:
                taken.append((run, commit, result))
            times.append(commit.ran)
    return taken, n_duplicates


def _demand_known(option: str, asked: Collection[str], known: Collection[str]) -> None:
    for name in asked:
        if name not in known:
            raise Unusable(f"{option} {name}: unknown; there are {', '.join(sorted(known))}")


def _line(
    cell: str, metric: TrackedMetric, under: Conditions, values: Mapping[int, Values], order: tuple[Commit, ...]
) -> Line:
    points = tuple(_point(i, order[i], values[i], metric) for i in sorted(values))
    state: State = "tested"
    if metric.scale == "exact":
        state = "exact"
    elif len({point.value for point in points}) == 1:
        state = "constant"
    elif len(points) < MIN_COMMITS:
        state = "too few"
    return Line(
        cell=cell,
        metric=metric.name,
        unit=metric.unit,
        worse=metric.worse,
        under=tuple(Condition(fact=fact, value=value) for fact, value in under),
        state=state,
        points=points,
        changes=tuple(_changes(points, metric)) if state in ("exact", "tested") else (),
    )


def _point(place: int, commit: Commit, runs: Values, metric: TrackedMetric) -> Point:
    values = sorted(chain.from_iterable(runs))
    return Point(
        place=place,
        commit=commit.id or UNVERSIONED,
        time=_iso(commit.time),
        dirty=commit.dirty,
        value=metric.average(values),
        std=deviation(values) if len(values) > 1 and metric.scale != "exact" else None,
        n_runs=len(runs),
        n_values=len(values),
    )


def _changes(points: tuple[Point, ...], metric: TrackedMetric) -> Iterator[Change]:
    """The changes that a test found; of an exact metric every one. Levels are medians, of logarithms for ratios."""
    found: list[tuple[int, float, float, float, float | None]]
    if metric.scale == "exact":
        values = pairwise(point.value for point in points)
        found = [(i, was, is_, is_ - was, None) for i, (was, is_) in enumerate(values, start=1) if was != is_]
    else:
        scaled, unscaled, scaled_effect, unscaled_effect = SCALES[metric.scale]
        changed = change_points([scaled(point.value) for point in points], scaled_effect(metric.min_effect))
        found = [(c.index, unscaled(c.before), unscaled(c.after), unscaled_effect(c.shift), c.p) for c in changed]
    for i, before, after, effect, p in found:
        is_worse = None if metric.worse is None else (effect > 0) == (metric.worse == "more")
        yield Change(
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


def _notes(order: Iterable[Commit], n_duplicates: int, unfit: Mapping[str, int]) -> Iterator[str]:
    """What a reader should know of the whole."""
    n_dirty = sum(commit.dirty for commit in order)
    n_unversioned = sum(commit.id is None for commit in order)
    if n_dirty:
        yield f"{counted(n_dirty, 'run')} with uncommitted changes (*), each a point of its own"
    if n_unversioned:
        yield f"{counted(n_unversioned, 'run')} of no commit, each a point of its own, at its own time"
    if n_duplicates:
        yield f"{counted(n_duplicates, 'record')} in a second file, and counted once"
    for sentence in sorted(unfit):
        yield f"left out {'once' if unfit[sentence] == 1 else f'{unfit[sentence]} times'}: {sentence}"


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
