"""A folder of result files -> runs, each with its commit; and in which order commits came.

A file that is no result file is named, with the reason, and passed over. Where the repository that one stands in knows
every commit, its own order holds: parents before children (`git rev-list --topo-order`), whatever the clocks said.
Elsewhere the commits' times order them, and the runs' own times those that are of no commit.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nets.errors import Unusable
from nets.records.run import Run, read_run

NOT_SEARCHED = {".git", ".hg", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".venv", "node_modules"}
"""Folders in a repository that hold no results, and thousands of files."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A run, and the commit that it was of."""

    run: Run
    commit: Commit


@dataclass(frozen=True, slots=True)
class Archive:
    """All usable runs below a folder, by path, and a sentence for each file or folder that is not usable."""

    runs: tuple[Stored, ...]
    passed_over: tuple[str, ...]


def read_archive(folder: Path, without: Iterable[Path] = ()) -> Archive:
    """Read every `*.json` below `folder`, but for those `without`. Raises Unusable where nothing there is usable."""
    if not folder.exists():
        raise Unusable(f"{folder}: there is no such folder")
    if not folder.is_dir():
        raise Unusable(f"{folder}: not a folder; give the one that holds the result files")
    left_out = {path.absolute() for path in without}
    found: list[Stored] = []
    passed_over: list[str] = []
    for path in _files(folder, passed_over):
        if path.absolute() in left_out:
            continue
        try:
            found.append(stored(path))
        except Unusable as error:
            passed_over.append(_text(error))
    if not found:
        why = f": {passed_over[0]}" if len(passed_over) == 1 else ""
        n = {0: "no JSON file", 1: "one JSON file"}.get(len(passed_over), f"{len(passed_over)} JSON files")
        raise Unusable(
            f"{_text(folder)}: no result file of nets in it ({n}{why}); "
            f"--benchmark-autosave and --benchmark-json write them"
        )
    return Archive(tuple(found), tuple(passed_over))


def stored(path: Path) -> Stored:
    """Read one result file. Raises Unusable, naming the file and the field."""
    run = read_run(path)
    run.demand_one_record_a_cell()
    if not run.results:
        raise Unusable(f"{path}: it holds no finished cell")
    if run.ran is None:
        raise Unusable(f"{path}: field 'datetime' is missing: when it ran is not known")
    info = run.commit
    ran = _time(run.ran, f"{path}: field 'datetime'")
    commit = commit_id(info.id)
    of_commit = None if commit is None or not info.time else _time(info.time, f"{path}: field 'commit_info.time'")
    return Stored(run, Commit(commit, ran if of_commit is None else of_commit, ran, info.dirty))


def _files(folder: Path, passed_over: list[str]) -> Iterator[Path]:
    """Every `*.json`, in the order of the paths; links to folders are not followed, since they may lead in circles."""

    def refuse(error: OSError) -> None:
        passed_over.append(_text(f"{error.filename}: it can't be listed: {error.strerror}"))

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if name not in NOT_SEARCHED)
        yield from (Path(parent) / name for name in sorted(names) if name.lower().endswith(".json"))


def _time(text: str, where: str) -> datetime:
    """A moment in UTC; without an offset it is taken to be that already."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Unusable(f"{where} is no time: {text!r:.80}") from error


def _text(message: object) -> str:
    """A sentence that can be written: a file's name need not be text."""
    return str(message).encode(errors="replace").decode()


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
