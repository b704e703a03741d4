"""Keeps the session's records: from each cell's report to the journal, and from the journal to out.json.

A finished cell's record travels in its report's `user_properties`, so that it arrives at the controller the same way
with xdist's workers as without; a property says which cell it is of. pytest-benchmark's own session is given the
benchmarks back at the end, which keeps its table, its storage and its comparisons at work; the JSON file is written
here, atomically.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nets.errors import Unusable
from nets.plugin import output
from nets.plugin.reports import CELL, DATASET, RECORD, SKIPPED, Reports
from nets.plugin.session import PlannedCell, Session, cell_of, tolerant
from nets.records import durable
from nets.records.base import SCHEMA
from nets.records.durable import Entry, Journal

if TYPE_CHECKING:
    from nets.records.cell import Result
    from nets.records.gpu import Trace
    from nets.records.run import Harness, Run


class Recorder:
    """One a session, on the controller and on each worker."""

    def __init__(self, session: Session, reports: Reports) -> None:
        self._session = session
        self._reports = reports
        self._config = session.config
        self._not_run: dict[str, str] = {}
        self._skipped: set[str] = set()
        self._others_ran = False
        self._commit: dict[str, Any] | None = None
        self._unwritten: list[str] = []
        self._notes: list[str] = []
        self.interrupted = False
        self.json: Path | None = None
        if (path := self._config.getoption("benchmark_json", None)) is not None:
            self.json = Path(path).resolve()  # tests may change the folder
        if self.json is not None and not session.is_worker and not session.runs_nothing:
            output.demand_writable(self.json)
            self._config.add_cleanup(output.locked(self.json))
        self._journal = _journal(self.json, session)

    def measured(self) -> dict[str, Result]:
        """What this process measured, by the test's node id; and what a run did that was killed and is resumed."""
        return {entry.nodeid: entry.result for entry in self._journal.entries()} | self._reports.made

    def pytest_sessionstart(self) -> None:
        """Take the JSON file over from pytest-benchmark, which writes it in place and only if all went well.

        On a worker it must write nothing at all: the controller does.
        """
        self._session.benchmarks.json = None
        if self._session.is_worker:
            self._session.benchmarks.save = self._session.benchmarks.autosave = None
        if self._session.options.resume:
            self._take_over()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """With --resume, leave out the cells that passed, made alike, in the run that ended early."""
        if not self._session.options.resume:
            return
        if not self._session.is_worker:
            self._journal.keep({item.nodeid for item in items})
        done = {entry.nodeid for entry in self._journal.entries() if entry.result.outcome.status == "passed"}
        again = [item for item in items if item.nodeid in done]
        if again:
            self._config.hook.pytest_deselected(items=again)
            items[:] = [item for item in items if item.nodeid not in done]

    def _take_over(self) -> None:
        """Keep of the run that ended early what this one would make alike; say what not, and why."""
        from nets.plugin.resume import why_other

        cells = {cell.id: cell for cell in self._session.options.cells_here}
        kept = {}
        for entry in self._journal.entries():
            cell = cells.get(entry.result.id)
            other = "it is not to be run now" if cell is None else why_other(entry, cell, self._session)
            if other is None:
                kept[entry.nodeid] = entry
                other = None if entry.result.outcome.status == "passed" else "it did not pass"
            if other is not None:
                self._session.notes.append(f"nets: --resume does not keep {entry.result.id}: {other}")
        self._journal.keep(kept)
        self._session.notes += [f"nets: --resume: {sentence}" for sentence in self._journal.unreadable]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note which cells are to run; pytest-benchmark need not warn of xdist if they are all that there is."""
        self._session.ledger.tests_start()
        self._session.planned.update(
            (item.nodeid, PlannedCell(cell.id, cell.dataset))
            for item in session.items
            if (cell := cell_of(item)) is not None
        )
        others = [i for i in session.items if "benchmark" in getattr(i, "fixturenames", ()) and cell_of(i) is None]
        if not others:
            self._session.benchmarks.xdist_benchmark_found = False
        self._note_commit()

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """With workers the controller knows the cells from them."""
        self._note_commit()

    def _note_commit(self) -> None:
        """Ask for the commit before the first cell: the code is read now, and the next commit may come meanwhile."""
        from nets.plugin.resume import commit_info

        starts = self._commit is None and not self._session.is_worker and not self._session.runs_nothing
        if starts and self._session.planned:
            self._commit = commit_info(self._config, self._session.options.nets)

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_generate_commit_info(self) -> dict[str, Any] | None:
        """The commit of the session's start."""
        return self._commit

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Journal a finished cell. A worker that crashed makes no record, and its test is known from the collection."""
        if self._session.is_worker:
            return
        properties = dict(report.user_properties)
        planned = self._session.planned
        if CELL in properties:
            planned.setdefault(report.nodeid, PlannedCell(str(properties[CELL]), str(properties[DATASET])))
        elif report.nodeid not in planned:
            self._others_ran |= report.when == "call" and report.passed
            return
        if RECORD in properties:
            entry = Entry.from_json(str(properties[RECORD]), report.nodeid)
            self._journal.append(entry)
            self._session.ledger.count_rounds(entry.result)
            self._session.tests_s.append(report.duration)
        elif SKIPPED in properties:
            self._not_run[report.nodeid] = because = str(properties[SKIPPED])
            self._skipped.add(because)
        elif report.failed and report.when != "teardown":
            self._not_run[report.nodeid] = " ".join(str(report.longrepr).split())

    def add_trace(self, nodeid: str, trace: Trace | None, because: str | None) -> None:
        """Complete a cell's record, in the journal too."""
        entry = next((entry for entry in self._journal.entries() if entry.nodeid == nodeid), None)
        if entry is not None:
            completed = entry.result.replace(trace=trace, trace_missing_because=because)
            self._journal.append(replace(entry, result=completed))

    def pytest_keyboard_interrupt(self) -> None:
        """Ctrl-C."""
        self.interrupted = True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None]:
        """Make the file from the journal; a session whose every cell was skipped has not passed."""
        with tolerant():
            if not self._session.is_worker and not self._session.runs_nothing:
                self.interrupted |= isinstance(sys.exc_info()[1], KeyboardInterrupt)  # a second Ctrl-C, in mid-handling
                planned, benchmarks = self._session.planned, self._session.benchmarks
                entries = self.entries()
                if planned and not entries and not self._others_ran and session.exitstatus == pytest.ExitCode.OK:
                    session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
                resumes = self._session.options.resume
                if resumes and entries and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
                    session.exitstatus = pytest.ExitCode.OK  # the killed run had finished them all
                benchmarks.benchmarks = output.merged_benchmarks(benchmarks.benchmarks, entries, planned)
                if self.json is not None and (planned or benchmarks.benchmarks or self._session.is_empty_shard):
                    self._write(self.json)
                output.guard_storage(benchmarks.storage, self._unwritten.append)
        result = yield  # in which pytest-benchmark stores the run, where it was asked to
        if self._unwritten:
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        return result

    def _write(self, path: Path) -> None:
        """Write the file, but for one without a cell in the place of one with cells; keep the journal of a part."""
        benchmarks = self._session.benchmarks
        if not benchmarks.benchmarks and not self.entries() and output.has_records(path):
            self._notes.append(f"records: nothing was measured, and {path} stays as it was")
            return
        try:
            durable.write(path, durable.json_text(self.content()))
        except Unusable as error:
            self._unwritten.append(str(error))
            return
        self._notes.append(f"records: {path}")
        if not self.interrupted and self._journal.unwritten is None:
            self._journal.remove()

    def content(self) -> dict[str, Any]:
        """The file's content, once the records are complete."""
        return output.content_of(self._config, self._session.benchmarks)

    def note(self, sentence: str) -> None:
        """Have it told at the session's end."""
        self._notes.append(sentence)

    def told(self) -> list[str]:
        """Where the records are, and what of them could not be written."""
        journal = self._journal
        in_journal = self.json is not None and journal.unwritten is None and bool(journal.entries())
        told = list(self._notes)
        told += [f"records: {sentence}" for sentence in self._unwritten]
        if in_journal and (self.interrupted or self._unwritten):
            goes_on = "a run over hosts has no --resume" if self._session.hosts else "--resume goes on after them"
            told.append(f"records: the finished cells are in {journal.path}, and {goes_on}")
        if journal.unwritten is not None and self._unwritten:
            told.append(f"records: the journal could not be written either: {journal.unwritten}")
        return told

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        """Add what has no timing: cells that broke off, were skipped, or never began."""
        output_json["nets"] = {
            "schema": SCHEMA,
            "interrupted": self.interrupted,
            "arguments": list(map(str, self._config.invocation_params.args)),
            "unfinished": [entry.result.to_json() for entry in self.entries() if entry.benchmark is None],
            "not_run": [
                {"cell": cell, "because": because, "skipped": because in self._skipped}
                for cell, because in self.missing()
            ],
            "harness": self.harness.to_json() if self.harness is not None else None,
            **self._session.options.shard_to_json(),
        }

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_machine_info(self, machine_info: dict[str, Any]) -> None:
        """Add what decides the figures, beside pytest-benchmark's own facts, where there is a cell."""
        if self._session.planned or self._session.side_by_side or self._session.growth:
            machine_info |= self._session.machine_info_of_hosts()
            machine_info["nets"] = self._session.machine_facts()

    def run_so_far(self) -> Run:
        """This session as the gate takes it."""
        from nets.records.run import CommitInfo, Run
        from nets.records.versions import versions_of

        entries = self.entries()
        timed = [(entry.result, entry.benchmark) for entry in entries if entry.benchmark is not None]
        return Run(
            source="this run",
            results=tuple(result for result, _ in timed),
            timings=tuple(timing for _, timing in timed),
            unfinished=tuple(entry.result for entry in entries if entry.benchmark is None),
            not_run=tuple(self.missing()),
            versions=versions_of({"nets": self._session.machine_facts()}),
            commit=CommitInfo.model_validate(self._commit or {}),
            ran=datetime.now(UTC).isoformat(),
        )

    def entries(self) -> list[Entry]:
        """The journal's, the cost-aware depth of each judged against the reference's record."""
        entries = self._journal.entries()
        if not entries:
            return []
        from nets.verdicts.depth import with_depth

        judged = with_depth([entry.result for entry in entries])
        return [replace(entry, result=result) for entry, result in zip(entries, judged, strict=True)]

    @cached_property
    def harness(self) -> Harness | None:
        """Where the time went; not with workers, which run at once, nor without a cell."""
        return None if self._session.has_workers or not self._session.planned else self._session.ledger.summary()

    def missing(self) -> list[tuple[str, str]]:
        """The planned cells without a record, and why."""
        seen = {entry.nodeid for entry in self._journal.entries()}
        because = "the run was interrupted" if self.interrupted else "the run ended before it"
        return [
            (cell.id, self._not_run.get(nodeid, because))
            for nodeid, cell in self._session.planned.items()
            if nodeid not in seen
        ]


def _journal(path: Path | None, session: Session) -> Journal:
    """The journal beside the JSON file. Raises UsageError for one that can't be resumed."""
    file = path.with_name(f"{path.name}.journal") if path is not None else None
    resume = session.options.resume
    try:
        return Journal(file, resume=resume)
    except Unusable as error:
        raise pytest.UsageError(f"--resume: {error}") from None
