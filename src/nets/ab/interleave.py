"""Lets two child processes take turns, cell by cell and pair by pair: one sitting, from their starts to their ends."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from statistics import median

from nets.ab.child import Child
from nets.errors import Unusable


@dataclass(slots=True)
class StopRequest:
    """Whether the user has asked to stop."""

    is_made: bool = False


@dataclass(slots=True)
class Sitting:
    """Two children that have just been started. Whatever one does, loading and tracing too, the other one waits.

    `ratios`: for each test that both have finished, the logarithm of head over base of its median pair.
    """

    base: Child
    head: Child
    n_rounds: int
    stop: StopRequest
    ratios: dict[str, float] = field(default_factory=dict)

    def collect(self) -> tuple[str, ...]:
        """Wait for both, and return the tests that they have in common. Raises Unusable if there is none."""
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
        """The id of the cell that a test measures."""
        return self.base.collected.get(test) or self.head.collected[test]

    def run(self, common: Sequence[str], *, alone: bool, head_first: bool = False) -> None:
        """Run these tests until both children have ended; with `alone` also those that only one of them has.

        Each pair begins with the child that came second in the pair before, so that neither gains by being the first.
        Raises Unusable if a child left no file.
        """
        sides = (self.head, self.base) if head_first else (self.base, self.head)
        of_one = self.base.collected.keys() ^ self.head.collected.keys() if alone else set()
        order = [*common, *(test for side in sides for test in side.collected if test in of_one)]
        for side in sides:
            side.begin([test for test in order if test in side.collected])
        for test in order:
            if all(side.waits_in(test) for side in sides):
                self._in_turns(test, sides)
            for side in sides:  # a test of one child, or one that the other child has left
                while side.at is not None and side.at.test == test:
                    side.answer(self._next_step(side.at.n_done))
        for side in sides:
            side.end()

    def _next_step(self, n_done: int) -> str:
        """What a child that runs alone is told to do next."""
        if n_done == 0:
            return "skip" if self.stop.is_made else "go"
        return "go" if n_done < self.n_rounds and not self.stop.is_made else "enough"

    def _in_turns(self, test: str, sides: tuple[Child, Child]) -> None:
        """Run pair after pair, to the last one, or until a child has left the test, or a stop is requested."""
        log_ratios: list[float] = []
        for i in range(self.n_rounds):
            seconds: dict[str, float] = {}
            for side in sides if i % 2 == 0 else reversed(sides):
                if self.stop.is_made:
                    return
                side.answer("go")
                if side.at is None or side.at.test != test or side.at.seconds is None:
                    return
                seconds[side.spec.name] = side.at.seconds
            if min(seconds.values()) > 0:  # a clock that stood still says nothing
                log_ratios.append(math.log(seconds[self.head.spec.name] / seconds[self.base.spec.name]))
        if len(log_ratios) == self.n_rounds:
            self.ratios[test] = median(log_ratios)


def stopped_by_ctrl_c(stop: StopRequest, say: Callable[[str], None]) -> AbstractContextManager[None]:
    """The first Ctrl-C ends the measurement after the round under way, the second at once."""

    def request(_signal: int, _frame: object) -> None:
        if stop.is_made:
            raise KeyboardInterrupt
        stop.is_made = True
        say("stopping after the round under way; again: at once, without the cell under way")

    return _handled(request, signal.SIGINT)


def ended_by_sigterm() -> AbstractContextManager[None]:
    """A job that is cancelled leaves no worktree and no process behind."""

    def end(_signal: int, _frame: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    return _handled(end, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def _handled(handler: Callable[[int, object], None], *signals: signal.Signals) -> Iterator[None]:
    before = [signal.signal(each, handler) for each in signals]
    try:
        yield
    finally:
        for each, old in zip(signals, before, strict=True):
            signal.signal(each, old)
