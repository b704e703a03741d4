"""Measures base against head, sitting by sitting: start both children, let them take turns, look at the ratios."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

from nets.ab import child_plugin
from nets.ab.child import INTERRUPT_TIMEOUT_S, PLUGIN, CellsRefused, Child, ChildSpec, accepts_option
from nets.ab.interleave import Sitting, StopRequest
from nets.ab.leftovers import own_folder
from nets.ab.looks import Plan, Verdict, plan
from nets.errors import Unusable, counted
from nets.gate.limits import Limits
from nets.records.run import Pairing, read_run
from nets.stats.inference import Shift
from nets.verdicts.bands import Bands
from nets.verdicts.merge import merge_runs

VERDICT_TEXT: dict[Verdict, str] = {"the same": "the same within the limit", "open": "not decided"}
"""The wording of those verdicts that are not worded as they are named."""


@dataclass(frozen=True, slots=True)
class AbSettings:
    """How base and head are compared: `cells`: those that were named, or none for all.

    A sitting has `n_rounds` rounds of each cell and side.
    """

    cells: tuple[str, ...]
    n_rounds: int
    max_sittings: int
    n_looks: int
    seed: int
    limits: Limits


def measure(
    sides: tuple[ChildSpec, ChildSpec],
    bands: Sequence[Bands | str],
    settings: AbSettings,
    stop: StopRequest,
    say: Callable[[str], None],
) -> None:
    """Measure base and head until every cell is decided, the last sitting is over, or a stop is requested.

    Each side's rounds of all sittings are written to its `json` after each sitting, so that a process that is killed
    keeps the finished ones; `bands`: each side's, or why it has none. A second request to stop comes as
    KeyboardInterrupt: then of the sitting under way only what its files hold is kept, and a third doesn't wait for
    these. Raises Unusable, also where no sitting was finished: then what was at `json` is still there; TooFewRounds.
    """
    for side in sides:
        side.log.unlink(missing_ok=True)
    with own_folder() as folder:
        shutil.copy(child_plugin.__file__, folder / f"{PLUGIN}.py")
        cells = {side.name: settings.cells for side in sides}
        measurement = _Measurement(sides, settings, stop, say, folder, cells)
        try:
            for k in range(settings.max_sittings):
                measurement.sit(k)
                measurement.write(bands)
                if stop.is_made or not measurement.undecided:
                    break
        finally:
            measurement.write(bands)  # what an error or a third Ctrl-C found not yet written
    if not measurement.files:
        raise Unusable("no sitting was finished by both sides, and nothing is written")


@dataclass(slots=True)
class _Measurement:
    """The sittings so far, and the tests whose cells are not decided yet."""

    sides: tuple[ChildSpec, ChildSpec]
    settings: AbSettings
    stop: StopRequest
    say: Callable[[str], None]
    folder: Path
    cells: dict[str, tuple[str, ...]]
    plan: Plan | None = None
    undecided: list[str] = field(default_factory=list)
    log_ratios: dict[str, list[float]] = field(default_factory=dict)
    files: list[tuple[Path, Path]] = field(default_factory=list)
    n_written: int = 0

    def sit(self, k: int) -> None:
        """The `k`-th sitting, from 0, and the look after it."""
        try:
            self._sit(k)
        except CellsRefused:
            if k > 0 or not self._drop_unknown_cells():
                raise
            self._sit(k)

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
                self.say(f"{name} doesn't know {', '.join(cell for cell in named if cell not in cells)}")
        self.cells = known
        for side in self.sides:
            side.log.unlink(missing_ok=True)  # it ends with the refusal
        return True

    def _sit(self, k: int) -> None:
        settings = self.settings
        head_first = k % 2 == 1  # also when they are started, which decides on memory and caches
        with ExitStack() as stack:
            children: dict[str, Child] = {}
            for side in self.sides[:: -1 if head_first else 1]:
                children[side.name] = Child(self._spec(side, k), self.folder)
                stack.callback(children[side.name].kill)
            base, head = (children[side.name] for side in self.sides)
            sitting = Sitting(base, head, settings.n_rounds, self.stop)
            try:
                common = sitting.collect()
                if self.plan is None:
                    self.plan = self._planned(common)
                tests = [test for test in common if test in self.undecided]
                sitting.run(tests, alone=k == 0, head_first=head_first)
            except KeyboardInterrupt:
                for child in children.values():
                    child.interrupt()
                deadline = time.monotonic() + INTERRUPT_TIMEOUT_S
                for child in children.values():
                    child.end_by(deadline)
        files = (base.spec.json, head.spec.json)
        if all(path.is_file() for path in files):
            for path in files:
                _demand_one_test_a_cell(path)
            self.files.append(files)
        for test, log_ratio in sitting.ratios.items():
            self.log_ratios.setdefault(test, []).append(log_ratio)
        ratios = ", ".join(f"{sitting.cell(test)} {_percent(ratio)} %" for test, ratio in sitting.ratios.items())
        self.say(f"sitting {k + 1} of {settings.max_sittings}: {ratios or 'nothing that both sides finished'}")
        self._look(k + 1, sitting)

    def write(self, bands: Sequence[Bands | str]) -> None:
        """Write the result file of each side; none where no sitting was finished since the last time."""
        if len(self.files) == self.n_written:
            return
        n_looks = len(self.plan.looks) if self.plan is not None else self.settings.n_looks
        pairing = Pairing(id=uuid4().hex, rounds=self.settings.n_rounds, looks=n_looks)
        for side, of_side, files in zip(self.sides, bands, zip(*self.files, strict=True), strict=False):
            merge_runs(files, pairing, of_side, side.json)
        self.n_written = len(self.files)

    def _spec(self, side: ChildSpec, k: int) -> ChildSpec:
        """A side as it is started for the `k`-th sitting."""
        settings = self.settings
        arguments = [f"--rounds={settings.n_rounds}", f"--seed={settings.seed + k * settings.n_rounds}"]
        if cells := self.cells[side.name]:
            arguments.append(f"--cells={','.join(cells)}")
        arguments += ["-o", "nets_bands=none-in-a-sitting"]  # all rounds together are compared with their band
        if k:
            arguments.append("--no-trace")  # one is enough, and the first sitting's is kept
        return replace(side, arguments=(*side.arguments, *arguments), json=self.folder / f"{side.name}-{k}.json")

    def _planned(self, common: Sequence[str]) -> Plan:
        settings = self.settings
        made = plan(len(common), settings.max_sittings, settings.n_looks, settings.limits)
        at = ", ".join(map(str, made.looks))
        cells = counted(len(common), "cell")
        self.say(f"{cells}; {settings.n_rounds} pairs of rounds a sitting, looks after {at} sittings")
        self.undecided = list(common)
        return made

    def _look(self, n_sittings: int, sitting: Sitting) -> None:
        """Remove from `undecided` what is decided, or was not finished by both."""
        self.undecided = [test for test in self.undecided if test in sitting.ratios]
        if self.plan is None or n_sittings not in self.plan.looks:
            return
        for test in tuple(self.undecided):
            verdict, shift = self.plan.for_cell(sitting.cell(test)).verdict(self.log_ratios[test])
            found = f"{_effect_text(shift)}, {VERDICT_TEXT.get(verdict, verdict)}"
            self.say(f"{sitting.cell(test)} after {n_sittings} sittings: {found}")
            if verdict != "open":
                self.undecided.remove(test)


def _demand_one_test_a_cell(path: Path) -> None:
    """Refuse a sitting's file that could not be merged later. Raises Unusable, naming the file and the tests."""
    try:
        read_run(path).demand_one_record_a_cell()
    except Unusable as error:
        raise Unusable(f"{error}; name one test with --tests, or -k after `--`") from None


def _effect_text(shift: Shift) -> str:
    interval = ""
    if shift.low is not None and shift.high is not None:
        interval = f" ({_percent(shift.low)} to {_percent(shift.high)})"
    return f"{_percent(shift.point)} %{interval}"


def _percent(log_ratio: float) -> str:
    return f"{100 * math.expm1(log_ratio):+.1f}"
