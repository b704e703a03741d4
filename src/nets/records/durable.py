"""Files that outlive a crash: replaced whole, or appended line by line and synced; and one writer for each."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Container, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nets.errors import Unusable
from nets.records.base import first_fault, parse
from nets.records.cell import Result
from nets.records.consistency import demand_consistent

_NUMBER = r"(?:-?[\d.eE+-]+|null)"
_NUMBERS = re.compile(rf"\[\n\s*({_NUMBER}(?:,\n\s*{_NUMBER})*)\n\s*\]")
"""A list of numbers alone, a line each; no text has line ends, which JSON writes as two characters."""


def json_text(content: object) -> str:
    """A run as JSON, indented, and a list of numbers on one line; what is no JSON type as `str` has it.

    Raises ValueError for a number that is not finite.
    """
    text = json.dumps(content, allow_nan=False, indent=4, default=str)
    return _NUMBERS.sub(lambda found: "[" + re.sub(r",\s+", ", ", found[1]) + "]", text) + "\n"


def write(path: Path, content: str | bytes) -> None:
    """Write text, or bytes, to a temporary name beside `path`, durably, then put it in its place, with the mode it had.

    A link stays one: what it leads to is replaced. A device or a pipe is written to as it is. Raises Unusable.
    """
    with ExitStack() as lock:
        with suppress(Unusable):  # it is locked for the whole of this run, as a rule
            lock.enter_context(sole_writer(path))
        try:
            _write(Path(os.path.realpath(path)), content.encode() if isinstance(content, str) else content)
        except OSError as error:
            raise Unusable(f"{path}: it can't be written: {error.strerror}") from error


def _write(path: Path, content: bytes) -> None:
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=_temporary_prefix(path))
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _temporary_prefix(path: Path) -> str:
    """How temporary files of a file begin, as short for a long name as for any."""
    return f".nets-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]}-"


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


class _Stats(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    data: list[Annotated[float, Field(ge=0, le=1e9)]] = Field(min_length=1)
    iterations: int = Field(ge=1)


class _Timing(BaseModel):
    """What is needed of pytest-benchmark's own dict of a test."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    name: str
    fullname: str
    group: str | None
    param: str | None
    params: dict[str, Any] | None
    options: dict[str, Any]
    stats: _Stats


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    nodeid: str
    result: dict[str, Any]
    benchmark: _Timing | None
    origin: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Entry:
    """One finished cell.

    `benchmark`: pytest-benchmark's own dict, its stats with their data, without `extra_info`; None for a cell that
    has no complete timing. `origin`: what it was measured of, and with, as of the session's start.
    """

    nodeid: str
    result: Result
    benchmark: dict[str, Any] | None
    origin: dict[str, str | None] = field(default_factory=dict)

    def to_json(self) -> str:
        """One line."""
        entry = {
            "nodeid": self.nodeid,
            "result": self.result.to_json(),
            "benchmark": self.benchmark,
            "origin": self.origin,
        }
        return json.dumps(entry, allow_nan=False)

    @classmethod
    def from_json(cls, line: str, source: str) -> Entry:
        """Raises Unusable, naming `source`."""
        try:
            found = json.loads(line)
            _Line.model_validate(found)
        except ValidationError as error:
            raise Unusable(f"{source}: not a journal's line: {first_fault(error)}") from error
        except (ValueError, RecursionError) as error:
            raise Unusable(f"{source}: not a journal's line: {error}") from error
        result = parse(found["result"], source, Result)
        demand_consistent(result, found["benchmark"], source)
        return cls(nodeid=found["nodeid"], result=result, benchmark=found["benchmark"], origin=found["origin"])


class Journal:
    """The journal of one session: its entries in memory and, with a path, on the disk.

    Nothing on the disk is touched before the first append. With `resume` the entries of the session that ended early
    are taken over, and the file goes on after its last whole line; else what that one left is renamed, never
    overwritten. `unreadable`: a sentence for each line that was left out. `unwritten`: why the disk has no more of it.
    """

    def __init__(self, path: Path | None, *, resume: bool = False) -> None:
        self.path = path
        self.unreadable: list[str] = []
        self.unwritten: str | None = None
        self._begun = False
        self._entries: list[Entry] = []
        self._resume = resume and path is not None and path.is_file()
        if self._resume and path is not None:
            self._entries, self.unreadable = read_journal(path)

    def append(self, entry: Entry) -> None:
        """Keep an entry; it is on the disk when this returns, unless `unwritten` says why not."""
        self._entries.append(entry)
        if self.path is None or self.unwritten is not None:
            return
        try:
            if not self._begun:
                self._begin(self.path)
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(entry.to_json() + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            self.unwritten = f"{self.path}: {error.strerror}"

    def entries(self) -> tuple[Entry, ...]:
        """The last entry of each test, in the order of their first."""
        return tuple({entry.nodeid: entry for entry in self._entries}.values())

    def keep(self, nodeids: Container[str]) -> None:
        """Forget what was taken over of other tests than these; the file still has it."""
        self._entries = [entry for entry in self._entries if entry.nodeid in nodeids]

    def remove(self) -> None:
        """Remove the file, its entries now being elsewhere."""
        if self.path is not None and (self._begun or self._resume):
            with suppress(OSError):
                self.path.unlink(missing_ok=True)

    def _begin(self, path: Path) -> None:
        if self._resume:
            whole = path.read_bytes().rpartition(b"\n")
            os.truncate(path, len(whole[0]) + len(whole[1]))
        elif path.exists():
            path.rename(_free_name(path))
        path.touch()
        sync_folder(path.parent)
        self._begun = True


def _free_name(path: Path) -> Path:
    """The first of `path`.old, `path`.old.2, ... that is not there."""
    names = (path.with_name(f"{path.name}.old{f'.{i}' if i > 1 else ''}") for i in count(1))
    return next(name for name in names if not name.exists())


def read_journal(path: Path) -> tuple[list[Entry], list[str]]:
    """The entries of a journal's file, and a sentence for each whole line that is none.

    Raises Unusable for a file that can't be read.
    """
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from error
    entries: list[Entry] = []
    unreadable: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.endswith(b"\n"):
            continue  # written when its session was killed
        try:
            entries.append(Entry.from_json(line.decode(errors="replace"), f"{path}, line {number}"))
        except Unusable as error:
            unreadable.append(str(error))
    return entries, unreadable


@contextmanager
def sole_writer(path: Path, option: str | None = None) -> Iterator[None]:
    """Be the only process that is about to write a file; the lock dies with the process.

    Raises Unusable, naming the option that named the file.

    What a killed one left of the file, half written, is removed. The lock lies in the system's folder for temporary
    files, under a name made of the file's: none is left beside it, and processes on other machines are not seen.
    """
    from filelock import FileLock, Timeout  # no part of a start that measures nothing

    real = Path(os.path.realpath(path))
    name = hashlib.sha256(os.fsencode(real)).hexdigest()[:32]
    folder = Path(tempfile.gettempdir()) / f"nets-locks-{os.getuid() if hasattr(os, 'getuid') else ''}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = FileLock(folder / name, blocking=False)
        lock.acquire()
    except Timeout:
        because = f"another run, not ended yet, is to write {path}: wait, or name another file"
        raise Unusable(f"{option}: {because}" if option else because) from None
    except OSError:  # nowhere to lock: a full or read-only disk is told of when the file is written
        yield
        return
    try:
        for orphan in real.parent.glob(f"{_temporary_prefix(real)}*"):
            with suppress(OSError):
                orphan.unlink()
        yield
    finally:
        lock.release()
