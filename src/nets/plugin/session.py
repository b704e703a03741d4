"""What one session's hooks and fixtures share: the keys of pytest's stash, the ledger of time, the cell of a test."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from nets.cells.catalog import Cell
from nets.records.cell import Result
from nets.records.run import Harness, Part

if TYPE_CHECKING:
    from nets.plugin.options import Options
    from nets.plugin.recorder import Recorder
    from nets.plugin.terminal import ProgressLine
    from nets.training.run import CellRun

OPTIONS: pytest.StashKey[Options] = pytest.StashKey()
"""The session's."""
RECORDER: pytest.StashKey[Recorder] = pytest.StashKey()
"""The session's."""
RUN: pytest.StashKey[CellRun] = pytest.StashKey()
"""A test's, while its cell is run."""
PROGRESS: pytest.StashKey[ProgressLine] = pytest.StashKey()
"""A test's, where somebody is watching."""
RESULT: pytest.StashKey[Result] = pytest.StashKey()
"""A test's, once its cell was judged."""


class Ledger:
    """Seconds that this process spent, by part."""

    def __init__(self) -> None:
        self._seconds: dict[Part, float] = {}
        self._timed_s = 0.0

    def add(self, part: Part, seconds: float) -> None:
        """Add to a part."""
        self._seconds[part] = self._seconds.get(part, 0.0) + seconds

    @contextmanager
    def spent(self, part: Part) -> Iterator[None]:
        """Add what the block takes, even where it raises."""
        started = perf_counter()
        try:
            yield
        finally:
            self.add(part, perf_counter() - started)

    def began(self) -> None:
        """The first test is about to run: all so far was import."""
        self._seconds["import"] = _process_age_s()

    def measured(self, result: Result) -> None:
        """Count a cell's rounds."""
        self._timed_s += sum(round_.time_s for round_ in result.rounds)
        self.add("setup", sum(round_.setup_s for round_ in result.rounds))

    def closed(self) -> Harness:
        """The whole up to now."""
        wall_s = _process_age_s()
        parts = {f"{part}_s": self._seconds.get(part, 0.0) for part in ("import", "data", "setup", "soak", "trace")}
        other_s = wall_s - self._timed_s - sum(parts.values())
        return Harness(wall_s=wall_s, timed_s=self._timed_s, other_s=other_s, **parts)


def _process_age_s() -> float:
    import psutil

    # the system keeps a process's start by the wall clock alone
    return max(0.0, time.time() - psutil.Process().create_time())


CORES, DEVICE, REFUSAL = "NETS_CORES", "NETS_DEVICE", "NETS_REFUSAL"
"""What the controller tells a worker: its cores, the device it chose, and why no cell may be measured."""


def cell_of(item: pytest.Item) -> Cell | None:
    """The cell that a test measures; None for any other test."""
    if "cell_run" not in getattr(item, "fixturenames", ()):
        return None
    cell = item.callspec.params.get("cell") if hasattr(item, "callspec") else None
    return cell if isinstance(cell, Cell) else None
