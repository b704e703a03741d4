"""Finds the first bad commit between two, by git's own bisection and a comparison of each commit with the good one.

git keeps which commits are good, bad or skipped, in a worktree of our own, so that neither the user's working tree nor
a bisection of theirs is touched. What each comparison said is kept in a file, from which a bisection that was stopped
goes on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from nets.ab import worktree
from nets.ab.child import CellsRefused, SideFailed
from nets.errors import Unusable
from nets.gate.findings import FAILING, INCONCLUSIVE, Finding, Gate
from nets.records import durable
from nets.records.base import Record
from nets.records.foreign import read_json
from nets.records.git import git

Answer = Literal["good", "bad", "skip"]
"""git's own words for a commit."""
_ITSELF = "cell"
"""The metric of a finding on the cell itself: that it is missing."""


class Step(Record):
    """A commit that was compared with the good one: the answer, why, and the findings on what has regressed."""

    commit: str
    answer: Answer
    because: str
    findings: tuple[Finding, ...] = ()


class Bisection(Record):
    """All that a bisection knows; `how`: the options by which commits are compared, `targets`: what has regressed."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    kind: Literal["bisection"] = "bisection"
    good: str
    bad: str
    how: tuple[str, ...]
    targets: tuple[tuple[str, str], ...]
    steps: tuple[Step, ...]

    def step(self, commit: str) -> Step | None:
        """What is known of a commit."""
        return next((step for step in self.steps if step.commit == commit), None)


Compare = Callable[[str, tuple[str, ...]], Gate]
"""Compares a commit with the good one, on cells, none for all. Raises SideFailed for a side that can't be run."""


def answered(commit: str, gate: Gate, targets: tuple[tuple[str, str], ...]) -> Step:
    """What a comparison says of a commit: bad if a target has regressed, good if each is known not to have."""
    found = {(finding.cell, finding.metric): finding for finding in gate.findings}
    of_targets = tuple(found[target] for target in targets if target in found)
    worse = [finding for finding in of_targets if finding.status in FAILING]
    present = {finding.cell for finding in gate.findings}
    unknown = [target for target in targets if _is_unknown(target, found.get(target), present)]
    if worse:
        return Step(commit=commit, answer="bad", because="; ".join(map(_told, worse)), findings=of_targets)
    if unknown:
        because = "; ".join(_why_unknown(cell, gate) for cell in dict.fromkeys(cell for cell, _ in unknown))
        return Step(commit=commit, answer="skip", because=because, findings=of_targets)
    told = [_told(found[target]) if target in found else f"{target[0]} is there" for target in targets]
    return Step(commit=commit, answer="good", because="; ".join(told), findings=of_targets)


def not_run(commit: str, error: SideFailed, targets: tuple[tuple[str, str], ...]) -> Step:
    """What is known of a commit that can't be run: nothing, unless it refuses the names of cells that went missing."""
    missing = [cell for cell, metric in targets if metric == _ITSELF]
    if missing and isinstance(error, CellsRefused):
        return Step(commit=commit, answer="bad", because="; ".join(f"{cell} is missing" for cell in missing))
    return Step(commit=commit, answer="skip", because=str(error))


def _is_unknown(target: tuple[str, str], finding: Finding | None, present: Collection[str]) -> bool:
    """Whether nothing is known of a target; `present`: the cells of which something was found."""
    cell, metric = target
    if finding is None:
        return metric != _ITSELF or cell not in present  # nothing is said of a cell itself that is just there
    return finding.status in INCONCLUSIVE


def _why_unknown(cell: str, gate: Gate) -> str:
    reasons = [
        finding.because
        for finding in gate.findings
        if finding.cell == cell and finding.because and finding.status in (*INCONCLUSIVE, *FAILING)
    ]
    return f"{cell}: {reasons[0] if reasons else 'it was not measured'}"


def _told(finding: Finding) -> str:
    interval = ""
    if finding.low is not None and finding.high is not None:
        low, high = (finding.replace(effect=bound).effect_text for bound in (finding.low, finding.high))
        interval = f" ({low} to {high})"
    return f"{finding.cell} {finding.metric} {finding.effect_text or finding.status}{interval}"


