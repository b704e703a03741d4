"""What a test asks for: a cell's data and loaders on the device, its rounds, the GPU's monitor, the record's maker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nets.plugin.modes import enable_under_xdist
from nets.plugin.session import PROGRESS, RUN, SESSION

if TYPE_CHECKING:
    import torch

    from nets.cells.catalog import Cell
    from nets.datasets.data import Data
    from nets.gpu.monitor import GpuMonitor
    from nets.measuring.comparisons import SizeSweep, Turns
    from nets.plugin.options import Options
    from nets.plugin.session import Ledger
    from nets.records.cell import Protocol, Result
    from nets.records.comparisons import Growth, SideBySide
    from nets.training.pipelines import Pipeline
    from nets.training.run import CellRun
    from nets.training.trainer import Loaders


@pytest.fixture(scope="session")
def nets_options(pytestconfig: pytest.Config) -> Options:
    """The session's options."""
    return pytestconfig.stash[SESSION].options


@pytest.fixture(scope="session")
def ledger(pytestconfig: pytest.Config) -> Ledger:
    """Where the session's time goes."""
    return pytestconfig.stash[SESSION].ledger


@pytest.fixture(scope="session")
def device(pytestconfig: pytest.Config) -> torch.device:
    """The device that the cells run on. A worker that can't have the one it was meant to fails its cells."""
    session = pytestconfig.stash[SESSION]
    device = session.device
    if session.no_device_because is not None:
        pytest.fail(session.no_device_because, pytrace=False)
    return device


@pytest.fixture(scope="session")
def pipeline(nets_options: Options) -> Pipeline:
    """The session's pipeline."""
    from nets.training.pipelines import pipeline_named as named

    return named(nets_options.pipeline)


@pytest.fixture
def protocol(cell: Cell, nets_options: Options) -> Protocol:
    """How the cell is trained."""
    return nets_options.protocol_of(cell)


@pytest.fixture
def data(cell: Cell, pytestconfig: pytest.Config, nets_options: Options, ledger: Ledger) -> Data:
    """The cell's data set. Missing data skips the cell, or fails it with `--require-data`; altered data fails it."""
    from nets.datasets.data import DataError, DataMissing

    try:
        with ledger.spent("data"):
            return pytestconfig.stash[SESSION].load_data(cell.dataset)
    except DataMissing as error:
        if nets_options.require_data:
            pytest.fail(f"{error} (--require-data)", pytrace=False)
        pytest.skip(str(error))
    except DataError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def loaders(data: Data, protocol: Protocol, pipeline: Pipeline, device: torch.device, ledger: Ledger) -> Loaders:
    """Training and test batches: on the device already with the resident pipeline, DataLoaders with the article's."""
    from nets.datasets.data import DoesNotFit

    try:
        with ledger.spent("data"):
            return pipeline.loaders(data, protocol, device)
    except DoesNotFit as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def gpu_monitor(pytestconfig: pytest.Config, device: torch.device) -> GpuMonitor | None:
    """Watches the GPU over the timed regions; None on a CPU."""
    from nets.gpu.monitor import monitor_of

    return monitor_of(pytestconfig.stash[SESSION].setting.device)


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
    from nets.plugin import terminal
    from nets.training.run import CellRun

    config = request.config
    enable_under_xdist(config, benchmark)
    line = None
    if terminal.is_watched(config):
        place = terminal.place_in(config.stash[SESSION], request.node.nodeid)
        line = terminal.ProgressLine(config, cell, protocol, place)
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
    ledger: Ledger,
) -> Callable[[CellRun], Result]:
    """Makes the record of a cell's rounds, asks every `pytest_nets_check` hook, and fails the test if one objects."""
    from nets.ab.child_plugin import PIPE
    from nets.gpu.capture import capture
    from nets.plugin import checks

    def judged(run: CellRun) -> Result:
        setting = request.config.stash[SESSION].setting
        observed = capture(
            run,
            gpu_monitor,
            no_gpu_because=setting.gpu_missing_because,
            no_predictions_because="nets ab takes none" if PIPE in os.environ else None,
            spent=ledger.spent,
        )
        result = checks.checked_result(request.node, run, setting, observed, _bands_file(request))
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
    from nets.measuring.comparisons import side_by_side_record

    _demand_one_process()

    def recorded(turns: Turns, of: str) -> SideBySide:
        session = request.config.stash[SESSION]
        record = side_by_side_record(cell, data, protocol, session.setting, turns, of=of)
        session.side_by_side.append(record)
        benchmark.extra_info.update(record.to_json())  # in place: its stats have hold of it already
        return record

    return recorded


@pytest.fixture
def growth(
    request: pytest.FixtureRequest, cell: Cell, data: Data, protocol: Protocol, benchmark: Any
) -> Callable[[SizeSweep], Growth]:
    """Makes the record of a sweep over batch sizes and set sizes."""
    from nets.measuring.comparisons import growth_record

    _demand_one_process()

    def recorded(sweep: SizeSweep) -> Growth:
        session = request.config.stash[SESSION]
        record = growth_record(cell, data, protocol, session.setting, sweep)
        session.growth.append(record)
        benchmark.extra_info.update(record.to_json())
        return record

    return recorded


def _demand_one_process() -> None:
    if os.environ.get("PYTEST_XDIST_WORKER"):
        pytest.fail("what is compared is timed in turns in one process: run it without -n", pytrace=False)


def _bands_file(request: pytest.FixtureRequest) -> Path:
    named: str = request.config.getini("nets_bands")
    return request.config.rootpath / named if named else request.path.with_name("bands.toml")
