"""Where a session's wall time goes: the timed regions, and what the harness costs around them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Literal

from pydantic import Field

from nets.results import Record, Result

Part = Literal["import", "data", "setup", "soak", "trace"]


class Harness(Record):
    """A session's wall time, from the start of its process to its summary, in parts that add up to it.

    `timed_s`: train + evaluate of all rounds. `import_s`: up to the first test: interpreter, imports, collection.
    `data_s`: loading data sets and making batches of them. `setup_s`: building, warm-up, capture. `other_s`: the rest.
    """

    wall_s: float = Field(ge=0)
    timed_s: float = Field(ge=0)
    import_s: float = Field(ge=0)
    data_s: float = Field(ge=0)
    setup_s: float = Field(ge=0)
    soak_s: float = Field(ge=0)
    trace_s: float = Field(ge=0)
    other_s: float

    @property
    def cost_s(self) -> float:
        """What is not timed."""
        return self.wall_s - self.timed_s

    def __str__(self) -> str:
        parts = ", ".join(
            f"{name} {seconds:.1f}"
            for name, seconds in (
                ("import", self.import_s),
                ("data", self.data_s),
                ("set-up", self.setup_s),
                ("soak", self.soak_s),
                ("trace", self.trace_s),
                ("other", self.other_s),
            )
        )
        return (
            f"harness: {self.cost_s:.1f} s of {self.wall_s:.1f} s of wall time ({self.cost_s / self.wall_s:.1%}) "
            f"lie outside the timed regions: {parts}"
        )


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
