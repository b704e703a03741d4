"""Takes the profiler's traces of a session's cells, after the last of them: the profiler slows what comes after it."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from nets.errors import NetsError
from nets.plugin.session import tolerant
from nets.plugin.timeout import limited
from nets.records.gpu import Trace

if TYPE_CHECKING:
    from nets.plugin.recorder import Recorder
    from nets.plugin.session import Session
    from nets.records.cell import Result
    from nets.training.run import CellRun

NOT_YET = "the run ended before its trace was taken"
_OUTPUT = "nets-traces"
"""Names what a worker hands to the controller at its end: (node id, the trace or null, why there is none)."""


class Traces:
    """Registered on the controller, and on each worker, which traces the cells that it measured."""

    def __init__(self, session: Session, recorder: Recorder) -> None:
        self._session = session
        self._recorder = recorder

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Trace each cell that was finished, the last one first: its data set is still loaded."""
        result = yield
        wanted = [] if self._session.has_workers else list(self._wanted())[::-1]
        if wanted:
            self._say(f"nets: profiler traces of {len(wanted)} cells")
            with tolerant(), self._session.ledger.spent("trace"), self._captured():
                self._take(wanted)
        return result

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker traced."""
        for nodeid, trace, because in getattr(node, "workeroutput", {}).get(_OUTPUT, ()):
            self._recorder.add_trace(nodeid, None if trace is None else Trace.model_validate_json(trace), because)

    def _wanted(self) -> Iterable[tuple[str, Result]]:
        options = self._session.options
        for nodeid, result in self._recorder.measured().items():
            is_finished = options.trace and result.accuracy is not None and result.depth is not None
            if is_finished and (result.trace_missing_because == NOT_YET or options.keep_traces is not None):
                yield nodeid, result

    def _take(self, wanted: Iterable[tuple[str, Result]]) -> None:
        from nets.gpu.capture import traced

        for nodeid, result in wanted:
            try:
                with self._limited(result):
                    run = self._run_of(result)
                    trace, because = traced(run, self._session.options.keep_traces)
                    run.close()
            except (Exception, pytest.fail.Exception) as error:  # of many kinds; none may lose the records
                trace, because = None, f"its trace could not be taken: {str(error).partition(chr(10))[0]}"
            if self._session.setting.gpu_missing_because is not None:
                because = self._session.setting.gpu_missing_because
            if not self._session.is_worker:
                self._recorder.add_trace(nodeid, trace, because)
                continue
            told = self._session.config.workeroutput.setdefault(_OUTPUT, [])  # type: ignore[attr-defined]  # xdist's
            told.append((nodeid, None if trace is None else trace.model_dump_json(), because))

    def _limited(self, result: Result) -> AbstractContextManager[None]:
        """A trace may take as long as a cell."""
        seconds = self._session.options.cell_timeout
        if seconds is None:
            return nullcontext()
        return limited(self._session.config, seconds, f"it was not done after {seconds:g} s (--cell-timeout)")

    def _run_of(self, result: Result) -> CellRun:
        """The cell anew: what it was trained on was freed after it. Raises whatever its data and loaders do."""
        from nets.training.pipelines import pipeline_named
        from nets.training.run import CellRun

        session = self._session
        cell = next(cell for cell in session.options.cells if cell.id == result.id)
        data = session.load_data(result.cell.dataset)
        if data.sha256 != result.cell.data_sha256:
            raise NetsError("its data set, loaded again, is not what it was trained on")
        pipeline = pipeline_named(result.pipeline)
        if result.execution.memory_format == "contiguous":
            pipeline = pipeline.contiguous()
        loaders = pipeline.loaders(data, result.protocol, session.device)
        return CellRun(cell, result.protocol, pipeline, data, loaders, session.device)

    @contextmanager
    def _captured(self) -> Iterator[None]:
        """Keep what the profiler prints from the terminal, as in a test."""
        capture: Any = self._session.config.pluginmanager.get_plugin("capturemanager")
        if capture is None:
            yield
            return
        capture.resume_global_capture()
        try:
            yield
        finally:
            capture.suspend_global_capture()
            capture.read_global_capture()

    def _say(self, line: str) -> None:
        reporter = self._session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and self._session.config.get_verbosity() >= 0:
            reporter.write_line("")
            reporter.write_line(line)