class Bisector:
    """A bisection under way, kept in a file after each step; `nothing_because`: why there are no targets."""

    def __init__(self, good: str, bad: str, how: tuple[str, ...], file: Path, compare: Compare) -> None:
        """`good`, `bad`: commits, whole; what the file knows of the same question is used."""
        self._file, self._compare = file, compare
        self.known = _known(file, good, bad, how)
        self.nothing_because = "it has not regressed"

    def targets(self) -> tuple[tuple[str, str], ...]:
        """What has regressed from the good to the bad commit: by a comparison, unless it is known. Raises Unusable."""
        if not self.known.targets:
            gate = self._compare(self.known.bad, ())
            targets = tuple((finding.cell, finding.metric) for finding in gate.with_status(*FAILING))
            if targets:
                self._keep(answered(self.known.bad, gate, targets), targets)
            elif unknown := gate.with_status(*INCONCLUSIVE):
                self.nothing_because = f"it can't be told: {unknown[0].cell} {unknown[0].metric}: {unknown[0].because}"
        return self.known.targets

    def run(self, folder: Path, say: Callable[[str], None]) -> tuple[str, ...]:
        """Bisect in a worktree of ours, from the commits that are known on; the first bad commit.

        Several, where all that are left had to be skipped: it is one of them.
        """
        cells = tuple(dict.fromkeys(cell for cell, _ in self.known.targets))
        _git_bisect(folder, "start", "--no-checkout", self.known.bad, self.known.good)
        for step in self.known.steps:
            if step.commit != self.known.bad:
                _git_bisect(folder, step.answer, step.commit)
        while not (found := _found(folder)):
            commit = git("rev-parse", "--verify", "--quiet", "BISECT_HEAD", folder=folder)
            say(f"{_n_left(folder)} left; next: {subject(commit, folder)}")
            try:
                step = answered(commit, self._compare(commit, cells), self.known.targets)
            except SideFailed as error:
                if error.side == "base":
                    raise
                step = not_run(commit, error, self.known.targets)
            self._keep(step, self.known.targets)
            say(f"{step.answer}: {subject(commit, folder)}: {step.because}")
            _git_bisect(folder, step.answer, commit)
        return found

    def _keep(self, step: Step, targets: tuple[tuple[str, str], ...]) -> None:
        self.known = self.known.replace(targets=targets, steps=(*self.known.steps, step))
        durable.write(self._file, json.dumps(self.known.to_json(), allow_nan=False, indent=1) + "\n")


def _known(file: Path, good: str, bad: str, how: tuple[str, ...]) -> Bisection:
    """What a file knows of this question; nothing where it is of another one, or is none of ours."""
    with suppress(Unusable, ValidationError):
        known = Bisection.model_validate_json(json.dumps(read_json(file)))
        if (known.good, known.bad, known.how) == (good, bad, how):
            return known
    return Bisection(good=good, bad=bad, how=how, targets=(), steps=())


@contextmanager
def own_worktree(good: str, bad: str) -> Iterator[tuple[Path, str, str]]:
    """A worktree at the bad commit, for git's bisection, and both commits. Raises Unusable where they are no range."""
    commits = [worktree.commit_of(revision) for revision in (good, bad)]
    if commits[0] == commits[1]:
        raise Unusable(f"{good} and {bad} are the same commit: there is nothing between them")
    if not _is_ancestor(commits[0], commits[1]):
        if _is_ancestor(commits[1], commits[0]):
            raise Unusable(f"{good} comes after {bad}: name the good one, which is older, first")
        try:
            git("merge-base", *commits)
        except Unusable as error:
            shallow = git("rev-parse", "--is-shallow-repository") == "true"
            because = "; this is a shallow clone, which has to fetch what lies between" if shallow else ""
            raise Unusable(f"{good} and {bad} have no commit in common{because}") from error
    with worktree.checked_out(commits[1]) as (checkout,):
        yield checkout.folder, commits[0], commits[1]


def _is_ancestor(older: str, newer: str) -> bool:
    try:
        git("merge-base", "--is-ancestor", older, newer)
    except Unusable:
        return False
    return True


def _git_bisect(folder: Path, *arguments: str) -> None:
    """A step of git's; where only skipped commits are left it fails, which its log says too."""
    try:
        git("bisect", *arguments, folder=folder)
    except Unusable:
        if not _found(folder):
            raise


def _found(folder: Path) -> tuple[str, ...]:
    """The end, by git's log; none while there is none."""
    log = git("bisect", "log", folder=folder)
    for pattern in (r"^# first bad commit: \[(\w+)\]", r"^# possible first bad commit: \[(\w+)\]"):
        if commits := re.findall(pattern, log, re.MULTILINE):
            return tuple(commits)
    return ()


def _n_left(folder: Path) -> str:
    good = git("for-each-ref", "--format=%(objectname)", "refs/bisect/good-*", folder=folder).split()
    n = int(git("rev-list", "--count", "refs/bisect/bad", "--not", *good, folder=folder))
    return "one commit" if n == 1 else f"{n} commits"


def conclusion(known: Bisection, found: tuple[str, ...], folder: Path) -> Iterator[str]:
    """What was found, in sentences: the commit, its subject, and what has regressed before it and with it."""
    if len(found) > 1:
        yield f"the first bad commit is one of these {len(found)}; those that were skipped can't be told from it:"
        yield from (f"  {subject(commit, folder)}" for commit in found)
        return
    (commit,) = found
    author = git("log", "-1", "--format=%an, %as", commit, folder=folder)
    yield f"the first bad commit is {subject(commit, folder)}, by {author}"
    parents = git("log", "-1", "--format=%P", commit, folder=folder).split()
    for name, each in (*(("before it", parent) for parent in parents), ("with it", commit)):
        step = known.step(each)
        if each == known.good:
            yield f"{name}: {subject(each, folder)}: the good commit itself"
        elif step is not None:
            yield f"{name}: {subject(each, folder)}: {step.because}"


def subject(commit: str, folder: Path | None = None) -> str:
    """A commit as a person knows it: its short name and its subject."""
    return git("log", "-1", "--format=%h %s", commit, folder=folder)
