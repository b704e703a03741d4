"""A folder of result files -> runs, each with its commit; of the files only what a history needs is kept.

A file that is no result file is skipped, and named with the reason.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from nets.errors import Unusable, counted
from nets.history.commits import Commit, utc
from nets.history.tracked import Measured, measured
from nets.records.run_file import read_run

NOT_SEARCHED = {".git", ".hg", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".venv", "node_modules"}
"""Folders in a repository that hold no results, and thousands of files."""
T = TypeVar("T")
_FULL_HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


Progress = Callable[[str, int, int], None]
"""Is told what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file's run: its commit, and its finished cells."""

    commit: Commit
    cells: tuple[Measured, ...]


@dataclass(frozen=True, slots=True)
class Archive:
    """All usable runs below a folder, by path, each with its commit; a sentence for each file or folder not usable."""

    runs: tuple[Stored, ...]
    passed_over: tuple[str, ...]


def silent(*_: object) -> None:
    """No progress is shown."""


def read_archive(folder: Path, without: Iterable[Path] = (), progress: Progress = silent) -> Archive:
    """Read every `*.json` below `folder`, but for those `without`. Raises Unusable where nothing there is usable."""
    found, passed_over = each_run_below(folder, _read, without, progress)
    return Archive(tuple(found), tuple(passed_over))


def each_run_below(
    folder: Path, read: Callable[[Path], T], without: Iterable[Path] = (), progress: Progress = silent
) -> tuple[list[T], list[str]]:
    """What `read` makes of every `*.json` below `folder`, by path, and a sentence for each that it raises Unusable for.

    Raises Unusable where nothing there is usable.
    """
    if not folder.exists():
        raise Unusable(f"{folder}: there is no such folder")
    if not folder.is_dir():
        raise Unusable(f"{folder}: not a folder; give the one that holds the result files")
    left_out = {path.absolute() for path in without}
    found: list[T] = []
    passed_over: list[str] = []
    paths = [path for path in _json_files(folder, passed_over) if path.absolute() not in left_out]
    for i, path in enumerate(paths):
        progress("files read", i, len(paths))
        try:
            found.append(read(path))
        except Unusable as error:
            passed_over.append(_printable(error))
    if not found:
        why = f": {passed_over[0]}" if len(passed_over) == 1 else ""
        n = counted(len(passed_over), "JSON file") if passed_over else "no JSON file"
        raise Unusable(
            f"{_printable(folder)}: no result file of nets in it ({n}{why}); "
            f"--benchmark-autosave and --benchmark-json write them"
        )
    return found, passed_over


def _read(path: Path) -> Stored:
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
    finished = (result for result in run.results if result.outcome.status != "error" and result.rounds)
    return Stored(
        Commit(commit, time, ran, info.dirty, info.branch), tuple(measured(run, result) for result in finished)
    )


def _json_files(folder: Path, passed_over: list[str]) -> Iterator[Path]:
    """Every `*.json`, in the order of the paths; links to folders are not followed, since they may lead in circles."""

    def refuse(error: OSError) -> None:
        passed_over.append(_printable(f"{error.filename}: it can't be listed: {error.strerror}"))

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if name not in NOT_SEARCHED)
        yield from (Path(parent) / name for name in sorted(names) if name.lower().endswith(".json"))


def _utc(text: str, where: str) -> datetime:
    """A moment in UTC; raises Unusable for what is none."""
    try:
        return utc(text)
    except (ValueError, OverflowError) as error:
        raise Unusable(f"{where} is no time: {text!r:.80}") from error


def _printable(message: object) -> str:
    """A message that can be encoded: a file's name may hold bytes that are no text."""
    return str(message).encode(errors="replace").decode()
