"""The suite's face to pytest: options, fixtures, hooks, for any repository: `pytest_plugins = ["nets.plugin"]`.

A test that asks for `cell_run` runs once a cell. See benchmarks/test_train_eval.py for the whole use.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nets import expectations, hookspecs, sessiongate
from nets.cells import Cell, Protocol
from nets.options import Options, add_options, read_options
from nets.recorder import RUN, Recorder

if TYPE_CHECKING:
    import torch

    from nets.datasets import Data
    from nets.growth import Growth
    from nets.harness import Ledger
    from nets.measure import CellRun
    from nets.monitor import GpuMonitor
    from nets.pipelines import Loaders, Pipeline
    from nets.progress import ProgressLine
    from nets.results import Result
    from nets.sidebyside import SideBySide
    from nets.sweep import Sweep
    from nets.turns import Turns

APART = {
    "growth": "throughput by batch size and by training-set size",
    "monitor_cost": "what the GPU monitor costs, side by side",
    "peers": "other people's tools against the resident pipeline, side by side",
    "side_by_side": "the article's pipeline against the resident one, side by side",
}
"""Markers of benchmarks that run only when `-m` asks for them."""

OPTIONS = pytest.StashKey[Options]()
RECORDER = pytest.StashKey[Recorder]()
PROGRESS: pytest.StashKey[ProgressLine] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    add_options(parser)
    parser.addini("nets_bands", "accuracy bands, relative to the rootdir (default: bands.toml beside the test)")


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the suite's own hooks."""
    pluginmanager.add_hookspecs(hookspecs)


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
        gate = sessiongate.session_gate(config, config.stash[RECORDER])
        if gate is not None:
            register(gate, "nets-gate")
    register(expectations.AccuracyInBand(), "nets-accuracy")
    register(expectations.NetworkAsPublished(), "nets-network")
    if config.pluginmanager.hasplugin("xdist"):
        from nets.workers import Workers

        register(Workers(config, config.stash[OPTIONS].device), "nets-workers")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """`-n auto`: a worker for each GPU."""
    from nets.machine import DeviceError
    from nets.workers import n_gpus

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

    from nets.cells import UnknownName
    from nets.datasets import DoesNotFit
    from nets.models import UnfitNetwork
    from nets.results import Unusable
    from nets.structure import UnknownStructure

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


@pytest.fixture(scope="session")
def nets_options(pytestconfig: pytest.Config) -> Options:
    """The session's options."""
    return pytestconfig.stash[OPTIONS]


@pytest.fixture(scope="session")
def ledger(pytestconfig: pytest.Config) -> Ledger:
    """Where the session's time goes."""
    return pytestconfig.stash[RECORDER].ledger


@pytest.fixture(scope="session")
def device(pytestconfig: pytest.Config) -> torch.device:
    """The device that the cells run on. A worker that can't have the one it was meant to fails its cells."""
    recorder = pytestconfig.stash[RECORDER]
    device = recorder.device
    if recorder.no_device_because is not None:
        pytest.fail(recorder.no_device_because, pytrace=False)
    return device


@pytest.fixture(scope="session")
def pipeline(nets_options: Options) -> Pipeline:
    """The session's pipeline."""
    from nets.pipelines import pipeline as named

    return named(nets_options.pipeline)


@pytest.fixture
def protocol(cell: Cell, nets_options: Options) -> Protocol:
    """How the cell is trained."""
    return nets_options.protocol_of(cell)


@pytest.fixture(scope="session")
def _load(nets_options: Options) -> Callable[[str], Data]:
    """Loads a data set; the last one is kept, since cells of one data set follow each other."""
    from nets.datasets import load

    kept: dict[str, Data] = {}

    def loaded(name: str) -> Data:
        if name not in kept:
            kept.clear()
            kept[name] = load(name, nets_options.data_dir)
        return kept[name]

    return loaded


