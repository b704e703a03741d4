"""`pytest benchmarks/ --report FILE`: the session as one page, at its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nets.errors import NetsError
from nets.plugin import output
from nets.records.run_file import is_benchmark_file

if TYPE_CHECKING:
    from nets.plugin.gate import SessionGate
    from nets.plugin.recorder import Recorder
    from nets.plugin.session import Session


class SessionReport:
    """Writes the page when the records are complete; what it can't write fails the session, and costs nothing else.

    With `gate` the page says what changed since the gate's base, by its limits.
    """

    def __init__(self, path: Path, session: Session, recorder: Recorder, gate: SessionGate | None) -> None:
        output.demand_writable(path, "--report")
        self._path = path.resolve()  # tests may change the folder
        if self._path == recorder.json or is_benchmark_file(path):
            raise pytest.UsageError(f"--report: {path} is a result file, and would be written over; name another")
        self._session = session
        self._recorder = recorder
        self._gate = gate

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write it, where anything was measured."""
        measured = self._recorder.entries() or self._session.side_by_side or self._session.growth
        if self._session.runs_nothing or not measured:
            self._recorder.note(f"report: nothing was measured, and {self._path} is not written")
            return
        try:
            self._write()
        except Exception as error:  # the figures are worth more than the page
            named = "" if isinstance(error, NetsError) else f"{type(error).__name__}: "
            self._recorder.note(f"report: {self._path} is not written: {named}{error}")
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        else:
            self._recorder.note(f"report: {self._path}")

    def _write(self) -> None:
        from nets.report import engine

        engine.start()
        from nets.datasets.pictures import pictures_of
        from nets.gate.limits import Limits
        from nets.records import durable
        from nets.records.run import with_subject
        from nets.records.run_file import parsed_run
        from nets.report.drawing import begun
        from nets.report.html import html_text
        from nets.report.pages.page import drawn_charts, page

        text = durable.json_text(self._recorder.content())
        name = "run.json" if self._recorder.json is None else self._recorder.json.name
        run = with_subject(parsed_run(json.loads(text), name))
        pictures = pictures_of(run.cells, self._session.options.data_dir)
        runs, limits = ([run], Limits()) if self._gate is None else ([run, self._gate.base], self._gate.limits)
        made = page(runs, text.encode(), [], pictures, limits)
        durable.write(self._path, html_text(made, begun(drawn_charts(made))))
