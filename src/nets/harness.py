"""Where a session's wall time goes: the timed regions, and what the harness costs around them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from nets.records.cell import Result
from nets.records.run import Harness, Part


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
