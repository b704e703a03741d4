"""Times two sides in turns, in one process: a pair is a turn of each, and every other pair begins with the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Literal

from nets.training.run import CellRun


def steps_of_a_block(batch_size: int) -> int:
    """Training steps in a block: 2,000 images, and 100 steps at least: the first few find the caches cold."""
    return max(100, 2_000 // batch_size)


class Turn(ABC):
    """Does one turn of a cell's run after the other; the seconds of each are of a whole round or of one step."""

    per: Literal["round", "step"]
    is_peer = False

    def __init__(self, run: CellRun) -> None:
        self.run = run

    @abstractmethod
    def seconds(self) -> float:
        """Do the next turn, and say how long it took."""


class Turns:
    """The two sides by name, and the seconds of each one's turns so far."""

    def __init__(self, sides: Mapping[str, Turn]) -> None:
        if len(sides) != 2:
            raise ValueError(f"two sides are compared, not {len(sides)}")
        self.sides = dict(sides)
        self.seconds: dict[str, list[float]] = {name: [] for name in sides}
        self._order = list(sides)

    def pair(self) -> None:
        """One turn of each."""
        for name in self._order:
            self.seconds[name].append(self.sides[name].seconds())
        self._order.reverse()


class TimedRound(Turn):
    """The timed region of a round of a cell."""

    per = "round"

    def seconds(self) -> float:
        """Do the next round."""
        return self.run.round().time_s


class Block(Turn):
    """At least so many training steps, from where the last block ended."""

    per = "step"

    def __init__(self, run: CellRun, steps: Iterator[int], n_steps: int) -> None:
        super().__init__(run)
        self._steps = steps
        self._n_steps = n_steps
        self._done = 0

    def seconds(self) -> float:
        """Do the next block."""
        before = self._done
        with self.run.conditions():
            started = perf_counter()
            self._done = next(done for done in self._steps if done - before >= self._n_steps)
            self.run.synchronise()
            return (perf_counter() - started) / (self._done - before)


@contextmanager
def block(run: CellRun, n_steps: int) -> Iterator[Block]:
    """Blocks of a scratch network's steps; the first is run here and not counted."""
    with run.scratch() as trainer:
        turn = Block(run, trainer.steps(), n_steps)
        turn.seconds()
        yield turn
