"""Gives two sides their turns, cell by cell and pair by pair, until every cell has been looked at enough."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from nets.ab.looks import Plan, Verdict
from nets.ab.process import Side
from nets.gate.significance import Shift
from nets.results import Unusable

ALONE = 3
"""Rounds of a cell that only one side has, or that the other one could not begin."""


@dataclass(slots=True)
class Stop:
    """Whether somebody asked to stop."""

    asked: bool = False


@dataclass(slots=True)
class Pairs:
    """A cell's rounds so far: seconds a side."""

    base: list[float] = field(default_factory=list)
    head: list[float] = field(default_factory=list)

    @property
    def log_ratios(self) -> list[float]:
        """Head over base, of complete pairs; a clock that stood still gives none."""
        pairs = zip(self.base, self.head, strict=False)
        return [math.log(head / base) for base, head in pairs if base > 0 and head > 0]


class Conductor:
    """Runs the cells of both sides. `saw(test, look's pairs, verdict, shift)` is called at every look.

    Whatever a side does, loading and tracing too, it does while the other one waits. Every other pair begins with
    head, so that neither gains by being the first.
    """

    def __init__(self, base: Side, head: Side, plan: Callable[[int], Plan], stop: Stop) -> None:
        self.base, self.head = base, head
        self._plan = plan
        self._stop = stop

    def run(self, saw: Callable[[str, int, Verdict, Shift], None]) -> None:
        """Both sides to their ends. Raises Unusable if there is nothing to compare, or a side left no file."""
        self.base.collect()
        self.head.collect()
        common = [test for test in self.base.collected if test in self.head.collected]
        if not common:
            raise Unusable(
                f"base and head have no cell in common (base {len(self.base.collected)}, "
                f"head {len(self.head.collected)}; see {self.base.spec.log}, {self.head.spec.log})"
            )
        plan = self._plan(len(common))
        order = [*common, *(t for side in (self.base, self.head) for t in side.collected if t not in common)]
        for side in (self.base, self.head):
            side.begin([test for test in order if test in side.collected])
        for test in order:
            here = [side for side in (self.base, self.head) if side.at is not None and side.at.test == test]
            if len(here) == 2:
                self._in_turns(test, plan, saw)
            # one alone, or one whose other failed on the way
            for side in here:
                while side.at is not None and side.at.test == test:
                    side.say(self._alone(side.at.n_done))
        for side in (self.base, self.head):
            side.end()

    def _alone(self, n_done: int) -> str:
        if self._stop.asked and n_done == 0:
            return "skip"
        return "go" if n_done < ALONE and not self._stop.asked else "enough"

    def _in_turns(self, test: str, plan: Plan, saw: Callable[[str, int, Verdict, Shift], None]) -> None:
        """Pair after pair, to the look that is enough, or until a side has left the test."""
        pairs = Pairs()
        order = [(self.base, pairs.base), (self.head, pairs.head)]
        for n_pairs in range(1, plan.max_rounds + 1):
            for side, seconds in order:
                if self._stop.asked or side.at is None or side.at.test != test:
                    return
                side.say("go")
                if side.at is None or side.at.test != test or side.at.seconds is None:
                    return
                seconds.append(side.at.seconds)
            order.reverse()
            if n_pairs in plan.looks and pairs.log_ratios:
                verdict, shift = plan.verdict(pairs.log_ratios)
                saw(test, n_pairs, verdict, shift)
                if verdict != "open":
                    break
        for side in (self.base, self.head):
            side.say("enough")


def cell_of(test: str) -> str:
    """`benchmarks/test_train_eval.py::test_train_eval[mnist-lenet5]` -> `mnist-lenet5`."""
    return test.rpartition("[")[2].removesuffix("]") if "[" in test else test
