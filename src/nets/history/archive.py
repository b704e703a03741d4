"""A folder of result files -> runs, each with its commit; and the order of the commits.

A file that is no result file is skipped, and named with the reason. Where the repository around the folder knows every
commit, its own order holds: parents before children (`git rev-list --topo-order`), whatever the clocks said. Elsewhere
commits are ordered by their times, and runs that belong to no commit by their own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nets.errors import Unusable, counted
from nets.records.git import git
from nets.records.run import Run, read_run

NOT_SEARCHED = {".git", ".hg", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".venv", "node_modules"}
"""Folders in a repository that hold no results, and thousands of files."""
GIT_TIMEOUT_S = 60
UNVERSIONED = "unversioned"
_FULL_HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@dataclass(frozen=True, slots=True)
class Commit:
    """What a run measured. `id` is None outside a repository; `time`: the commit's, or the run's; `ran`: the run's.

    A run with uncommitted changes, or of no commit, measured what no other run did: it is a point of its own.
    """

    id: str | None
    time: datetime
    ran: datetime
    dirty: bool

    @property
    def key(self) -> tuple[str, str]:
        """The same for runs of the same commit, and for no others."""
        return self.id or UNVERSIONED, self.ran.isoformat() if self.dirty or self.id is None else ""


@dataclass(frozen=True, slots=True)
class Archive:
    """All usable runs below a folder, by path, each with its commit; a sentence for each file or folder not usable."""

    runs: tuple[tuple[Run, Commit], ...]
    passed_over: tuple[str, ...]


def read_archive(folder: Path, without: Iterable[Path] = ()) -> Archive:
    """Read every `*.json` below `folder`, but for those `without`. Raises Unusable where nothing there is usable."""
    if not folder.exists():
        raise Unusable(f"{folder}: there is no such folder")
    if not folder.is_dir():
        raise Unusable(f"{folder}: not a folder; give the one that holds the result files")
    left_out = {path.absolute() for path in without}
    found: list[tuple[Run, Commit]] = []
    passed_over: list[str] = []
    for path in _json_files(folder, passed_over):
        if path.absolute() in left_out:
            continue
        try:
            found.append(_read(path))
        except Unusable as error:
            passed_over.append(_printable(error))
    if not found:
        why = f": {passed_over[0]}" if len(passed_over) == 1 else ""
        n = counted(len(passed_over), "JSON file") if passed_over else "no JSON file"
        raise Unusable(
            f"{_printable(folder)}: no result file of nets in it ({n}{why}); "
            f"--benchmark-autosave and --benchmark-json write them"
        )
    return Archive(tuple(found), tuple(passed_over))


def _read(path: Path) -> tuple[Run, Commit]:
    """Read one result file. Raises Unusable, naming the file and the field."""
    run = read_run(path)
    run.demand_one_record_a_cell()
    if not run.results:
        raise Unusable(f"{path}: it holds no finished cell")
    if run.ran is None:
        raise Unusable(f"{path}: field 'datetime' is missing: when it ran is not known")
    info = run.commit
    ran = _utc(run.ran, f"{path}: field 'datetime'")
    commit = info.id if info.id is not None and _FULL_HASH.fullmatch(info.id) else None
    time = _utc(info.time, f"{path}: field 'commit_info.time'") if commit is not None and info.time else ran
    return run, Commit(commit, time, ran, info.dirty)


def _json_files(folder: Path, passed_over: list[str]) -> Iterator[Path]:
    """Every `*.json`, in the order of the paths; links to folders are not followed, since they may lead in circles."""

    def refuse(error: OSError) -> None:
        passed_over.append(_printable(f"{error.filename}: it can't be listed: {error.strerror}"))

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if name not in NOT_SEARCHED)
        yield from (Path(parent) / name for name in sorted(names) if name.lower().endswith(".json"))


def _utc(text: str, where: str) -> datetime:
    """A moment in UTC; without an offset it is taken to be in UTC already."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Unusable(f"{where} is no time: {text!r:.80}") from error


def _printable(message: object) -> str:
    """A message that can be encoded: a file's name may hold bytes that are no text."""
    return str(message).encode(errors="replace").decode()


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
    listed = "".join(f"{each}\n" for each in wanted)
    order = ("rev-list", "--topo-order", "--reverse", "--stdin")
    try:
        known = git(*order, folder=repository, given=listed, may_fetch=False, timeout_s=GIT_TIMEOUT_S)
    except (Unusable, ValueError):
        return {}
    place = {each: i for i, each in enumerate(known.split())}
    return {each: place[each] for each in wanted} if place.keys() >= set(wanted) else {}
