"""Which commit a run was of, and in which order commits came.

Where the repository that one stands in knows every commit, its own order holds: parents before children
(`git rev-list --topo-order`), whatever the clocks said. Elsewhere the commits' times order them, and the runs' own
times those that are of no commit.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

_ID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
GIT_S = 60
UNVERSIONED = "unversioned"


@dataclass(frozen=True, slots=True)
class Commit:
    """What a run was of. `id` is None outside a repository; `time`: the commit's, or when it ran; `ran`: when it ran.

    A run with uncommitted changes, or of no commit, is of nothing that another run is of too: it stands alone.
    """

    id: str | None
    time: datetime
    ran: datetime
    dirty: bool

    @property
    def key(self) -> tuple[str, str]:
        """The same for runs of the same commit, and for no others."""
        return self.id or UNVERSIONED, self.ran.isoformat() if self.dirty or self.id is None else ""


def commit_id(text: str | None) -> str | None:
    """A full hash, or None for whatever else stands in its place."""
    return text if text is not None and _ID.fullmatch(text) else None


def in_order(commits: Iterable[Commit], repository: Path) -> tuple[tuple[Commit, ...], bool]:
    """One commit a key, oldest first, and whether the repository around `repository` knew them all.

    Of several runs the first one stands for the commit.
    """
    first: dict[tuple[str, str], Commit] = {}
    for commit in sorted(commits, key=lambda commit: (commit.ran, commit.time)):
        first.setdefault(commit.key, commit)
    ids = {commit.id for commit in first.values() if commit.id is not None}
    rank = {} if any(commit.id is None for commit in first.values()) else _ranks(ids, repository)
    ordered = sorted(
        first.values(),
        key=lambda commit: (rank.get(commit.id or "", 0), commit.time, commit.id or "", commit.dirty, commit.ran),
    )
    return tuple(ordered), bool(rank)


def _ranks(ids: Iterable[str], repository: Path) -> dict[str, int]:
    """The place of each commit; nothing where git or the repository doesn't know them all."""
    wanted = sorted(ids)
    try:
        done = subprocess.run(
            ["git", "rev-list", "--topo-order", "--reverse", "--stdin"],
            input="".join(f"{each}\n" for each in wanted),
            cwd=repository,
            env={**os.environ, "GIT_NO_LAZY_FETCH": "1"},  # a partial clone would ask its server
            capture_output=True,
            text=True,
            timeout=GIT_S,
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}
    place = {each: i for i, each in enumerate(done.stdout.split())}
    return {each: place[each] for each in wanted} if place.keys() >= set(wanted) else {}
