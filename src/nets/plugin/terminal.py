"""What the terminal shows: a line while a cell trains, where somebody is watching; the tables at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass
from statistics import fmean
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest

from nets.plugin.session import tolerant
from nets.report.screen import is_live, screen_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nets.cells.catalog import Cell
    from nets.plugin.gate import SessionGate
    from nets.plugin.recorder import Recorder
    from nets.plugin.session import Session
    from nets.records.cell import Protocol
    from nets.records.durable import Entry
    from nets.report.document import Part
    from nets.training.trainer import Pass

EVERY_S = 0.2


def is_watched(config: pytest.Config) -> bool:
    """Whether a person is watching: a terminal on which a line can be rewritten, no CI log and no worker's pipe."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput") or not config.pluginmanager.hasplugin("capturemanager"):
        return False
    return bool(reporter.isatty) and is_live()  # of now, amid a test, what pytest writes to is a file


class ProgressLine:
    """One line below pytest's own, rewritten after an epoch at most every 0.2 s, past pytest's capture."""

    def __init__(self, config: pytest.Config, cell: Cell, protocol: Protocol, place: Place) -> None:
        self._terminal: Any = config.get_terminal_writer()
        self._capture: Any = config.pluginmanager.get_plugin("capturemanager")
        self._cell = cell
        self._protocol = protocol
        self._started = perf_counter()
        self._written = 0.0
        self._place = place
        self._write(f"{place}{cell.id}  round 1/{protocol.rounds}  epoch 1/{protocol.epochs}  …")

    def __call__(self, n_round: int, n_epoch: int, trained: Pass) -> None:
        """After every epoch."""
        now = perf_counter()
        if now - self._written >= EVERY_S:
            self._written = now
            elapsed_s = now - self._started
            self._write(progress_text(self._cell, self._protocol, n_round, n_epoch, trained, elapsed_s, self._place))

    def clear(self) -> None:
        """Leave the line empty."""
        self._write("")

    def _write(self, line: str) -> None:
        """Go down, write, and come back up to where pytest goes on writing."""
        column = self._terminal.width_of_current_line + 1
        with self._capture.global_and_fixture_disabled():
            shown = _cut(line, self._terminal.fullwidth - 1)
            self._terminal._file.write(f"\n\r\x1b[K{shown}\x1b[A\x1b[{column}G")
            self._terminal.flush()


@dataclass(frozen=True, slots=True)
class Place:
    """A cell's place among those of the session, from 1; `before_s`: how long each one took that has been measured."""

    n: int
    n_cells: int
    before_s: tuple[float, ...] = ()

    def __str__(self) -> str:
        return f"cell {self.n} of {self.n_cells}  " if self.n_cells > 1 else ""

    def session_left_s(self, left_s: float) -> float | None:
        """`left_s`, of this cell, and for each one to come the mean of those before; None where there is no telling."""
        n_to_come = self.n_cells - self.n
        return left_s + n_to_come * fmean(self.before_s) if n_to_come > 0 and self.before_s else None


def place_in(session: Session, nodeid: str) -> Place:
    """The place of the cell that a test measures, among the tests that are known to measure one."""
    nodeids = list(session.planned)
    if nodeid not in nodeids:
        return Place(1, 1)
    return Place(nodeids.index(nodeid) + 1, len(nodeids), tuple(session.tests_s))


def progress_text(
    cell: Cell, protocol: Protocol, n_round: int, n_epoch: int, trained: Pass, elapsed_s: float, place: Place
) -> str:
    """The line after epoch `n_epoch` of round `n_round`, both from 0, `elapsed_s` after the cell's start.

    The time left is the cell's, and once a cell has been measured the session's, too.
    """
    done = n_round * protocol.epochs + n_epoch + 1
    left_s = elapsed_s / done * (protocol.rounds * protocol.epochs - done)
    session_left_s = place.session_left_s(left_s)
    in_all = "" if session_left_s is None else f", all cells about {_clock(session_left_s)}"
    return (
        f"{place}{cell.id}  round {n_round + 1}/{protocol.rounds}  epoch {n_epoch + 1}/{protocol.epochs}  "
        f"left {_clock(left_s)}{in_all}  loss {trained.loss:.4f}  accuracy {trained.accuracy:.4f}"
    )


def _cut(line: str, room: int) -> str:
    """As many of the line's parts, which two spaces divide, as there is room for."""
    while len(line) > room and "  " in line:
        line = line.rpartition("  ")[0]
    return line[:room]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def write_parts(reporter: pytest.TerminalReporter, title: str, parts: Iterable[Part]) -> None:
    """A section of pytest's summary, as wide as the terminal; in a file or a pipe no line is broken."""
    from nets.report.terminal import terminal_lines

    screen = screen_of(reporter._tw._file)
    width = None if screen.width is None else reporter._tw.fullwidth
    reporter.section(title)
    for line in terminal_lines(parts, width=width, color=reporter.hasmarkup, encoding=screen.encoding):
        reporter.write_line(line)


class Summary:
    """The section `nets` at a session's end: the article's table, what went wrong, and what did not run; the gate's."""

    def __init__(self, session: Session, recorder: Recorder, gate: SessionGate | None) -> None:
        self._session = session
        self._recorder = recorder
        self._gate = gate

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> Generator[None]:
        """Below what other plug-ins say, pytest-benchmark's table too, and though one of them fails.

        Only what pytest itself says of failures comes after it.
        """
        try:
            return (yield)
        finally:
            self._write(terminalreporter)
            if self._gate is not None:
                self._gate.write(terminalreporter)

    def _write(self, reporter: pytest.TerminalReporter) -> None:
        """What the section says, where there is anything to tell."""
        session, recorder = self._session, self._recorder
        if session.runs_nothing or not (session.planned or session.side_by_side or session.growth):
            return
        with tolerant():
            from nets.report.document import sentences
            from nets.report.run import growth, not_run, run_parts, side_by_side

            entries = recorder.entries()
            parts = [
                *run_parts([entry.result for entry in entries]),
                *sentences(_several_tests(entries)),
                *side_by_side(session.side_by_side),
                *growth(session.growth),
                *not_run(recorder.missing()),
                *sentences([str(recorder.harness)] if recorder.harness is not None else []),
                *sentences(recorder.told()),
            ]
            write_parts(reporter, "nets", parts)


def _several_tests(entries: list[Entry]) -> list[str]:
    """A line for each cell that several tests measured: which record is whose, in the table's order."""
    tests: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        tests[entry.result.id].append(entry.nodeid)
    return [
        f"{cell} was measured by {len(these)} tests, each with a record of its own: {', '.join(these)}"
        for cell, these in tests.items()
        if len(these) > 1
    ]
