"""What the terminal shows: a line while a cell trains, where somebody is watching; the tables at the end."""

from __future__ import annotations

import os
from collections import defaultdict
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest

from nets.plugin.session import tolerant

if TYPE_CHECKING:
    from nets.cells.catalog import Cell
    from nets.plugin.recorder import Recorder
    from nets.plugin.session import Session
    from nets.records.cell import Protocol
    from nets.records.durable import Entry
    from nets.training.trainer import Pass

EVERY_S = 0.2


def is_watched(config: pytest.Config) -> bool:
    """Whether a person is watching: a terminal, and neither a CI log nor a worker's pipe."""
    if os.environ.get("CI") or hasattr(config, "workerinput"):
        return False
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    watched = reporter is not None and bool(reporter.isatty)
    return watched and config.pluginmanager.hasplugin("capturemanager")


class ProgressLine:
    """One line below pytest's own, rewritten after an epoch at most every 0.2 s, past pytest's capture."""

    def __init__(self, config: pytest.Config, cell: Cell, protocol: Protocol) -> None:
        self._terminal: Any = config.get_terminal_writer()
        self._capture: Any = config.pluginmanager.get_plugin("capturemanager")
        self._cell = cell
        self._protocol = protocol
        self._started = perf_counter()
        self._written = 0.0
        self._write(f"{cell.id}  round 1/{protocol.rounds}  epoch 1/{protocol.epochs}  …")

    def __call__(self, n_round: int, n_epoch: int, trained: Pass) -> None:
        """After every epoch."""
        now = perf_counter()
        if now - self._written >= EVERY_S:
            self._written = now
            self._write(progress_text(self._cell, self._protocol, n_round, n_epoch, trained, now - self._started))

    def clear(self) -> None:
        """Leave the line empty."""
        self._write("")

    def _write(self, line: str) -> None:
        """Go down, write, and come back up to where pytest goes on writing."""
        column = self._terminal.width_of_current_line + 1
        with self._capture.global_and_fixture_disabled():
            self._terminal._file.write(f"\n\r\x1b[K{line[: self._terminal.fullwidth - 1]}\x1b[A\x1b[{column}G")
            self._terminal.flush()


def progress_text(cell: Cell, protocol: Protocol, n_round: int, n_epoch: int, trained: Pass, elapsed_s: float) -> str:
    """The line after epoch `n_epoch` of round `n_round`, both from 0."""
    done = n_round * protocol.epochs + n_epoch + 1
    left_s = elapsed_s / done * (protocol.rounds * protocol.epochs - done)
    minutes, seconds = divmod(round(left_s), 60)
    return (
        f"{cell.id}  round {n_round + 1}/{protocol.rounds}  epoch {n_epoch + 1}/{protocol.epochs}  "
        f"loss {trained.loss:.4f}  accuracy {trained.accuracy:.4f}  left {minutes}:{seconds:02d}"
    )


class Summary:
    """The section `nets` at a session's end: the article's table, what went wrong, and what did not run."""

    def __init__(self, session: Session, recorder: Recorder) -> None:
        self._session = session
        self._recorder = recorder

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write it, where there is anything to tell."""
        session, recorder = self._session, self._recorder
        if session.runs_nothing or not (session.planned or session.side_by_side or session.growth):
            return
        with tolerant():
            from nets.report.document import sentences
            from nets.report.run import growth, not_run, run_parts, side_by_side
            from nets.report.terminal import terminal_lines

            terminalreporter.section("nets")
            width, color = terminalreporter._tw.fullwidth, terminalreporter.hasmarkup
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
            for line in terminal_lines(parts, width=width, color=color):
                terminalreporter.write_line(line)


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
