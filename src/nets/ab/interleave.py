"""Lets two child processes take turns, cell by cell and pair by pair: one sitting, from their starts to their ends."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from statistics import fmean, median

from nets.ab.child import Child, SideFailed, Waiting
from nets.errors import Exit


@dataclass(slots=True)
class StopRequest:
    """Whether the user has asked to stop."""

    is_made: bool = False


@dataclass(slots=True)
class Sitting:
    """Two children that have just been started: `collect`, `begin`, `take_turns`, `end`.

    What one does in a timed round it does alone. What is not timed (importing torch, loading data, the first round's
    set-up, ending) both do at once; on a GPU, which set-up and end would share with nobody, one after the other.

    `n_rounds`: pairs of rounds of each cell, or fewer: with `seconds`, each side's share of a cell ends as soon as it
    has taken so long. How many that is the first pair decides, once for all sittings that share `rounds_of`.
    `ratios`: for each test that both have finished, the logarithm of head over base of its median pair.
    `told`: called with each step, a test and the number of its finished pairs.
    """

    base: Child
    head: Child
    n_rounds: int
    stop: StopRequest
    head_first: bool = False
    seconds: float | None = None
    rounds_of: dict[str, int] = field(default_factory=dict)
    told: Callable[[str, int], None] = lambda _test, _n: None
    ratios: dict[str, float] = field(default_factory=dict)
    _order: list[str] = field(default_factory=list)

    @property
    def sides(self) -> tuple[Child, Child]:
        """Both, the one that begins first."""
        return (self.head, self.base) if self.head_first else (self.base, self.head)

    @property
    def is_on_gpu(self) -> bool:
        """Whether a side has said that it uses a GPU."""
        return self.base.on_gpu or self.head.on_gpu

    def collect(self) -> tuple[str, ...]:
        """Wait for both, and return the tests that they have in common. Raises Unusable if there is none."""
        self.base.collect()
        self.head.collect()
        common = tuple(test for test in self.base.collected if test in self.head.collected)
        if not common:
            raise SideFailed(
                "base" if not self.base.collected else "head",
                f"the sides have no cell in common (base {len(self.base.collected)}, "
                f"head {len(self.head.collected)}; see {self.base.spec.log}, {self.head.spec.log})",
            )
        return common

    def cell(self, test: str) -> str:
        """The id of the cell that a test measures."""
        return self.base.collected.get(test) or self.head.collected[test]

    def begin(self, common: Sequence[str], *, alone: bool) -> None:
        """Have both go on to the first of these tests; with `alone` also run those that only one of them has."""
        of_one = self.base.collected.keys() ^ self.head.collected.keys() if alone else set()
        self._order = [*common, *(test for side in self.sides for test in side.collected if test in of_one)]
        for side in self.sides:
            side.begin([test for test in self._order if test in side.collected])

    def take_turns(self) -> None:
        """Run all tests, up to where both children have no more to do than to end.

        Each pair begins with the child that came second in the pair before, so that neither gains by being the first.
        """
        for side in self.sides:
            side.hear()
        for test in self._order:
            if all(side.waits_in(test) for side in self.sides):
                self._in_turns(test)
            self._leave(test)

    def end(self) -> None:
        """Wait for both. Raises Unusable if a child left no file."""
        for side in self.sides:
            side.end()

    def _leave(self, test: str) -> None:
        """Have those that are still in it end it: a test of one child alone, or one that the other has left, whole."""
        is_on_gpu = self.is_on_gpu
        while waiting := [(side, self._next_step(side.at)) for side in self.sides if side.waits_in(test)]:
            is_over = all(step != "go" for _, step in waiting)
            if not is_over or is_on_gpu:
                for side, step in waiting:
                    side.answer(step)
                continue
            for side, step in waiting:
                side.tell(step)
            if test == self._order[-1]:
                return  # they end while the next sitting starts
            for side, _ in waiting:
                side.hear()

    def _next_step(self, at: Waiting | None) -> str:
        """What a child is told to do next that is not to wait for the other."""
        n_done = 0 if at is None else at.n_done
        if n_done == 0:
            return "skip" if self.stop.is_made else "go"
        most = self.n_rounds if at is None else self.rounds_of.get(at.test, self.n_rounds)
        return "go" if n_done < most and not self.stop.is_made else "enough"

    def _set_up(self, test: str) -> bool:
        """Have both do at once what a process does but once: building, compiling, importing; whether both have.

        Not on a GPU, where a set-up measures. The first round is set up again in its turn.
        """
        if not self.is_on_gpu:
            for side in self.sides:
                side.tell("set up")
            for side in self.sides:
                side.hear()
        return all(side.waits_in(test) for side in self.sides)

    def _in_turns(self, test: str) -> None:
        """Run pair after pair, to the last one, or until a child has left the test, or a stop is requested."""
        self.told(test, 0)
        if self.stop.is_made or not self._set_up(test):
            return
        log_ratios: list[float] = []
        while len(log_ratios) < self.rounds_of.get(test, self.n_rounds):
            seconds: dict[str, float] = {}
            for side in self.sides if len(log_ratios) % 2 == 0 else reversed(self.sides):
                if self.stop.is_made:
                    return
                side.answer("go")
                if side.at is None or side.at.test != test or side.at.seconds is None:
                    return
                seconds[side.spec.name] = side.at.seconds
            if min(seconds.values()) <= 0:
                return  # a clock that stood still says nothing
            log_ratios.append(math.log(seconds[self.head.spec.name] / seconds[self.base.spec.name]))
            self.told(test, len(log_ratios))
            if self.seconds is not None and test not in self.rounds_of:
                self.rounds_of[test] = max(1, min(self.n_rounds, math.ceil(self.seconds / fmean(seconds.values()))))
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
        raise SystemExit(Exit.TERMINATED)

    return _handled(end, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def _handled(handler: Callable[[int, object], None], *signals: signal.Signals) -> Iterator[None]:
    before = [signal.signal(each, handler) for each in signals]
    try:
        yield
    finally:
        for each, old in zip(signals, before, strict=True):
            signal.signal(each, old)
