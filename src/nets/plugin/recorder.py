"""Keeps the session's records: from each cell's report to the journal, and from the journal to out.json.

A finished cell's record travels in its report's `user_properties`, so that it arrives at the controller the same way
with xdist's workers as without. pytest-benchmark's own session is given the benchmarks back at the end, which keeps
its table, its storage and its comparisons at work; the JSON file is written here, atomically.

What `--resume` keeps of a run that was killed: the cells that passed and would be made again just so.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nets.cells.catalog import Cell
from nets.errors import Unusable
from nets.machine.device import versions
from nets.plugin import output
from nets.plugin.options import Options
from nets.plugin.session import DEVICE, REFUSAL, RESULT, RUN, Ledger, cell_of
from nets.records.base import SCHEMA
from nets.records.cell import Result
from nets.records.comparisons import Growth, SideBySide
from nets.records.durable import Entry, Journal
from nets.records.run import Harness
from nets.verdicts import depth

if TYPE_CHECKING:
    import torch

    from nets.measuring.cell import Setting
    from nets.records.run import Run

CELL, RECORD, SKIPPED = "nets-cell", "nets", "nets-skipped"


class Recorder:
    """One a session, on the controller and on each worker."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self._config = config
        self._options = options
        self._is_worker = hasattr(config, "workerinput")
        self._collected: dict[str, str] = {}
        self._cell_tests: set[str] = set()
        self._not_run: dict[str, str] = {}
        self._interrupted = False
        self._others_ran = False
        self.no_device_because = os.environ.get(REFUSAL) if self._is_worker else None
        self.side_by_side: list[SideBySide] = []
        self.growth: list[Growth] = []
        self.ledger = Ledger()
        self._json: Path | None = None
        if (path := config.getoption("benchmark_json", None)) is not None:
            self._json = Path(path).resolve()  # tests may change the folder
        if self._json is not None and not self._is_worker:
            output.demand_writable(self._json)
        self._versions = versions()
        self.journal = _journal(self._json, resume=options.resume, versions=self._versions)

    @cached_property
    def device(self) -> torch.device:
        """The device that was asked for; on a worker, the one that the controller chose.

        Where a worker can't have that it is the CPU, to describe, and `no_device_because` keeps cells from running.
        """
        from nets.machine.device import DeviceError, choose_device

        if not self._is_worker:
            return choose_device(self._options.device)
        try:
            return choose_device(os.environ.get(DEVICE, self._options.device))
        except DeviceError as error:
            self.no_device_because = self.no_device_because or str(error)
            return choose_device("cpu")

    @cached_property
    def setting(self) -> Setting:
        """What is the same for every cell of this process."""
        from nets.machine import device, visible
        from nets.measuring.cell import session_setting

        starts_workers = self._config.getoption("dist", "no") != "no" and not self._is_worker
        look = visible.first_gpu_facts if starts_workers and self.device.type == "cuda" else device.device_facts
        return session_setting(self._options.pipeline, look(self.device))

    def enable_under_xdist(self, benchmark: Any) -> None:
        """pytest-benchmark disables itself on xdist's workers; a cell is timed there too, unless it was told not to."""
        if os.environ.get("PYTEST_XDIST_WORKER") and not self._config.getoption("benchmark_disable"):
            benchmark.disabled = False

    # --- from the worker, or the one process there is, to the controller

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put a cell's record, or why it was skipped, into its report."""
        report = yield
        funcargs: dict[str, Any] = getattr(item, "funcargs", {})
        if report.failed and "benchmark" in funcargs:
            funcargs["benchmark"].skipped = True  # spares a warning that it was not used, if it wasn't
        cell = cell_of(item)
        if cell is None or call.when == "teardown":
            return report
        if call.when == "setup":
            report.user_properties.append((CELL, cell.id))
        if call.excinfo is not None and not self._config.getoption("usepdb", False):
            traceback.clear_frames(call.excinfo.tb)  # they hold the network, and the report is made
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            report.user_properties.append((SKIPPED, reason.removeprefix("Skipped: ")))
        elif call.when == "call" or not report.passed:
            report.user_properties.append((RECORD, self._entry(item, cell, call).to_json()))
        return report

    def _entry(self, item: pytest.Item, cell: Cell, call: pytest.CallInfo[None]) -> Entry:
        from nets.measuring.cell import unfinished_result

        because = _sentence(call.excinfo)
        result = item.stash.get(RESULT, None)
        if result is None:
            funcargs: dict[str, Any] = getattr(item, "funcargs", {})
            result = unfinished_result(
                cell,
                self._options.protocol_of(cell),
                self.setting,
                item.stash.get(RUN, None),
                because=because or "the test never made a record: it didn't call `judge`",
                data=funcargs.get("data"),
            )
            return Entry(item.nodeid, result, benchmark=None, versions=self._versions)
        if because is not None and result.outcome.status == "passed":
            result = result.judged("failed", [because])
        timing = output.timing_of(item, n_rounds=len(result.rounds), params={"cell": cell.id})
        return Entry(item.nodeid, result, benchmark=timing, versions=self._versions)

    # --- on the controller

    def pytest_sessionstart(self) -> None:
        """Take the JSON file over from pytest-benchmark, which writes it in place and only if all went well.

        On a worker it must write nothing at all: the controller does.
        """
        self._benchmarks.json = None
        if self._is_worker:
            self._benchmarks.save = self._benchmarks.autosave = None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """With --resume, leave out the cells that passed, made alike, in the run that was killed."""
        if not self._options.resume:
            return
        entries = self.journal.entries()
        done = {entry.nodeid for entry in entries if is_kept(entry.result, self._options, self.setting)}
        again = [item for item in items if item.nodeid in done]
        if again:
            self._config.hook.pytest_deselected(items=again)
            items[:] = [item for item in items if item.nodeid not in done]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note which cells are to run; pytest-benchmark need not warn of xdist if they are all that there is."""
        self.ledger.began()
        self._collected = {item.nodeid: cell.id for item in session.items if (cell := cell_of(item)) is not None}
        self._cell_tests = {_function(nodeid) for nodeid in self._collected}
        others = [i for i in session.items if "benchmark" in getattr(i, "fixturenames", ()) and cell_of(i) is None]
        if not others:
            self._benchmarks.xdist_benchmark_found = False

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """The same on xdist's controller, which learns ids alone; what is a cell's test is known when one is set up."""
        known = {cell.id for cell in self._options.cells}
        parts = {nodeid: nodeid.rpartition("[")[2].removesuffix("]") for nodeid in ids}
        self._collected.update({nodeid: part for nodeid, part in parts.items() if part in known})
        if len(self._collected) == len(parts):
            self._benchmarks.xdist_benchmark_found = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Journal a finished cell."""
        if self._is_worker:
            return
        properties = dict(report.user_properties)
        if CELL in properties:
            self._cell_tests.add(_function(report.nodeid))
        if report.nodeid not in self._planned:
            self._others_ran |= report.when == "call" and report.passed
            return
        if RECORD in properties:
            entry = Entry.from_json(str(properties[RECORD]), report.nodeid)
            self.journal.append(entry)
            self.ledger.measured(entry.result)
        elif SKIPPED in properties:
            self._not_run[report.nodeid] = str(properties[SKIPPED])
        elif report.failed and report.when != "teardown":  # a worker that crashed makes no record
            self._not_run[report.nodeid] = " ".join(str(report.longrepr).split())

    @property
    def _planned(self) -> dict[str, str]:
        """Test id -> cell, of the cells that this session was to run."""
        return {nodeid: cell for nodeid, cell in self._collected.items() if _function(nodeid) in self._cell_tests}

    def pytest_keyboard_interrupt(self) -> None:
        """Ctrl-C."""
        self._interrupted = True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None]:
        """Make the file from the journal; a session whose every cell was skipped has not passed."""
        if not self._is_worker and not self._config.getoption("collectonly", False):
            self._interrupted |= isinstance(sys.exc_info()[1], KeyboardInterrupt)  # a second Ctrl-C, in mid-handling
            entries = self._entries()
            if self._planned and not entries and not self._others_ran and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
            if self._options.resume and entries and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
                session.exitstatus = pytest.ExitCode.OK  # the killed run had finished them all
            self._benchmarks.benchmarks = output.merged_benchmarks(self._benchmarks.benchmarks, entries, self._planned)
            if self._json is not None and (self._planned or self._benchmarks.benchmarks):
                output.write_output(self._json, self._config, self._benchmarks)
                self.journal.remove()
        return (yield)

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        """Add what has no timing: cells that broke off, were skipped, or never began."""
        entries = self._entries()
        output_json["nets"] = {
            "schema": SCHEMA,
            "interrupted": self._interrupted,
            "unfinished": [entry.result.to_json() for entry in entries if entry.benchmark is None],
            "not_run": [{"cell": cell, "because": because} for cell, because in self._missing()],
            "harness": self._harness.to_json() if self._harness is not None else None,
        }

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the session."""
        return self._interrupted

    def run_so_far(self) -> Run:
        """This session as the gate takes it. Raises Unusable for a cell that was measured twice."""
        from nets.machine.device import machine_facts
        from nets.records.run import Run, versions_of

        entries = self._entries()
        return Run(
            source="this run",
            results=tuple(entry.result for entry in entries if entry.benchmark is not None),
            unfinished=tuple(entry.result for entry in entries if entry.benchmark is None),
            not_run=tuple(self._missing()),
            versions=versions_of(machine_facts(self.setting.device)),
        )

    def _entries(self) -> list[Entry]:
        """The journal's, the cost-aware depth of each judged against the reference's record."""
        entries = self.journal.entries()
        judged = depth.with_depth([entry.result for entry in entries])
        return [replace(entry, result=result) for entry, result in zip(entries, judged, strict=True)]

    @cached_property
    def _harness(self) -> Harness | None:
        """Where the time went; not with workers, which run at once, nor without a cell."""
        has_workers = self._config.getoption("dist", "no") != "no"
        return None if has_workers or not self._planned else self.ledger.closed()

    def _missing(self) -> list[tuple[str, str]]:
        """The planned cells without a record, and why."""
        seen = {entry.nodeid for entry in self.journal.entries()}
        because = "the run was interrupted" if self._interrupted else "the run ended before it"
        return [
            (cell, self._not_run.get(nodeid, because)) for nodeid, cell in self._planned.items() if nodeid not in seen
        ]

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_machine_info(self, machine_info: dict[str, Any]) -> None:
        """Add what decides the figures, beside pytest-benchmark's own facts."""
        from nets.machine.device import machine_facts

        machine_info["nets"] = machine_facts(self.setting.device)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The article's table, what went wrong, and what did not run."""
        if self._is_worker or self._config.getoption("collectonly", False):
            return
        if not self._planned and not self.side_by_side and not self.growth:
            return
        from nets.report.run import growth_lines, not_run_lines, run_lines, side_by_side_lines

        terminalreporter.section("nets")
        width, color = terminalreporter._tw.fullwidth, terminalreporter.hasmarkup
        results = [entry.result for entry in self._entries()]
        for line in [
            *run_lines(results, width=width, color=color),
            *side_by_side_lines(self.side_by_side),
            *growth_lines(self.growth),
            *not_run_lines(self._missing()),
        ]:
            terminalreporter.write_line(line)
        if self._harness is not None:
            terminalreporter.write_line(str(self._harness))
        if self._json is not None:
            terminalreporter.write_line(f"records: {self._json}")

    @property
    def _benchmarks(self) -> Any:
        """pytest-benchmark's session."""
        return self._config._benchmarksession  # type: ignore[attr-defined]  # its only handle


