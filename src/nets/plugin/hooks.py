"""The suite's face to pytest: options, hooks, fixtures, for any repository: `pytest_plugins = ["nets.plugin"]`.

A test that asks for `cell_run` runs once a cell. See benchmarks/test_train_eval.py for the whole use.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from nets.cells.catalog import Cell
from nets.plugin import checks
from nets.plugin.gate import session_gate
from nets.plugin.options import add_options, read_options
from nets.plugin.recorder import Recorder
from nets.plugin.session import OPTIONS, PROGRESS, RECORDER

APART = {
    "growth": "throughput by batch size and by training-set size",
    "monitor_cost": "what the GPU monitor costs, side by side",
    "peers": "other people's tools against the resident pipeline, side by side",
    "side_by_side": "the article's pipeline against the resident one, side by side",
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
    """Check the options, and register what keeps the records."""
    if not config.pluginmanager.hasplugin("benchmark"):
        raise pytest.UsageError("nets needs pytest-benchmark, and it is not loaded (-p no:benchmark?)")
    for marker, what in APART.items():
        config.addinivalue_line("markers", f"{marker}: {what}; left out unless -m asks for it")
    config.stash[OPTIONS] = read_options(config)
    config.stash[RECORDER] = Recorder(config, config.stash[OPTIONS])
    register = config.pluginmanager.register
    register(config.stash[RECORDER], "nets-recorder")
    if not hasattr(config, "workerinput"):
        gate = session_gate(config, config.stash[RECORDER])
        if gate is not None:
            register(gate, "nets-gate")
    register(checks.AccuracyInBand(), "nets-accuracy")
    register(checks.NetworkAsPublished(), "nets-network")
    if config.pluginmanager.hasplugin("xdist"):
        from nets.plugin.workers import Workers

        register(Workers(config, config.stash[OPTIONS].device), "nets-workers")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """`-n auto`: a worker for each GPU."""
    from nets.machine.device import DeviceError
    from nets.machine.visible import n_gpus

    try:
        return n_gpus(config.getoption("--device"))
    except DeviceError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say how and on what the cells run; a worker's is never seen, and it must not look before it has its cores."""
    if hasattr(config, "workerinput"):
        return []
    options, device = config.stash[OPTIONS], config.stash[RECORDER].setting.device
    lines = [f"nets: protocol {options.protocol}, pipeline {options.pipeline}, {device.type}: {device.name}"]
    if device.type == "cpu":
        lines.append(f"nets: no figure of a GPU: {config.stash[RECORDER].setting.gpu_missing_because}")
    return lines


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the benchmarks that are run by themselves, unless `-m` names their marker."""
    unnamed = [marker for marker in APART if marker not in config.getoption("markexpr")]
    apart = [item for item in items if any(item.get_closest_marker(marker) for marker in unnamed)]
    if apart:
        config.hook.pytest_deselected(items=apart)
        items[:] = [item for item in items if item not in apart]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One case a cell, its id `dataset-model`, for every test that asks for `cell_run`, `side_by_side` or `growth`."""
    if not {"cell_run", "side_by_side", "growth"}.isdisjoint(metafunc.fixturenames):
        cells = metafunc.config.stash[OPTIONS].cells
        metafunc.parametrize("cell", cells, ids=[cell.id for cell in cells], scope="session")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Turn a user's mistake, and memory that ran out, into a sentence."""
    cell = pyfuncitem.funcargs.get("cell")
    if not isinstance(cell, Cell):
        return (yield)
    import torch

    from nets.datasets.data import DoesNotFit
    from nets.errors import UnknownName, Unusable
    from nets.networks.build import UnfitNetwork
    from nets.networks.dataflow import UnknownStructure

    try:
        return (yield)
    except (DoesNotFit, UnfitNetwork, UnknownName, UnknownStructure, Unusable) as error:
        because = str(error)
    except (MemoryError, RuntimeError) as error:
        # torch has a type for the GPU's memory; the CPU's allocator raises a plain RuntimeError
        known = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if not known and "can't allocate memory" not in str(error):
            raise
        because = f"{cell.id}: out of memory: {error or 'the host has no more'}"
    finally:
        if PROGRESS in pyfuncitem.stash:
            pyfuncitem.stash[PROGRESS].clear()
    pytest.fail(because, pytrace=False)
