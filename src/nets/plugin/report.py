"""`pytest benchmarks/ --report FILE`: the session as one page, at its end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nets.errors import NetsError
from nets.plugin import output
from nets.plugin.recorder import Recorder
from nets.plugin.session import Session


class SessionReport:
    """Writes the page when the records are complete; what it can't write fails the session, and costs nothing else."""

    def __init__(self, path: Path, session: Session, recorder: Recorder) -> None:
        output.demand_writable(path, "--report")
        self._path = path.resolve()  # tests may change the folder
        self._session = session
        self._recorder = recorder

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write it, where anything was measured."""
        if self._session.runs_nothing or not self._recorder.entries():
            self._recorder.note(f"report: nothing was measured, and {self._path} is not written")
            return
        try:
            self._write()
        except NetsError as error:
            self._recorder.note(f"report: {error}")
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        else:
            self._recorder.note(f"report: {self._path}")

    def _write(self) -> None:
        from nets.report import engine

        engine.start()
        from nets.datasets.pictures import pictures_of
        from nets.gate.limits import Limits
        from nets.records import durable
        from nets.records.run import parsed_run
        from nets.report.drawing import begun
        from nets.report.html import html_text
        from nets.report.pages.page import drawn_charts, page

        text = durable.json_text(self._recorder.content())
        run = parsed_run(json.loads(text), "this run")
        pictures = pictures_of(run.cells, self._session.options.data_dir)
        made = page([(run, text.encode())], [], pictures, Limits())
        durable.write(self._path, html_text(made, begun(drawn_charts(made))))
