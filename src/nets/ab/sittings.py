"""One stage of a comparison, sitting by sitting: start both children, let them take turns, look at the ratios."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

from nets.ab.child import INTERRUPT_TIMEOUT_S, CellsRefused, Child, ChildSpec, SideFailed, accepts_option
from nets.ab.interleave import Sitting, StopRequest
from nets.ab.looks import Plan, Verdict, plan
from nets.ab.reporter import CellSoFar, Progress, Reporter
from nets.errors import Unusable, counted
from nets.gate.levels import Stage
from nets.gate.limits import Limits
from nets.records.run import Run
from nets.records.run_file import read_run
from nets.stats.inference import paired_shift

SECONDS_A_SITTING = 1.0
"""As long as each side's rounds of a cell should take in a sitting; most of a sitting is the start of both sides."""


@dataclass(frozen=True, slots=True)
class AbSettings:
    """How base and head are compared: `cells`: those that were named, or none for all.

    A sitting has `n_rounds` pairs of rounds of each cell at most, fewer where `adapts` and these are long. All has to
    end after `max_s` seconds.
    """

    cells: tuple[str, ...]
    n_rounds: int
    adapts: bool
    max_sittings: int
    max_s: float
    seed: int
    limits: Limits


@dataclass(slots=True)
class SittingSeries:
    """The sittings of one stage so far, and the tests whose cells are not decided yet.

    `cells`: by side, those that are named to its pytest, none for all; `only`: the tests that are measured, None for
    all. `first`: the number of the first sitting, which decides on its seeds and the names of its files. `deadline`: by
    time.monotonic(). `written`: called after each sitting. `files`: those of base and head of each that both have
    finished; `tests`: the test of each cell in them. `is_out_of_time`: whether it ended by the deadline.
    """

    stage: Stage
    sides: tuple[ChildSpec, ChildSpec]
    cells: Mapping[str, tuple[str, ...]]
    only: frozenset[str] | None
    settings: AbSettings
    stop: StopRequest
    reporter: Reporter
    folder: Path
    first: int
    deadline: float
    written: Callable[[], None]
    files: list[tuple[Path, Path]] = field(default_factory=list)
    tests: dict[str, str] = field(default_factory=dict)
    undecided: list[str] = field(default_factory=list)
    is_out_of_time: bool = False
    _plan: Plan | None = None
    _log_ratios: dict[str, list[float]] = field(default_factory=dict)
    _accuracies: dict[str, list[float]] = field(default_factory=dict)
    _looked: dict[str, Verdict] = field(default_factory=dict)
    _rounds_of: dict[str, int] = field(default_factory=dict)
    _current: Sitting | None = None
    _ending: Sitting | None = None
    _n_ended: int = 0
    _began: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Sit until every cell is decided, the last sitting or the time is over, or a stop is requested.

        While a sitting ends the next one starts, except on a GPU, which they would share. A second request to stop
        comes as KeyboardInterrupt: then of the sitting under way only what its files hold is kept.
        """
        try:
            for k in range(self.settings.max_sittings):
                self._start(k)
                self._take_turns(k)
                if self.stop.is_made or not self.undecided or self._is_late(k + 1):
                    break
            self._finish()
        except KeyboardInterrupt:
            self._interrupt()
        finally:
            for child in self._children():
                child.kill()

    def _start(self, k: int) -> None:
        """Start the `k`-th sitting, from 0, while the one before ends."""
        try:
            sitting, common = self._started(k)
            if self._plan is None:
                self._plan_for(common)
            if self._ending is not None and self._ending.is_on_gpu:
                self._finish()
            tests = [test for test in common if test in self.undecided]
            sitting.begin(tests, alone=k == 0 and self.stage == "screen")
        finally:
            self._finish()

    def _plan_for(self, tests: Sequence[str]) -> None:
        """Fix at how many sittings to look, before the first of these tests."""
        self._plan = plan(self.stage, len(tests), self.settings.max_sittings, self.settings.limits)
        self.undecided = list(tests)
        at = ", ".join(map(str, self._plan.looks[:4]))
        self.reporter.say(f"{self.stage} of {counted(len(tests), 'cell')}; looks after {at} ... sittings")

    def _started(self, k: int) -> tuple[Sitting, tuple[str, ...]]:
        """The `k`-th sitting, and the tests that its children have in common."""
        try:
            return self._collected(k)
        except CellsRefused:
            if k > 0 or self.stage != "screen" or not self._drop_unknown_cells():
                raise
            return self._collected(k)

    def _collected(self, k: int) -> tuple[Sitting, tuple[str, ...]]:
        settings = self.settings
        head_first = k % 2 == 1  # also when they are started, which decides on memory and caches
        children: dict[str, Child] = {}
        try:
            for side in self.sides[:: -1 if head_first else 1]:
                children[side.name] = Child(self._spec(side, k), self.folder)
            base, head = (children[side.name] for side in self.sides)
            sitting = Sitting(
                base,
                head,
                settings.n_rounds,
                self.stop,
                head_first,
                SECONDS_A_SITTING if settings.adapts else None,
                self._rounds_of,
                lambda test, n: self.reporter.progress(self._progress(k + 1, sitting.cell(test), n)),
            )
            common = sitting.collect()
        except BaseException:
            for child in children.values():
                child.kill()
            raise
        self._current = sitting
        return sitting, tuple(test for test in common if self.only is None or test in self.only)

    def _drop_unknown_cells(self) -> bool:
        """Give each side only the named cells that it knows; False if one knows none, or a cell is known to none.

        The gate reports the cells that only one side has.
        """
        named = self.settings.cells
        known = {
            side.name: tuple(cell for cell in named if accepts_option(self._spec(side, 0), f"--cells={cell}"))
            for side in self.sides
        }
        if not all(known.values()) or {cell for cells in known.values() for cell in cells} != set(named):
            return False
        for name, cells in known.items():
            if cells != named:
                self.reporter.say(f"{name} doesn't know {', '.join(cell for cell in named if cell not in cells)}")
        self.cells = known
        for side in self.sides:
            side.log.unlink(missing_ok=True)  # it ends with the refusal
        return True

    def _take_turns(self, k: int) -> None:
        """Let the children of the `k`-th sitting take turns, and look at what they have shown."""
        assert self._current is not None
        assert self._plan is not None
        self._current.take_turns()
        self._ending, self._current = self._current, None
        for test, log_ratio in self._ending.ratios.items():
            self._log_ratios.setdefault(test, []).append(log_ratio)
        self.undecided = [test for test in self.undecided if test in self._ending.ratios]
        self._looked = {}
        if k + 1 in self._plan.looks:
            self._looked = {
                test: self._plan.for_cell(self._ending.cell(test)).verdict(self._log_ratios[test])[0]
                for test in self.undecided
            }
            self.undecided = [test for test, verdict in self._looked.items() if verdict == "open"]

    def _finish(self) -> None:
        """Wait for the end of the sitting whose rounds are over, if there is one, keep its files, and tell of it.

        One that was stopped before its first round may leave none, which is nobody's fault.
        """
        if self._ending is None:
            return
        sitting = self._ending
        try:
            sitting.end()
        except SideFailed:
            if not self.stop.is_made:
                raise
            for side in sitting.sides:
                side.kill()
        self._ending = None
        self._n_ended += 1
        self._keep(sitting)
        self.written()
        self.reporter.sitting(list(self._so_far(sitting)), self._progress(self._n_ended, None, 0))

    def _interrupt(self) -> None:
        """Have all children end now, and keep what their files hold."""
        self.stop.is_made = True
        for child in self._children():
            child.interrupt()
        deadline = time.monotonic() + INTERRUPT_TIMEOUT_S
        for child in self._children():
            child.end_by(deadline)
        for sitting in (self._ending, self._current):
            if sitting is not None:
                self._keep(sitting)
        self.written()

    def _children(self) -> list[Child]:
        """Those that may still run."""
        return [child for sitting in (self._ending, self._current) if sitting is not None for child in sitting.sides]

    def _keep(self, sitting: Sitting) -> None:
        """Keep a sitting's files, if both sides wrote theirs."""
        files = (sitting.base.spec.json, sitting.head.spec.json)
        if not all(path.is_file() for path in files):
            return
        base, head = (_run_with_one_test_a_cell(side.name, path) for side, path in zip(self.sides, files, strict=True))
        self.files.append(files)
        self.tests |= {
            result.id: str(timing.get("fullname")) for result, timing in zip(base.results, base.timings, strict=True)
        }
        of_head = {result.id: result for result in head.results}
        for result in base.results:
            if result.id in of_head:
                pairs = zip(result.rounds, of_head[result.id].rounds, strict=False)
                self._accuracies.setdefault(result.id, []).extend(head.accuracy - base.accuracy for base, head in pairs)

    def _so_far(self, sitting: Sitting) -> Iterator[CellSoFar]:
        for test, log_ratio in sitting.ratios.items():
            cell = sitting.cell(test)
            accuracies = self._accuracies.get(cell)
            yield CellSoFar(
                stage=self.stage,
                sitting=self._n_ended,
                cell=cell,
                log_ratio=log_ratio,
                shift=paired_shift(self._log_ratios[test]),
                accuracy=fmean(accuracies) if accuracies else None,
                verdict=self._looked.get(test),
            )

    def _is_late(self, n_sittings: int) -> bool:
        """Whether one sitting more would not end in time."""
        now = time.monotonic()
        self.is_out_of_time = now + (now - self._began) / n_sittings > self.deadline
        return self.is_out_of_time

    def _progress(self, sitting: int, cell: str | None, n_pairs: int) -> Progress:
        looks = self._plan.looks if self._plan is not None else ()
        n_ended = self._n_ended
        next_look = next((n for n in looks if n > n_ended), self.settings.max_sittings)
        left_s = (next_look - n_ended) * (time.monotonic() - self._began) / n_ended if n_ended else None
        return Progress(self.stage, sitting, next_look, cell, n_pairs, left_s)

    def _spec(self, side: ChildSpec, k: int) -> ChildSpec:
        """A side as it is started for the `k`-th sitting."""
        settings, number = self.settings, self.first + k
        arguments = [f"--rounds={settings.n_rounds}", f"--seed={settings.seed + number * settings.n_rounds}"]
        if cells := self.cells[side.name]:
            arguments.append(f"--cells={','.join(cells)}")
        arguments += ["-o", "nets_bands=none-in-a-sitting"]  # all rounds together are compared with their band
        if k:
            arguments.append("--no-trace")  # one is enough, and the first sitting's is kept
        return replace(side, arguments=(*side.arguments, *arguments), json=self.folder / f"{side.name}-{number}.json")


def _run_with_one_test_a_cell(side: str, path: Path) -> Run:
    """A sitting's file, refused if it could not be merged later. Raises SideFailed, naming the file and the tests."""
    try:
        run = read_run(path)
    except Unusable as error:
        raise SideFailed(side, str(error)) from error
    try:
        run.demand_one_record_a_cell()
    except Unusable as error:
        raise SideFailed(side, f"{error}; name one test with --tests, or -k after `--`") from None
    return run
