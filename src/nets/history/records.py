"""The parts of a history: lines, points, changes; frozen records, as `--json` writes them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nets.records.base import Record
from nets.records.metrics import Worse
from nets.stats.changepoints import MIN_COMMITS

State = Literal["tested", "too few", "constant", "exact"]
"""Whether changes were sought by a test, or why not: `too few` commits for a change to be found, whatever the values; a
value that is `constant`; or an `exact` one, which varies only if the network does."""
Direction = Literal["worse", "better"]


class Condition(Record):
    """A fact that is the same for all points of a line."""

    fact: str
    value: str


class Point(Record):
    """A commit's value. `place`: the commit's among all, oldest first. `time`: UTC, the commit's if it is known.

    `std`: of the rounds' values, null where there is but one. Disturbed rounds are left out of times, `n_left_out` of
    them; or, where every round was `disturbed`, none is.
    """

    place: int = Field(ge=0)
    commit: str
    time: str
    dirty: bool
    value: float
    std: float | None
    n_runs: int = Field(ge=1)
    n_values: int = Field(ge=1)
    n_left_out: int = Field(default=0, ge=0)
    disturbed: bool = False


class Change(Record):
    """A level that begins at a commit; whatever changed it came after the commit `since`, the last measured before.

    `effect`: after over before, less 1 (0.1: a tenth more); of accuracy and counts after less before. `p`: its test's,
    or what it can't exceed; null where the value is exact and there is nothing to test. `direction`: null where neither
    is worse.
    """

    begins: str
    time: str
    since: str
    index: int = Field(ge=1)
    before: float
    after: float
    effect: float
    p: float | None
    direction: Direction | None


class Line(Record):
    """One metric of one cell under conditions that may be compared, by commit, oldest first."""

    cell: str
    metric: str
    unit: str
    worse: Worse | None
    under: tuple[Condition, ...]
    state: State
    points: tuple[Point, ...] = Field(min_length=1)
    changes: tuple[Change, ...]


class PartOfChange(Record):
    """Another metric of a cell that changes with one; `begins` may be a neighbouring commit."""

    metric: str
    begins: str
    effect: float


class JointChange(Record):
    """A change of a cell's metric, and of those that go with it. `disturbed`: every round of its first commit was."""

    cell: str
    metric: str
    under: tuple[Condition, ...]
    since: str
    before: float
    after: float
    effect: float
    direction: Direction | None
    disturbed: bool
    parts: tuple[PartOfChange, ...]


class ChangedCommit(Record):
    """A commit at which levels begin. `subject`: of its message, as it stands there; null where git doesn't know it."""

    begins: str
    time: str
    dirty: bool
    subject: str | None
    changes: tuple[JointChange, ...] = Field(min_length=1)


class History(Record):
    """Every line, by cell, metric and conditions. `topological`: commits are in the repository's order, not in time's.

    `first`, `last`: the times of the oldest and newest commit. `passed_over`: a sentence for each unusable file.
    `changed_commits`: the lines' changes once more, by commit, oldest first, each cause once. `min_commits`: a line
    that is tested has as many.
    """

    schema_: Literal[1] = Field(default=1, alias="schema")
    kind: Literal["history"] = "history"
    topological: bool
    n_files: int
    n_commits: int
    first: str
    last: str
    passed_over: tuple[str, ...]
    notes: tuple[str, ...]
    lines: tuple[Line, ...]
    changed_commits: tuple[ChangedCommit, ...] = ()
    min_commits: int = MIN_COMMITS
