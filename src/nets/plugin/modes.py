"""Ways of running pytest that others' options ask for: those that can't measure a cell are refused before the first.

What each of them leaves in the file is in tests/plugin/test_modes.py.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from importlib.util import find_spec
from time import perf_counter
from typing import Any

import pytest

from nets.plugin.session import Session


class Modes:
    """One a session, on the controller and on each worker. Made before pytest-benchmark reads its options."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._config = session.config
        self._not_grouped: str | None = None
        option = self._config.option
        self._only = bool(option.benchmark_only) and (session.is_worker or session.has_workers)
        if self._only:  # pytest-benchmark refuses it beside workers, on which it would time nothing; cells are timed
            option.benchmark_only = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Have what is no benchmark left out on workers, too, which get the options as they are now."""
        if self._only:
            self._config.option.benchmark_only = self._session.benchmarks.only = True
            self._session.benchmarks.skip = False

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """Refuse, where this process runs the cells."""
        self._demand_measurable()

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """Refuse, where workers do."""
        self._demand_measurable()

    def _demand_measurable(self) -> None:
        session = self._session
        if session.planned and not session.is_worker and not session.runs_nothing:
            because = why_not_measured(session)
            if because is not None:
                session.planned.clear()  # there is nothing to write a file of
                raise pytest.UsageError(because)

    @pytest.hookimpl(wrapper=True, optionalhook=True)
    def pytest_benchmark_group_stats(
        self, benchmarks: Sequence[Any], group_by: str
    ) -> Generator[None, list[tuple[str | None, list[Any]]], list[tuple[str | None, list[Any]]]]:
        """Show pytest-benchmark's table ungrouped where it can't be grouped: its figures are there by now."""
        try:
            return (yield)
        except (LookupError, NotImplementedError, TypeError) as error:
            self._not_grouped = f"--benchmark-group-by={group_by}: not every benchmark has it: {error!r}"
            return [(None, list(benchmarks))]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """A wrong option is no success."""
        yield
        if self._not_grouped is not None and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say why the table is not grouped."""
        if self._not_grouped is not None:
            terminalreporter.write_line(self._not_grouped, red=True)


def why_not_measured(session: Session) -> str | None:
    """Why this session can't measure its cells as their records would say, what to do about it; None if it can."""
    option, benchmarks = session.config.getoption, session.benchmarks
    if option("tx", None) and not session.has_workers:
        return "--tx names workers, and the cells are not handed out to them: add -d (or --dist load)"
    if session.unlike_because is not None:
        return session.unlike_because
    if option("codspeed", False) or ("CODSPEED_ENV" in os.environ and hasattr(session.config.option, "codspeed")):
        return (
            "pytest-codspeed (--codspeed, CODSPEED_ENV) takes the place of pytest-benchmark, which times the cells: "
            "run them without it"
        )
    written = ("benchmark_json", "benchmark_save", "benchmark_autosave", "gate")
    if is_disabled(session.config) and any(option(name, None) for name in written):
        return (
            "--benchmark-disable, on the command line or in an ini file, times nothing, so there is nothing to write "
            "or to hold against a base: add --benchmark-enable, or leave out --benchmark-json and the like for a "
            "mere trial of one round a cell"
        )
    if benchmarks.options["timer"].target is not perf_counter:
        return (
            f"--benchmark-timer={benchmarks.options['timer']}: a cell's seconds are those of time.perf_counter, in its "
            f"record and in its table: leave the option out"
        )
    if option("benchmark_cprofile") and session.has_workers:
        return "--benchmark-cprofile: what a worker profiles does not reach the table: run it without -n"
    if option("dist", "no") == "each":
        return "--dist each runs every cell once a worker, and a file has one record of a test: use --dist load"
    if benchmarks.compare_fail and not benchmarks.compared_mapping:
        return "--benchmark-compare-fail: there is no stored run to compare with; name one by --benchmark-compare"
    if benchmarks.histogram and (find_spec("pygal") is None or find_spec("pygaljs") is None):
        return "--benchmark-histogram needs pygal and pygaljs: pip install 'pytest-benchmark[histogram]'"
    return None


def is_disabled(config: pytest.Config) -> bool:
    """Whether pytest-benchmark was told to time nothing."""
    return bool(config.getoption("benchmark_disable")) and not config.getoption("benchmark_enable")


def enable_under_xdist(config: pytest.Config, benchmark: Any) -> None:
    """pytest-benchmark disables itself on xdist's workers; a cell is timed there too, unless it was told not to."""
    if os.environ.get("PYTEST_XDIST_WORKER") and not is_disabled(config):
        benchmark.disabled = False