@pytest.fixture
def data(cell: Cell, _load: Callable[[str], Data], nets_options: Options, ledger: Ledger) -> Data:
    """The cell's data set. Missing data skips the cell, or fails it with `--require-data`; altered data fails it."""
    from nets.datasets import DataError, DataMissing

    try:
        with ledger.spent("data"):
            return _load(cell.dataset)
    except DataMissing as error:
        if nets_options.require_data:
            pytest.fail(f"{error} (--require-data)", pytrace=False)
        pytest.skip(str(error))
    except DataError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def loaders(data: Data, protocol: Protocol, pipeline: Pipeline, device: torch.device, ledger: Ledger) -> Loaders:
    """Training and test batches: on the device already with the resident pipeline, DataLoaders with the article's."""
    from nets.datasets import DoesNotFit

    try:
        with ledger.spent("data"):
            return pipeline.loaders(data, protocol, device)
    except DoesNotFit as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def gpu_monitor(pytestconfig: pytest.Config, device: torch.device) -> GpuMonitor | None:
    """Watches the GPU over the timed regions; None on a CPU."""
    from nets.monitor import monitor_of

    return monitor_of(pytestconfig.stash[RECORDER].setting.device, device.index)


@pytest.fixture
def cell_run(
    request: pytest.FixtureRequest,
    cell: Cell,
    data: Data,
    loaders: Loaders,
    protocol: Protocol,
    pipeline: Pipeline,
    device: torch.device,
    gpu_monitor: GpuMonitor | None,
    benchmark: Any,
) -> Iterator[CellRun]:
    """The cell's rounds, for `benchmark.pedantic`: `setup`, `timed`, `teardown`, and `protocol.rounds` of them."""
    from nets import progress
    from nets.measure import CellRun

    config = request.config
    config.stash[RECORDER].enable_under_xdist(benchmark)
    line = progress.ProgressLine(config, cell, protocol) if progress.wanted(config) else None
    run = CellRun(
        cell,
        protocol,
        pipeline,
        data,
        loaders,
        device,
        watch=gpu_monitor.watch if gpu_monitor is not None else nullcontext,
        progress=line,
    )
    request.node.stash[RUN] = run
    if line is not None:
        request.node.stash[PROGRESS] = line
    yield run
    run.close()
    del request.node.stash[RUN]  # pytest keeps every test to the end, and this one holds its data set


@pytest.fixture
def judge(
    request: pytest.FixtureRequest,
    benchmark: Any,
    gpu_monitor: GpuMonitor | None,
    nets_options: Options,
    ledger: Ledger,
) -> Callable[[CellRun], Result]:
    """Makes the record of a cell's rounds, asks every `pytest_nets_check` hook, and fails the test if one objects."""
    from nets import judgement
    from nets.observe import observe

    def judged(run: CellRun) -> Result:
        setting = request.config.stash[RECORDER].setting
        observed = observe(
            run,
            gpu_monitor,
            take_trace=nets_options.trace,
            keep_traces=nets_options.keep_traces,
            no_gpu_because=setting.gpu_missing_because,
            ledger=ledger,
        )
        result = judgement.judge(request.node, run, setting, observed, _bands_file(request))
        benchmark.extra_info = result.to_json()
        if result.outcome.failures:
            pytest.fail("\n".join(result.outcome.failures), pytrace=False)
        return result

    return judged


@pytest.fixture
def side_by_side(
    request: pytest.FixtureRequest, cell: Cell, data: Data, protocol: Protocol, benchmark: Any
) -> Callable[[Turns, str], SideBySide]:
    """Makes the record of two sides' turns at a cell, and of what they are."""
    from nets import assemble

    _demand_one_process()

    def recorded(turns: Turns, of: str) -> SideBySide:
        recorder = request.config.stash[RECORDER]
        record = assemble.side_by_side(cell, data, protocol, recorder.setting, turns, of=of)
        recorder.side_by_side.append(record)
        benchmark.extra_info.update(record.to_json())  # in place: its stats have hold of it already
        return record

    return recorded


@pytest.fixture
def growth(
    request: pytest.FixtureRequest, cell: Cell, data: Data, protocol: Protocol, benchmark: Any
) -> Callable[[Sweep], Growth]:
    """Makes the record of a sweep over batch sizes and set sizes."""
    from nets import assemble

    _demand_one_process()

    def recorded(sweep: Sweep) -> Growth:
        recorder = request.config.stash[RECORDER]
        record = assemble.growth(cell, data, protocol, recorder.setting, sweep)
        recorder.growth.append(record)
        benchmark.extra_info.update(record.to_json())
        return record

    return recorded


def _demand_one_process() -> None:
    if os.environ.get("PYTEST_XDIST_WORKER"):
        pytest.fail("what is compared is timed in turns in one process: run it without -n", pytrace=False)


def _bands_file(request: pytest.FixtureRequest) -> Path:
    named: str = request.config.getini("nets_bands")
    return request.config.rootpath / named if named else request.path.with_name("bands.toml")
