"""The pytest hooks: options, what is registered, which cells a test is run for, and errors as sentences.

A test that asks for `cell_run` runs once a cell. See benchmarks/test_train_eval.py for the whole use.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from nets.cells.catalog import Cell
from nets.errors import NetsError
from nets.plugin import checks
from nets.plugin.modes import Modes
from nets.plugin.options import add_options, read_options
from nets.plugin.recorder import Recorder
from nets.plugin.reports import Reports
from nets.plugin.session import PROGRESS, SESSION, Session
from nets.plugin.shards import Shards
from nets.plugin.terminal import Summary
from nets.plugin.timeout import CellTimeout
from nets.plugin.traces import Traces
from nets.report.screen import write_stand_ins

_MEASURING = {"cell_run", "side_by_side", "growth"}
"""Fixtures of tests that measure a cell."""
APART = {
    "nets_growth": "throughput by batch size and by training-set size",
    "nets_monitor_cost": "what the GPU monitor costs, side by side",
    "nets_peers": "other people's tools against the resident pipeline, side by side",
    "nets_side_by_side": "the article's pipeline against the resident one, side by side",
}
"""Markers of benchmarks that run only when `-m` asks for them."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    add_options(parser)
    parser.addini("nets_bands", "accuracy bands, relative to the rootdir (default: bands.toml beside the test)")


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the suite's own hooks."""
    pluginmanager.add_hookspecs(checks)


def pytest_configure(config: pytest.Config) -> None:
    """Check the options, and register what keeps the records.

    Other plug-ins are known by the options and hooks that they give, whatever name they were loaded under.
    """
    if not hasattr(config.option, "benchmark_json"):
        raise pytest.UsageError("nets needs pytest-benchmark, and it is not loaded (-p no:benchmark?)")
    for marker, what in APART.items():
        config.addinivalue_line("markers", f"{marker}: {what}; left out unless -m asks for it")
    session = config.stash[SESSION] = Session(config, read_options(config))
    register = config.pluginmanager.register
    reports = Reports(session)
    register(reports, "nets-reports")
    recorder = Recorder(session, reports)
    register(recorder, "nets-recorder")
    register(Traces(session, recorder), "nets-traces")
    register(Modes(session), "nets-modes")
    if session.options.shard is not None:
        register(Shards(session, session.options.shard), "nets-shards")
    if not session.is_worker:
        write_stand_ins(sys.stdout, sys.stderr)
        gate = None
        if config.getoption("--gate") is not None or config.getoption("--gate-config") is not None:
            from nets.plugin.gate import session_gate

            register(gate := session_gate(session, recorder), "nets-gate")
        register(Summary(session, recorder, gate), "nets-summary")
        if (page := config.getoption("--report")) is not None:
            from nets.plugin.report import SessionReport

            register(SessionReport(Path(page), session, recorder, gate), "nets-report")
    if session.options.cell_timeout is not None:
        register(CellTimeout(session.options.cell_timeout), "nets-timeout")
    register(checks.AccuracyInBand(), "nets-accuracy")
    register(checks.NetworkAsPublished(), "nets-network")
    if hasattr(config.hook, "pytest_xdist_setupnodes"):
        from nets.plugin.workers import Workers

        register(Workers(session), "nets-workers")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """`-n auto`: a worker for each GPU."""
    from nets.machine.visible import n_gpus

    try:
        return n_gpus(config.getoption("--device"))
    except NetsError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the benchmarks that are run by themselves, unless `-m` names their marker.

    In a test that measures a cell no library's warning is an error, unless the test itself says so.
    """
    for item in items:
        if not _MEASURING.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.filterwarnings("default"), append=False)
    named = set(re.findall(r"[^\s()]+", config.getoption("markexpr") or ""))
    unnamed = [marker for marker in APART if marker not in named]  # of the others pytest's own -m decides
    apart = [item for item in items if any(item.get_closest_marker(marker) for marker in unnamed)]
    if apart:
        config.hook.pytest_deselected(items=apart)
        items[:] = [item for item in items if item not in apart]


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say how and on what the cells run, where there are any."""
    session = config.stash[SESSION]
    if session.runs_nothing or config.get_verbosity() < 0:
        return []
    return session.captions() if session.planned else session.notes


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One case a cell, its id `dataset-model`, for every test that asks for `cell_run`, `side_by_side` or `growth`."""
    if not _MEASURING.isdisjoint(metafunc.fixturenames):
        cells = metafunc.config.stash[SESSION].options.cells
        if "cell" not in metafunc.fixturenames:  # pytest 8 forgets what a fixture needs that a conftest overrides
            metafunc.fixturenames.append("cell")
        metafunc.parametrize("cell", cells, ids=[cell.id for cell in cells], scope="session")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Turn a user's mistake, and memory that ran out, into a sentence."""
    cell = pyfuncitem.funcargs.get("cell")
    if not isinstance(cell, Cell):
        return (yield)
    from nets.machine.device import is_out_of_memory

    try:
        return (yield)
    except NetsError as error:
        because = str(error)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        because = f"{cell.id}: out of memory: {error or 'the host has no more'}"
    finally:
        if PROGRESS in pyfuncitem.stash:
            pyfuncitem.stash[PROGRESS].clear()
    pytest.fail(because, pytrace=False)
