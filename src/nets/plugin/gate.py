"""`pytest benchmarks/ --gate BASE.json`: holds this session's records against a stored run's, at its end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nets.errors import Unusable
from nets.gate.judge import judge_runs
from nets.gate.limits import Limits
from nets.gate.limits_input import read_limits
from nets.plugin.terminal import write_parts
from nets.records.run import Run, with_subject
from nets.records.run_file import read_run
from nets.report.text import plain

if TYPE_CHECKING:
    from nets.gate.findings import Gate
    from nets.plugin.recorder import Recorder
    from nets.plugin.session import Session


class SessionGate:
    """Fails a session that would pass and in which the gate finds anything that `nets gate` doesn't exit 0 for."""

    def __init__(self, base: Run, limits: Limits, recorder: Recorder) -> None:
        self.base = base
        self.limits = limits
        self._recorder = recorder
        self._judged: Gate | str | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Judge; an interrupted session's missing cells are no regression, and it has failed already."""
        if session.config.getoption("collectonly", False):
            return
        if self._recorder.interrupted:
            self._judged = "not held against its base: the run was interrupted"
            return
        try:
            self._judged = judge_runs(self.base, self._recorder.run_so_far(), self.limits)
        except Unusable as error:
            self._judged = plain(str(error), 1_000)
        has_passed = not isinstance(self._judged, str) and self._judged.exit_code == 0
        if not has_passed and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def write(self, reporter: pytest.TerminalReporter) -> None:
        """The gate's table and verdict."""
        from nets.report.document import Part, Sentence
        from nets.report.gate import gate_document

        if (judged := self._judged) is not None:
            parts: list[Part] = [Sentence(judged)] if isinstance(judged, str) else gate_document(judged)
            write_parts(reporter, "nets gate", parts)


def session_gate(session: Session, recorder: Recorder) -> SessionGate:
    """What the options ask for. Raises UsageError, before the first cell trains, for a file that can't be used."""
    base, limits = session.config.getoption("--gate"), session.config.getoption("--gate-config")
    if base is None:
        raise pytest.UsageError("--gate-config needs --gate BASE.json")
    if recorder.json == Path(base).resolve():
        raise pytest.UsageError("--gate: the run would be written over its own base; name another --benchmark-json")
    try:
        found = with_subject(read_run(Path(base)))
        found.demand_one_record_a_cell()
        if not found.cells:
            raise Unusable(f"{base}: it holds no cell: there is nothing to compare with")
        return SessionGate(found, Limits() if limits is None else read_limits(Path(limits)), recorder)
    except Unusable as error:
        raise pytest.UsageError(f"--gate: {plain(str(error), 1_000)}") from None
