"""Measures base against head, sitting by sitting: starts both sides anew, gives them turns, looks, goes on."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from nets.ab import child_plugin
from nets.ab.child import PLUGIN, CellsRefused, Child, ChildSpec, takes
from nets.ab.interleave import Sitting, Stop
from nets.ab.looks import Plan, Verdict, plan
from nets.errors import Unusable
from nets.gate.limits import Limits
from nets.records.run import Pairing, read_run
from nets.stats.inference import Shift
from nets.verdicts.bands import Bands
from nets.verdicts.merge import merge_runs

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Program:
    """One of the two things compared: an interpreter in a folder, and its accuracy bands or why there are none.

    `not_from`: a folder from which nothing of it is to be imported, and one in it that is excepted.
    """

    name: str
    python: Path
    folder: Path
    bands: Bands | str
    not_from: tuple[Path, Path] | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """How they are compared: the `cells` that were named, or all; a sitting has `n_rounds` of each cell and side.

    `arguments` are the rest of pytest's.
    """

    cells: tuple[str, ...]
    arguments: tuple[str, ...]
    n_rounds: int
    max_sittings: int
    n_looks: int
    seed: int
    limits: Limits
    out: Path

    def file(self, program: Program) -> Path:
        """Where a side's rounds end up."""
        return self.out / f"{program.name}.json"

    def log(self, program: Program) -> Path:
        """Where what a side's pytest prints ends up."""
        return self.out / f"{program.name}.log"


def measure(base: Program, head: Program, course: Course, stop: Stop, say: Say) -> None:
    """Measure until every cell is decided, the last sitting is over, or somebody asked to stop; write both files.

    A second request comes as KeyboardInterrupt: then the sitting under way is left out as far as it isn't written.
    Raises Unusable, TooFewRounds.
    """
    for program in (base, head):
        course.log(program).unlink(missing_ok=True)
        course.file(program).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="nets-ab-sittings-") as folder:
        run = _Run(base, head, course, stop, say, Path(folder))
        try:
            for k in range(course.max_sittings):
                run.sit(k)
                if stop.asked or not run.undecided:
                    break
        finally:
            run.write()  # what goes wrong late loses no finished sitting


