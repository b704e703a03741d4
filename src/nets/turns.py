"""Times two sides in turns, in one process: a pair is a turn of each, and every other pair begins with the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter

from nets.measure import CellRun

Turn = Callable[[], float]
"""Does one turn and gives its seconds."""


class Turns:
    """The two sides by name, and the seconds of each one's turns so far."""

    def __init__(self, sides: Mapping[str, Turn]) -> None:
        if len(sides) != 2:
            raise ValueError(f"two sides are compared, not {len(sides)}")
        self.seconds: dict[str, list[float]] = {name: [] for name in sides}
        self._sides = list(sides.items())

    def pair(self) -> None:
        """One turn of each."""
        for name, turn in self._sides:
            self.seconds[name].append(turn())
        self._sides.reverse()


def whole_round(run: CellRun) -> Turn:
    """A turn that is a round of a cell, the start and end of its watch counted in, its set-up not."""

    def turn() -> float:
        started = perf_counter()
        setup_s = run.round().setup_s
        return perf_counter() - started - setup_s

    return turn
