"""Puts a cell's record into its test's report, in which it travels from a worker to the controller as without one."""

from __future__ import annotations

import traceback
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from nets.cells.catalog import Cell
from nets.plugin import output
from nets.plugin.session import RESULT, RUN, Session, cell_of
from nets.records.durable import Entry

if TYPE_CHECKING:
    from nets.records.cell import Result

CELL, DATASET, RECORD, SKIPPED = "nets-cell", "nets-dataset", "nets", "nets-skipped"
"""What a report of a cell's test carries: the cell's id and data set; its record, or why it was skipped."""


class Reports:
    """One a session, at work in each process that runs tests. `made`: the records so far, by the test's node id."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._config = session.config
        self.made: dict[str, Result] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Forget what a test measured before that a plug-in runs again."""
        if RESULT in item.stash:
            del item.stash[RESULT]

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
        report.user_properties += [(CELL, cell.id), (DATASET, cell.dataset)]
        if call.excinfo is not None and not self._config.getoption("usepdb", False):
            traceback.clear_frames(call.excinfo.tb)  # they hold the network, and the report is made
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            report.user_properties.append((SKIPPED, reason.removeprefix("Skipped: ")))
        elif call.when == "call" or not report.passed:
            entry = self._entry(item, cell, call)
            self.made[item.nodeid] = entry.result
            report.user_properties.append((RECORD, entry.to_json()))
        return report

    def _entry(self, item: pytest.Item, cell: Cell, call: pytest.CallInfo[None]) -> Entry:
        from nets.measuring.cell import unfinished_result

        because = _sentence(cell, call.excinfo)
        result = item.stash.get(RESULT, None)
        origin = self._session.origin_of(cell)
        if result is None:
            funcargs: dict[str, Any] = getattr(item, "funcargs", {})
            result = unfinished_result(
                cell,
                self._session.options.protocol_of(cell),
                self._session.setting,
                item.stash.get(RUN, None),
                because=because or "the test never made a record: it didn't call `judge`",
                data=funcargs.get("data"),
            )
            return Entry(item.nodeid, result, benchmark=None, origin=origin)
        if because is not None and result.outcome.status == "passed":
            result = result.judged("failed", [because])
        timing = output.timing_of(item, n_rounds=len(result.rounds))
        return Entry(item.nodeid, result, benchmark=timing, origin=origin)


def _sentence(cell: Cell, raised: pytest.ExceptionInfo[BaseException] | None) -> str | None:
    if raised is None:
        return None
    if isinstance(raised.value, pytest.fail.Exception):
        return str(raised.value.msg)
    return f"{cell.id}: {raised.exconly()}"
