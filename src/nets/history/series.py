"""Runs -> lines of comparable points, ordered by commit, with their changes; pure but for git's order of commits.

A line is a cell, a metric, and the facts that the gate demands to be the same (`nets.gate.comparability`). A point is a
commit: of times and of figures the median over all rounds of all its runs, of accuracy the mean, as in the record.
Disturbed rounds are left out of times where there are others. A run that is there twice (stored, and exported) counts
once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise, zip_longest
from pathlib import Path

from nets.errors import Unusable, counted
from nets.history.archive import Archive, Progress, Stored, silent
from nets.history.commits import UNVERSIONED, Commit, subjects
from nets.history.joint import changed_commits
from nets.history.records import Change, Condition, History, Line, Point, State
from nets.history.selection import Selection, select
from nets.history.tracked import SCALES, TRACKED, Conditions, Measured, Reading, TrackedMetric
from nets.stats.changepoints import MIN_COMMITS, change_points
from nets.stats.inference import deviation

SAME_RUN_WITHIN = timedelta(minutes=1)
"""The same figures, to the last digit, at moments no further apart are one run in two files."""
Key = tuple[str, int, Conditions]
"""A line's cell, the place of its metric in TRACKED, and what it was measured under."""
ALL = Selection()


def history(
    archive: Archive, repository: Path, cells: Collection[str] = (), metrics: Collection[str] = (),
    selection: Selection = ALL, progress: Progress = silent,
) -> History:  # fmt: skip
    """Every line of the archive, or those of some cells, metrics or commits.

    Commits are ordered by `repository` if it knows them. Raises Unusable for a cell, a metric or a commit that is
    unknown, and where no line is left.
    """
    _demand_known("--cells", cells, {cell.cell for run in archive.runs for cell in run.cells})
    _demand_known("--metric", metrics, {metric.name for metric in TRACKED})
    chosen = select([run.commit for run in archive.runs], selection, repository)
    order = chosen.commits
    place = {commit.key: i for i, commit in enumerate(order)}
    runs = [run for run in archive.runs if run.commit.key in place]
    taken, n_duplicates = _without_duplicates(runs)
    readings, unfit = _by_line([each for each in taken if not cells or each[1].cell in cells], place, metrics)
    if not readings:
        raise Unusable("no finished round of these cells, or none with these metrics, is in any file")
    lines = []
    for i, key in enumerate(sorted(readings)):
        progress("lines searched for changes", i, len(readings))
        lines.append(_line(key, readings[key], order))
    begins = {change.begins for line in lines for change in line.changes}
    return History(
        topological=chosen.topological,
        n_files=len(runs),
        n_commits=len(order),
        first=_iso(order[0].time),
        last=_iso(order[-1].time),
        passed_over=archive.passed_over,
        notes=(*chosen.notes, *_notes(order, n_duplicates, unfit, lines)),
        lines=tuple(lines),
        changed_commits=changed_commits(lines, subjects(begins - {UNVERSIONED}, repository)),
    )


def _without_duplicates(runs: Iterable[Stored]) -> tuple[list[tuple[Commit, Measured]], int]:
    """Every finished record once, by its first file, and how many records were found again."""
    seen: dict[tuple[str | None, bool, bytes], list[datetime]] = defaultdict(list)
    taken: list[tuple[Commit, Measured]] = []
    n_duplicates = 0
    for run in runs:
        commit = run.commit
        for cell in run.cells:
            times = seen[commit.id, commit.dirty, cell.digest]
            if any(abs(commit.ran - ran) <= SAME_RUN_WITHIN for ran in times):
                n_duplicates += 1
            else:
                taken.append((commit, cell))
            times.append(commit.ran)
    return taken, n_duplicates


def _by_line(
    taken: Iterable[tuple[Commit, Measured]], place: Mapping[tuple[str, str], int], metrics: Collection[str]
) -> tuple[Mapping[Key, Mapping[int, list[Reading]]], Counter[str]]:
    """Line -> commit's place -> readings, run by run; and how often figures were left out, by the reason."""
    lines: dict[Key, dict[int, list[Reading]]] = defaultdict(lambda: defaultdict(list))
    unfit: Counter[str] = Counter()
    for commit, cell in taken:
        for i, reading in cell.readings:
            name = TRACKED[i].name
            if metrics and name not in metrics:
                continue
            if reading.because is not None:
                unfit[f"{cell.cell} {name}: {reading.because}"] += 1
            if reading.values:
                window = () if reading.window is None else (("window", reading.window),)
                lines[cell.cell, i, (*cell.under, *window)][place[commit.key]].append(reading)
    return lines, unfit


def _demand_known(option: str, asked: Collection[str], known: Collection[str]) -> None:
    for name in asked:
        if name not in known:
            raise Unusable(f"{option} {name}: unknown; there are {', '.join(sorted(known))}")


def _line(key: Key, readings: Mapping[int, list[Reading]], order: tuple[Commit, ...]) -> Line:
    cell, i, under = key
    metric = TRACKED[i]
    points = tuple(_point(i, order[i], readings[i], metric) for i in sorted(readings))
    state = _state(points, metric)
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


def _state(points: tuple[Point, ...], metric: TrackedMetric) -> State:
    is_exact = metric.scale == "exact"
    if len(points) < (2 if is_exact else MIN_COMMITS):
        return "too few"
    if is_exact:
        return "exact"
    return "constant" if len({point.value for point in points}) == 1 else "tested"


def _point(place: int, commit: Commit, runs: list[Reading], metric: TrackedMetric) -> Point:
    """The value of a commit: without disturbed rounds, unless there is no other."""
    every = [value for reading in runs for value in reading.values]
    quiet = [
        value
        for reading in runs
        for value, is_disturbed in zip_longest(reading.values, reading.disturbed, fillvalue=False)
        if not is_disturbed
    ]
    values = sorted(quiet or every)
    return Point(
        place=place,
        commit=commit.id or UNVERSIONED,
        time=_iso(commit.time),
        dirty=commit.dirty,
        value=metric.average(values),
        std=deviation(values) if len(values) > 1 and metric.scale != "exact" else None,
        n_runs=len(runs),
        n_values=len(values),
        n_left_out=len(every) - len(values),
        disturbed=not quiet,
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


def _notes(
    order: Iterable[Commit], n_duplicates: int, unfit: Mapping[str, int], lines: Iterable[Line]
) -> Iterator[str]:
    """What a reader should know of the whole."""
    yield from _disturbed_notes(lines)
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


def _disturbed_notes(lines: Iterable[Line]) -> Iterator[str]:
    """How many rounds were disturbed: each is in the lines of total, training and evaluation, and counts once."""
    left_out: dict[tuple[str, tuple[Condition, ...], int], int] = {}
    alone = set()
    for line in lines:
        for point in line.points:
            where = (line.cell, line.under, point.place)
            if point.n_left_out:
                left_out[where] = point.n_left_out
            if point.disturbed:
                alone.add(where)
    if left_out:
        rounds, points = counted(sum(left_out.values()), "disturbed round"), counted(len(left_out), "point")
        yield f"{rounds} left out of the times of {points}, which have others"
    if alone:
        yield f"the times of {counted(len(alone), 'point')} are of disturbed rounds alone (~)"


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