def _function(nodeid: str) -> str:
    """A test's id without its parameters."""
    return nodeid.partition("[")[0]


def _sentence(raised: pytest.ExceptionInfo[BaseException] | None) -> str | None:
    if raised is None:
        return None
    if isinstance(raised.value, pytest.fail.Exception):
        return str(raised.value.msg)
    return raised.exconly()


def _journal(path: Path | None, *, resume: bool, versions: dict[str, str | None]) -> Journal:
    """The journal beside the JSON file. Raises UsageError for one that can't be resumed."""
    try:
        file = path.with_name(f"{path.name}.journal") if path is not None else None
        return Journal(file, resume=resume, versions=versions)
    except Unusable as error:
        raise pytest.UsageError(f"--resume: {error}") from None


def is_kept(result: Result, options: Options, setting: Setting) -> bool:
    """Whether this session would make the same record again, but for chance."""
    cells = {cell.id: cell for cell in options.cells}
    return (
        result.outcome.status == "passed"
        and result.id in cells
        and result.protocol == options.protocol_of(cells[result.id])
        and result.pipeline == options.pipeline
        and _is_executed_alike(result, setting)
        and result.device.name == setting.device.name
    )


def _is_executed_alike(result: Result, setting: Setting) -> bool:
    """But for the mode, which only a run knows."""
    from nets.measuring.cell import executed
    from nets.training.pipelines import PIPELINES

    expected = executed(PIPELINES[result.pipeline], result.protocol, setting)
    known = {"mode": expected.mode, "fallback_because": expected.fallback_because}
    return result.execution.model_copy(update=known) == expected
