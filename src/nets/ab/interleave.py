"""Gives two sides their turns, cell by cell and pair by pair: one sitting, from the start of both to their ends."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from nets.ab.child import Child
from nets.errors import Unusable


@dataclass(slots=True)
class Stop:
    """Whether somebody asked to stop."""

    asked: bool = False


@dataclass(slots=True)
class Sitting:
    """Two sides that have just been started. Whatever a side does, loading and tracing too, the other one waits.

    `ratios`: of each test that both sides have done, the logarithm of head over base of its middle pair.
    """

    base: Child
    head: Child
    n_rounds: int
    stop: Stop
    ratios: dict[str, float] = field(default_factory=dict)

    def collect(self) -> tuple[str, ...]:
        """Wait for both, and give the tests that they have in common. Raises Unusable if there is none."""
        self.base.collect()
        self.head.collect()
        common = tuple(test for test in self.base.collected if test in self.head.collected)
        if not common:
            raise Unusable(
                f"base and head have no cell in common (base {len(self.base.collected)}, "
                f"head {len(self.head.collected)}; see {self.base.spec.log}, {self.head.spec.log})"
            )
        return common

    def cell(self, test: str) -> str:
        """The id of the cell that a test measures, as the side says that has it."""
        return self.base.collected.get(test) or self.head.collected[test]

    def run(self, common: Sequence[str], *, alone: bool, head_first: bool = False) -> None:
        """Run these tests to the ends of both sides; `alone`: those that only one side has, too.

        Every other pair begins with the other side, so that neither gains by being the first. Raises Unusable if a
        side left no file.
        """
        sides = (self.head, self.base) if head_first else (self.base, self.head)
        others = [test for side in sides for test in side.collected if alone and self._is_alone(test)]
        order = [*common, *others]
        for side in sides:
            side.begin([test for test in order if test in side.collected])
        for test in order:
            if all(_is_at(side, test) for side in sides):
                self._in_turns(test, head_first)
            for side in sides:  # one alone, or one whose other has left the test
                while side.at is not None and side.at.test == test:
                    side.say(self._alone(side.at.n_done))
        for side in sides:
            side.end()

    def _is_alone(self, test: str) -> bool:
        return (test in self.base.collected) != (test in self.head.collected)

    def _alone(self, n_done: int) -> str:
        if n_done == 0:
            return "skip" if self.stop.asked else "go"
        return "go" if n_done < self.n_rounds and not self.stop.asked else "enough"

    def _in_turns(self, test: str, head_first: bool) -> None:
        """Pair after pair, to the last one, or until a side has left the test, or all is to stop."""
        pairs: list[float] = []
        order = [self.base, self.head]
        if head_first:
            order.reverse()
        for _ in range(self.n_rounds):
            seconds: dict[str, float] = {}
            for side in order:
                if self.stop.asked:
                    return
                side.say("go")
                if side.at is None or side.at.test != test or side.at.seconds is None:
                    return
                seconds[side.spec.name] = side.at.seconds
            order.reverse()
            if min(seconds.values()) > 0:  # a clock that stood still tells nothing
                pairs.append(math.log(seconds[self.head.spec.name] / seconds[self.base.spec.name]))
        if len(pairs) == self.n_rounds:
            self.ratios[test] = median(pairs)


def _is_at(side: Child, test: str) -> bool:
    return side.at is not None and side.at.test == test


@contextmanager
def stopped_by_ctrl_c(stop: Stop, say: Callable[[str], None]) -> Iterator[None]:
    """The first Ctrl-C ends the measurement after the round under way, the second at once."""

    def asked(_signal: int, _frame: object) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True
        say("stopping after the round under way; again: at once, without the cell under way")

    before = signal.signal(signal.SIGINT, asked)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """A job that is cancelled leaves no worktree and no process behind."""

    def end(_signal: int, _frame: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    caught = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(each, end) for each in caught]
    try:
        yield
    finally:
        for each, handler in zip(caught, before, strict=True):
            signal.signal(each, handler)
