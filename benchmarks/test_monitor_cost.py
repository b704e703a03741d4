"""What watching costs: rounds of a cell with the GPU monitor and without, in turns: `-m nets_monitor_cost`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from nets.typing import Cell, Data, GpuMonitor, Loaders, Options, Pipeline, Protocol, SideBySide, Turns

if TYPE_CHECKING:
    import torch


PAIRS = 10
LIMIT = 1.01


@pytest.fixture
def monitor(gpu_monitor: GpuMonitor | None) -> GpuMonitor:
    """The cell's own monitor; on a CPU one of any GPU that a driver knows, whose watching costs the same."""
    if gpu_monitor is not None:
        return gpu_monitor
    from nets.gpu.monitor import GpuMonitor
    from nets.machine import nvml

    try:
        return GpuMonitor(nvml.gpu_uuids()[0])
    except (nvml.NoDriver, nvml.NvmlRefused, IndexError) as error:
        pytest.skip(f"no GPU to watch: NVML: {error}")


@pytest.mark.nets_monitor_cost
def test_monitor_cost(
    benchmark: BenchmarkFixture,
    cell: Cell,
    protocol: Protocol,
    pipeline: Pipeline,
    data: Data,
    loaders: Loaders,
    device: torch.device,
    monitor: GpuMonitor,
    nets_options: Options,
    side_by_side: Callable[[Turns, str], SideBySide],
) -> None:
    """The timed region of a round that is watched is at most 1 % longer: the interval may not lie above that."""
    from nets.measuring.comparisons import TimedRound, Turns
    from nets.training.run import CellRun

    watched = CellRun(cell, protocol, pipeline, data, loaders, device, watch=monitor.watch)
    plain = CellRun(cell, protocol, pipeline, data, loaders, device, watch=nullcontext)
    plain.round()  # the process's first round is slower
    turns = Turns({"watched": TimedRound(watched), "not watched": TimedRound(plain)})
    benchmark.pedantic(turns.pair, rounds=nets_options.rounds or PAIRS, iterations=1)
    ratio = side_by_side(turns, "the timed region with the GPU monitor over that without").ratio
    assert ratio.low is None or ratio.low <= LIMIT
