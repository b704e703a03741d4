"""Changes by commit, each cause told once: what changes with a cell's total time is a part of that change; pure.

Training and evaluation are parts of a round, and the processor's seconds, the energy and the utilization go with its
time. Where they change within two commits of it in the same direction (noise places a change no better), that is one
change and not three. Accuracy, memory and the network are causes of their own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from nets.history.records import Change, ChangedCommit, JointChange, Line, PartOfChange, Point

GO_WITH_TIME = (
    "total_s", "train_s", "eval_s", "core_s", "energy_j", "energy_per_step_j", "utilization_pct",
    "trace_gpu_utilization_pct", "trace_sm_efficiency_pct",
)  # fmt: skip
"""The first of these that changed is told, and those after it as its parts."""
WITHIN = 2
"""Measured commits between a change and its part, at most."""


def changed_commits(lines: Iterable[Line], subjects: Mapping[str, str]) -> tuple[ChangedCommit, ...]:
    """The commits at which something begins, oldest first, each change once. `subjects`: of the commits known."""
    by_place: dict[int, list[tuple[Point, Change, JointChange]]] = defaultdict(list)
    for point, change, joint in joint_changes(lines):
        by_place[point.place].append((point, change, joint))
    return tuple(
        ChangedCommit(
            begins=found[0][1].begins,
            time=found[0][1].time,
            dirty=found[0][0].dirty,
            subject=subjects.get(found[0][1].begins),
            changes=tuple(joint for *_, joint in found),
        )
        for _, found in sorted(by_place.items())
    )


def joint_changes(lines: Iterable[Line]) -> Iterator[tuple[Point, Change, JointChange]]:
    """Every change that is no part of another, with its parts and the point where it begins."""
    groups: dict[tuple[object, ...], list[Line]] = defaultdict(list)
    for line in lines:
        window = tuple(condition for condition in line.under if condition.fact != "window")
        groups[line.cell, window].append(line)
    for group in groups.values():
        taken: set[tuple[int, int]] = set()
        with_time = sorted((line for line in group if line.metric in GO_WITH_TIME), key=_rank)
        for i, line in enumerate(with_time):
            for change in line.changes:
                if (i, change.index) not in taken:
                    parts = tuple(_parts(line, change, with_time, i, taken))
                    yield line.points[change.index], change, _joint(line, change, parts)
        for line in group:
            if line.metric not in GO_WITH_TIME:
                for change in line.changes:
                    yield line.points[change.index], change, _joint(line, change, ())


def _rank(line: Line) -> int:
    return GO_WITH_TIME.index(line.metric)


def _parts(
    line: Line, change: Change, lines: list[Line], i: int, taken: set[tuple[int, int]]
) -> Iterator[PartOfChange]:
    """What of the lines after the i-th changes with it, and is no part of another change; it is taken."""
    places = [point.place for point in line.points]

    def distance(other: Line, index: int) -> int:
        return abs(bisect_left(places, other.points[index].place) - change.index)

    for j, other in enumerate(lines[i + 1 :], i + 1):
        near = [
            each
            for each in other.changes
            if each.direction == change.direction
            and (j, each.index) not in taken
            and distance(other, each.index) <= WITHIN
        ]
        if near:
            nearest = min(near, key=lambda each: distance(other, each.index))
            taken.add((j, nearest.index))
            yield PartOfChange(metric=other.metric, begins=nearest.begins, effect=nearest.effect)


def _joint(line: Line, change: Change, parts: tuple[PartOfChange, ...]) -> JointChange:
    return JointChange(
        cell=line.cell,
        metric=line.metric,
        under=line.under,
        since=change.since,
        before=change.before,
        after=change.after,
        effect=change.effect,
        direction=change.direction,
        disturbed=line.points[change.index].disturbed,
        parts=parts,
    )