class _Run:
    """What the sittings so far have shown."""

    def __init__(self, base: Program, head: Program, course: Course, stop: Stop, say: Say, folder: Path) -> None:
        self.undecided: list[str] = []
        self._programs = (base, head)
        self._cells = {program.name: course.cells for program in self._programs}
        self._course = course
        self._stop = stop
        self._say = say
        self._folder = folder
        self._plan: Plan | None = None
        self._ratios: dict[str, list[float]] = {}
        self._files: list[tuple[Path, Path]] = []
        shutil.copy(child_plugin.__file__, folder / f"{PLUGIN}.py")

    def sit(self, k: int) -> None:
        """The `k`-th sitting, from 0, and the look after it."""
        try:
            self._sit(k)
        except CellsRefused:
            if k > 0 or not self._narrowed():
                raise
            self._sit(k)

    def _narrowed(self) -> bool:
        """Leave each side the named cells that it knows, if each is known to one and each side knows one.

        What only one side has is the gate's to tell of.
        """
        cells = self._course.cells
        known = {
            program.name: tuple(cell for cell in cells if takes(self._spec(program, 0), f"--cells={cell}"))
            for program in self._programs
        }
        if not all(known.values()) or {cell for these in known.values() for cell in these} != set(cells):
            return False
        for name, these in known.items():
            if these != cells:
                self._say(f"{name} doesn't know {', '.join(cell for cell in cells if cell not in these)}")
        self._cells = known
        for program in self._programs:
            self._course.log(program).unlink(missing_ok=True)  # the last words in it are of the refusal
        return True

    def _sit(self, k: int) -> None:
        course = self._course
        head_first = k % 2 == 1  # also at the start, which deals out memory and caches
        with ExitStack() as stack:
            sides: dict[str, Child] = {}
            for program in self._programs[:: -1 if head_first else 1]:
                sides[program.name] = Child(self._spec(program, k), self._folder)
                stack.callback(sides[program.name].kill)
            base, head = (sides[program.name] for program in self._programs)
            sitting = Sitting(base, head, course.n_rounds, self._stop)
            try:
                common = sitting.collect()
                if self._plan is None:
                    self._plan = self._planned(common)
                tests = [test for test in common if test in self.undecided]
                sitting.run(tests, alone=k == 0, head_first=head_first)
            except KeyboardInterrupt:
                for each in sides.values():
                    each.interrupt()
        files = (base.spec.json, head.spec.json)
        if all(path.is_file() for path in files):
            for path in files:
                _demand_one_test_a_cell(path)
            self._files.append(files)
        for test, ratio in sitting.ratios.items():
            self._ratios.setdefault(test, []).append(ratio)
        told = ", ".join(f"{sitting.cell(test)} {_percent(ratio)} %" for test, ratio in sitting.ratios.items())
        self._say(f"sitting {k + 1} of {course.max_sittings}: {told or 'nothing that both sides finished'}")
        self._look(k + 1, sitting)

    def write(self) -> None:
        """Each side's one file; none where no sitting was finished."""
        n_looks = len(self._plan.looks) if self._plan is not None else self._course.n_looks
        pairing = Pairing(id=uuid4().hex, rounds=self._course.n_rounds, looks=n_looks)
        for program, files in zip(self._programs, zip(*self._files, strict=True), strict=False):
            merge_runs(files, pairing, program.bands, self._course.file(program))

    def _spec(self, program: Program, k: int) -> ChildSpec:
        course = self._course
        each = [f"--rounds={course.n_rounds}", f"--seed={course.seed + k * course.n_rounds}"]
        if cells := self._cells[program.name]:
            each.append(f"--cells={','.join(cells)}")
        each += ["-o", "nets_bands=none-in-a-sitting"]  # all rounds are held against their band together, at the end
        if k:
            each.append("--no-trace")  # one is enough, and the first sitting's is kept
        return ChildSpec(
            program.name,
            program.python,
            program.folder,
            (*course.arguments, *each),
            json=self._folder / f"{program.name}-{k}.json",
            log=course.log(program),
            not_from=program.not_from,
        )

    def _planned(self, common: Sequence[str]) -> Plan:
        course = self._course
        made = plan(len(common), course.max_sittings, course.n_looks, course.limits)
        cells = "1 cell" if len(common) == 1 else f"{len(common)} cells"
        at = ", ".join(map(str, made.looks))
        self._say(f"{cells}; {course.n_rounds} pairs of rounds a sitting, looks after {at} sittings")
        self.undecided = list(common)
        return made

    def _look(self, n_sittings: int, sitting: Sitting) -> None:
        """Strike out what is decided, or was not finished on both sides."""
        self.undecided = [test for test in self.undecided if test in sitting.ratios]
        if self._plan is None or n_sittings not in self._plan.looks:
            return
        for test in tuple(self.undecided):
            verdict, shift = self._plan.verdict(self._ratios[test])
            self._say(f"{sitting.cell(test)} after {n_sittings} sittings: {_told(shift)}, {_MEANING[verdict]}")
            if verdict != "open":
                self.undecided.remove(test)


def _demand_one_test_a_cell(path: Path) -> None:
    """Refuse a sitting's file that could not be merged later. Raises Unusable, naming the file and the tests."""
    try:
        read_run(path).demand_one_record_a_cell()
    except Unusable as error:
        raise Unusable(f"{error}; name one test with --tests, or -k after `--`") from None


_MEANING: dict[Verdict, str] = {
    "slower": "slower",
    "faster": "faster",
    "the same": "the same within the limit",
    "open": "not decided",
}


def _told(shift: Shift) -> str:
    interval = ""
    if shift.low is not None and shift.high is not None:
        interval = f" ({_percent(shift.low)} to {_percent(shift.high)})"
    return f"{_percent(shift.point)} %{interval}"


def _percent(log_ratio: float) -> str:
    return f"{100 * math.expm1(log_ratio):+.1f}"
