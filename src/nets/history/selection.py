"""Which of the stored runs are looked at: of a branch, since a date or a revision, the last so many commits.

The repository around decides where it knows the commits; what it doesn't know is told by what the run recorded: the
branch that was checked out, and the commit's time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nets.errors import Unusable, counted
from nets.history.commits import Commit, in_order, known, not_before, reachable, revision, time_of, utc

_DATE = re.compile(r"\d{4}-\d\d-\d\d.*")
_ABBREVIATED = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True, slots=True)
class Selection:
    """`since`: a date (UTC), or a revision, itself included; `last`: so many commits; `branch`: its commits."""

    since: str | None = None
    last: int | None = None
    branch: str | None = None


@dataclass(frozen=True, slots=True)
class Selected:
    """The commits that are looked at, oldest first; whether in the repository's order; a sentence on the others."""

    commits: tuple[Commit, ...]
    topological: bool
    notes: tuple[str, ...]


def select(commits: Sequence[Commit], selection: Selection, repository: Path) -> Selected:
    """The commits of all runs -> those that are asked for. Raises Unusable for a wrong option, and if none is left."""
    kept, notes = commits, []
    if selection.branch is not None:
        kept = _of_branch(kept, selection.branch, repository)
        notes.append(_left_out(len(commits) - len(kept), "of other branches"))
    if selection.since is not None:
        n = len(kept)
        kept = _since(kept, selection.since, repository)
        notes.append(_left_out(n - len(kept), f"from before {selection.since}"))
    order, is_topological = in_order(kept, repository)
    if selection.last is not None and len(order) > selection.last:
        notes.append(f"the last {counted(selection.last, 'commit')} of {len(order)}: --last")
        order = order[-selection.last :]
    return Selected(order, is_topological, tuple(filter(None, notes)))


def _left_out(n: int, of: str) -> str | None:
    return f"{counted(n, 'run')} {of} left out" if n else None


def _of_branch(commits: Sequence[Commit], branch: str, repository: Path) -> Sequence[Commit]:
    """Those that can be reached from the branch; of those that the repository doesn't know, those that recorded it."""
    tip = revision(branch, repository)
    there = frozenset[str]() if tip is None else known(_ids(commits), repository)
    reached = frozenset[str]() if tip is None else reachable(tip, repository)
    kept = [each for each in commits if (each.id in reached if each.id in there else each.branch == branch)]
    if kept:
        return kept
    recorded = ", ".join(sorted({each.branch for each in commits if each.branch is not None})[:10]) or "none"
    if tip is None:
        raise Unusable(
            f"--branch {branch}: neither the repository around {repository} nor any run knows it; "
            f"recorded are {recorded}"
        )
    raise Unusable(f"--branch {branch}: no run is of a commit that can be reached from it; recorded are {recorded}")


def _since(commits: Sequence[Commit], since: str, repository: Path) -> Sequence[Commit]:
    """Those from a date or a revision on; a commit that the repository doesn't know is placed by its time."""
    moment, later, there = _moment(since), frozenset[str](), frozenset[str]()
    if moment is None and (commit := revision(since, repository)) is not None:
        there = known(_ids(commits), repository)
        later = not_before(commit, there, repository) if there else later
        moment = time_of(commit, repository)
    if moment is None:
        moment = _recorded(since, commits)
    if moment is None:
        raise Unusable(
            f"--since {since}: neither a date (2026-10-01), nor a revision of the repository around {repository}, "
            f"nor a stored commit's hash"
        )
    kept = [each for each in commits if (each.id in later if each.id in there else each.time >= moment)]
    if not kept:
        newest = max(commits, key=lambda each: each.time)
        raise Unusable(f"--since {since}: no stored commit is as new; the newest is of {newest.time.date()}")
    return kept


def _moment(text: str) -> datetime | None:
    """A date or a time. Raises Unusable for one that looks so and is none."""
    if not _DATE.fullmatch(text):
        return None
    try:
        return utc(text)
    except (ValueError, OverflowError) as error:
        raise Unusable(f"--since {text}: no date; one is 2026-10-01, or 2026-10-01T12:00") from error


def _recorded(text: str, commits: Sequence[Commit]) -> datetime | None:
    """The time of the stored commit whose hash begins so. Raises Unusable where several do."""
    if not _ABBREVIATED.fullmatch(text):
        return None
    times = {each.id: each.time for each in commits if each.id is not None and each.id.startswith(text)}
    if len(times) > 1:
        raise Unusable(f"--since {text}: {len(times)} stored commits begin so; give more of the hash")
    return next(iter(times.values()), None)


def _ids(commits: Sequence[Commit]) -> frozenset[str]:
    return frozenset(each.id for each in commits if each.id is not None)
