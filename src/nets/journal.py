"""Finished cells, appended and fsynced one by one; the final file is made from them.

One line of JSON a cell. A line that a killed process left half written is passed over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nets.files import sync_folder
from nets.results import Result, Unusable, parse


@dataclass(frozen=True, slots=True)
class Entry:
    """One finished cell.

    `benchmark`: pytest-benchmark's own dict, its stats with their data, without `extra_info`; None for a cell that
    has no complete timing.
    """

    nodeid: str
    result: Result
    benchmark: dict[str, Any] | None

    def to_json(self) -> str:
        """One line."""
        entry = {"nodeid": self.nodeid, "result": self.result.to_json(), "benchmark": self.benchmark}
        return json.dumps(entry, allow_nan=False)

    @classmethod
    def from_json(cls, line: str, source: str) -> Entry:
        """Raises Unusable, naming `source`."""
        try:
            entry = json.loads(line)
            nodeid, benchmark, record = entry["nodeid"], entry["benchmark"], entry["result"]
        except (ValueError, TypeError, KeyError) as error:
            raise Unusable(f"{source}: not a journal's line: {error}") from error
        return cls(nodeid=nodeid, result=parse(record, source), benchmark=benchmark)


class Journal:
    """The journal of one session; without a path the entries are kept in memory alone."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._entries: list[Entry] = []

    def append(self, entry: Entry) -> None:
        """Keep an entry; it is on the disk when this returns."""
        self._entries.append(entry)
        if self._path is None:
            return
        new = not self._path.exists()
        with self._path.open("a") as stream:
            stream.write(entry.to_json() + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        if new:
            sync_folder(self._path.parent)

    def entries(self) -> tuple[Entry, ...]:
        """What has been appended, from the disk where there is a path."""
        if self._path is None or not self._path.exists():
            return tuple(self._entries)
        return tuple(read(self._path))

    def set_aside(self) -> None:
        """Rename what a killed session left, so that it is neither lost nor mixed with this one's."""
        if self._path is not None and self._path.exists():
            self._path.replace(self._path.with_name(f"{self._path.name}.old"))

    def remove(self) -> None:
        """Remove the file, its entries now being elsewhere."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def read(path: Path) -> Iterator[Entry]:
    """The entries of a journal's file. Raises Unusable for a whole line that is not one."""
    for number, line in enumerate(path.read_text().splitlines(keepends=True), start=1):
        if line.endswith("\n"):
            yield Entry.from_json(line, f"{path}, line {number}")
