"""Base against head as a person names them: checked out, run by an interpreter each, and measured into two files."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from nets.ab import worktree
from nets.ab.child import ChildSpec, SideFailed, demand_nets
from nets.ab.interleave import StopRequest, ended_by_sigterm, stopped_by_ctrl_c
from nets.ab.looks import plan
from nets.ab.measure import measure
from nets.ab.reporter import Reporter
from nets.ab.sittings import AbSettings
from nets.errors import Unusable
from nets.records import durable
from nets.records.run_file import MAX_ROUNDS
from nets.verdicts import bands
from nets.verdicts.bands import Bands


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What runs a side; `option`: the option that named it, None for this process's own."""

    path: Path
    option: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two revisions are compared: what both pytests are told, what runs them, and where the files go.

    `tests`: the folder or file with the cells, within each revision. `out`: the folder of `files` and a log of each
    side.
    """

    settings: AbSettings
    arguments: tuple[str, ...]
    tests: str
    interpreters: tuple[Interpreter, Interpreter]
    out: Path

    @property
    def files(self) -> tuple[Path, Path]:
        """Base's and head's result file."""
        return self.out / "base.json", self.out / "head.json"

    def on(self, cells: tuple[str, ...]) -> Comparison:
        """The same on these cells alone; none: on those that it was made for."""
        return replace(self, settings=replace(self.settings, cells=cells)) if cells else self

    def demand_possible(self) -> None:
        """Refuse settings that could decide nothing, before anything is started. Raises NetsError."""
        if self.settings.max_sittings * self.settings.n_rounds > MAX_ROUNDS:
            raise Unusable(f"--max-sittings and --restart-every: a cell has at most {MAX_ROUNDS:,} rounds")
        plan("confirmation", 1, self.settings.max_sittings, self.settings.limits)
        durable.make_writable(self.out, "--out")


def compare(base: str, head: str, how: Comparison, stop: StopRequest, reporter: Reporter) -> None:
    """Check both revisions out, and measure them into `how.files`.

    Raises Unusable, `measure`'s errors too; SideFailed where a revision is at fault, not the call.
    """
    if base == head == worktree.WORKING_TREE and len({each.path for each in how.interpreters}) == 1:
        raise Unusable("base and head are the same working tree: name a revision, or two interpreters")
    with ExitStack() as stack:
        for file in how.files:
            stack.enter_context(durable.sole_writer(file, "--out"))
        stack.enter_context(ended_by_sigterm())
        sides, of_sides = [], []
        try:
            checkouts = stack.enter_context(worktree.checked_out(base, head))
        except worktree.NoSuchFolder as error:
            raise SideFailed("base" if error.revision == base else "head", str(error)) from error
        for name, file, interpreter, checkout in zip(
            ("base", "head"), how.files, how.interpreters, checkouts, strict=True
        ):
            by = f", {interpreter.path}" if interpreter.option is not None else ""
            reporter.say(f"{name}: {checkout.name}{by}")
            if checkout.absent:
                raise SideFailed(name, "; ".join(checkout.absent))
            of_sides.append(_bands(name, checkout.folder / how.tests))
            log = how.out / f"{name}.log"
            side = ChildSpec(name, interpreter.path, checkout.folder, how.arguments, file, log, checkout.isolated_from)
            if interpreter.option is not None:
                demand_nets(side, interpreter.option)
            sides.append(side)
        with stopped_by_ctrl_c(stop, reporter.warn):
            measure((sides[0], sides[1]), of_sides, how.settings, stop, reporter)


def _bands(side: str, tests: Path) -> Bands | str:
    """A side's own, beside its tests. Raises SideFailed for a file that can't be read."""
    path = (tests if tests.is_dir() else tests.parent) / "bands.toml"
    try:
        return bands.read_bands(path) if path.is_file() else f"there is no {path.name} beside the tests"
    except Unusable as error:
        raise SideFailed(side, str(error)) from error
