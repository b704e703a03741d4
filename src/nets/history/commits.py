"""Commits: which there are, in what order, and what the repository around says of them.

Where the repository knows every commit, its own order holds: parents before children (`git rev-list --topo-order`),
whatever the clocks said. Elsewhere commits are ordered by their times, and runs that belong to no commit by their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nets.errors import Unusable
from nets.records.git import git

GIT_TIMEOUT_S = 60
UNVERSIONED = "unversioned"


@dataclass(frozen=True, slots=True)
class Commit:
    """What a run measured. `id` is None outside a repository; `time`: the commit's, or the run's; `ran`: the run's.

    A run with uncommitted changes, or of no commit, measured what no other run did: it is a point of its own.
    `branch`: the one that was checked out, as the run recorded it.
    """

    id: str | None
    time: datetime
    ran: datetime
    dirty: bool
    branch: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """The same for runs of the same commit, and for no others."""
        return self.id or UNVERSIONED, self.ran.isoformat() if self.dirty or self.id is None else ""


def utc(text: str) -> datetime:
    """A moment in UTC; without an offset it is taken to be in UTC already. Raises ValueError, or OverflowError."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def in_order(commits: Iterable[Commit], repository: Path) -> tuple[tuple[Commit, ...], bool]:
    """One commit for each key, oldest first, and whether the repository around `repository` knew them all.

    Of several runs the first one stands for the commit.
    """
    first: dict[tuple[str, str], Commit] = {}
    for commit in sorted(commits, key=lambda commit: (commit.ran, commit.time)):
        first.setdefault(commit.key, commit)
    rank = _ranks([commit.id for commit in first.values()], repository)
    ordered = sorted(
        first.values(),
        key=lambda commit: (rank.get(commit.id or "", 0), commit.time, commit.id or "", commit.dirty, commit.ran),
    )
    return tuple(ordered), bool(rank)


def _ranks(ids: list[str | None], repository: Path) -> dict[str, int]:
    """The place of each commit; nothing where one has no id, or git or the repository doesn't know them all."""
    wanted = sorted({each for each in ids if each is not None})
    if None in ids:
        return {}
    try:
        known = _asked(repository, "rev-list", "--topo-order", "--reverse", "--stdin", given=wanted)
    except (Unusable, ValueError):
        return {}
    place = {each: i for i, each in enumerate(known)}
    return {each: place[each] for each in wanted} if place.keys() >= set(wanted) else {}


def subjects(ids: Iterable[str], repository: Path) -> Mapping[str, str]:
    """The first line of each commit's message, of those that the repository knows; nothing where there is none."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    try:
        options = ("--no-walk", "--ignore-missing", "--stdin", "--encoding=UTF-8", "--format=%H %s")
        lines = _asked(repository, "rev-list", *options, given=wanted)
    except (Unusable, ValueError):
        return {}
    parted = (line.partition(" ") for line in lines)  # above each is a line `commit HASH`
    return {commit: subject for commit, _, subject in parted if commit in wanted and subject}


def known(ids: Iterable[str], repository: Path) -> frozenset[str]:
    """Those that the repository has; none where there is no repository, or no git."""
    try:
        lines = _asked(repository, "cat-file", "--batch-check", given=sorted(set(ids)))
    except (Unusable, ValueError):
        return frozenset()
    return frozenset(line.split()[0] for line in lines if line.split()[1:2] == ["commit"])


def revision(name: str, repository: Path) -> str | None:
    """The hash of the commit that a branch, a tag or anything else names; None where the repository knows none."""
    try:
        return git(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}",
            folder=repository, may_fetch=False, timeout_s=GIT_TIMEOUT_S,
        )  # fmt: skip
    except (Unusable, ValueError):
        return None


def time_of(commit: str, repository: Path) -> datetime:
    """When it was committed. Raises Unusable where the repository doesn't know it."""
    *_, seconds = _asked(repository, "rev-list", "--no-walk", "--format=%ct", commit)
    return datetime.fromtimestamp(int(seconds), UTC)


def reachable(commit: str, repository: Path) -> frozenset[str]:
    """A commit and all that came before it. Raises Unusable where the repository doesn't know it."""
    return frozenset(_asked(repository, "rev-list", commit))


def not_before(commit: str, ids: Iterable[str], repository: Path) -> frozenset[str]:
    """Those of `ids`, all of them known, that are no ancestors of `commit`; itself is among them, if it is in `ids`.

    What else is reachable from `ids` is, too.
    """
    given = [*sorted(set(ids)), f"^{commit}^@"]  # whatever its parents reach
    return frozenset(_asked(repository, "rev-list", "--stdin", given=given))


def _asked(repository: Path, *arguments: str, given: Iterable[str] | None = None) -> list[str]:
    """The lines that a git command prints, `given` on its standard input. Raises Unusable, and ValueError for a NUL."""
    text = None if given is None else "".join(f"{each}\n" for each in given)
    printed = git(*arguments, folder=repository, given=text, may_fetch=False, timeout_s=GIT_TIMEOUT_S)
    return printed.split("\n")  # a subject may hold other separators of lines
