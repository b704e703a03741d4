"""Files that outlive a crash: replaced whole, or appended line by line and synced."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nets.errors import Unusable
from nets.records.base import parse
from nets.records.cell import Result


def write(path: Path, text: str) -> None:
    """Write `text` to a temporary name beside `path`, durably, then put it in its place.

    A link stays one: what it leads to is replaced. A device or a pipe is written to as it is. Raises Unusable.
    """
    try:
        _write(Path(os.path.realpath(path)), text)
    except OSError as error:
        raise Unusable(f"{path}: it can't be written: {error.strerror}") from error


def _write(path: Path, text: str) -> None:
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_writable(folder: Path, option: str) -> None:
    """Make a folder if it is not there, and try it. Raises Unusable, naming the option that named the folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Unusable(f"{option}: {folder} can't be written to: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Make a new name in `folder` durable; not every system lets a folder be opened."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@dataclass(frozen=True, slots=True)
class Entry:
    """One finished cell.

    `benchmark`: pytest-benchmark's own dict, its stats with their data, without `extra_info`; None for a cell that
    has no complete timing. `versions`: what it was made with.
    """

    nodeid: str
    result: Result
    benchmark: dict[str, Any] | None
    versions: dict[str, str | None] = field(default_factory=dict)

    def to_json(self) -> str:
        """One line."""
        entry = {
            "nodeid": self.nodeid,
            "result": self.result.to_json(),
            "benchmark": self.benchmark,
            "versions": self.versions,
        }
        return json.dumps(entry, allow_nan=False)

    @classmethod
    def from_json(cls, line: str, source: str) -> Entry:
        """Raises Unusable, naming `source`."""
        try:
            entry = json.loads(line)
            nodeid, benchmark, record = entry["nodeid"], entry["benchmark"], entry["result"]
        except (ValueError, TypeError, KeyError) as error:
            raise Unusable(f"{source}: not a journal's line: {error}") from error
        versions = entry.get("versions") or {}
        return cls(nodeid=nodeid, result=parse(record, source, Result), benchmark=benchmark, versions=versions)


class Journal:
    """The journal of one session: its entries in memory and, with a path, on the disk.

    Nothing on the disk is touched before the first append. With `resume` the entries of the session that was killed
    are taken over, but for those made with other `versions`, and the file goes on after its last whole line; else what
    it left is renamed, never overwritten.
    Raises Unusable for a journal to resume that is not one, or is not there.
    """

    def __init__(
        self, path: Path | None, *, resume: bool = False, versions: dict[str, str | None] | None = None
    ) -> None:
        self._path = path
        self._resume = resume
        self._begun = False
        self._entries: list[Entry] = []
        if resume and path is not None:
            self._entries += [entry for entry in read_journal(path) if versions is None or entry.versions == versions]

    def append(self, entry: Entry) -> None:
        """Keep an entry; it is on the disk when this returns."""
        if not self._begun:
            self._begin()
        self._entries.append(entry)
        if self._path is None:
            return
        with self._path.open("a") as stream:
            stream.write(entry.to_json() + "\n")
            stream.flush()
            os.fsync(stream.fileno())

    def entries(self) -> tuple[Entry, ...]:
        """The last entry of each test, in the order of their first."""
        return tuple({entry.nodeid: entry for entry in self._entries}.values())

    def remove(self) -> None:
        """Remove the file, its entries now being elsewhere."""
        if self._path is not None and (self._begun or self._resume):
            self._path.unlink(missing_ok=True)

    def _begin(self) -> None:
        self._begun = True
        if self._path is None:
            return
        if self._resume:
            whole = self._path.read_bytes().rpartition(b"\n")
            os.truncate(self._path, len(whole[0]) + len(whole[1]))
        elif self._path.exists():
            self._path.replace(self._path.with_name(f"{self._path.name}.old"))
        self._path.touch()
        sync_folder(self._path.parent)


def read_journal(path: Path) -> Iterator[Entry]:
    """The entries of a journal's file. Raises Unusable for a whole line that is not one, or a missing file."""
    try:
        lines = path.read_text().splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{path}: {error}") from error
    for number, line in enumerate(lines, start=1):
        if line.endswith("\n"):
            yield Entry.from_json(line, f"{path}, line {number}")
