"""An AMD GPU's traces, which differ from NVIDIA's in devices, grids and what the events hold."""

from __future__ import annotations

from typing import Any

import pytest

from nets.gpu.trace import NoKernels
from nets.records.gpu import Trace
from tests.support.traces import Event, call, figures, kernel, step, three, without

MI300X = {
    "name": "AMD Instinct MI300X",
    "computeMajor": 9,
    "computeMinor": 4,
    "maxThreadsPerBlock": 1024,
    "maxThreadsPerMultiprocessor": 2048,
    "regsPerBlock": 65536,
    "warpSize": 64,
    "sharedMemPerBlock": 65536,
    "maxSharedMemoryPerMultiProcessor": 65536,
}
HALF = [{"id": 0, "numSms": 8} | MI300X, {"id": 1, "numSms": 304} | MI300X]


def dispatched(ts: float, dur: float, n_blocks: int = 152, **args: Any) -> Event:
    """A kernel with what Kineto writes of one on an AMD GPU: no registers, no shared memory, no estimates."""
    lacking = "registers per thread", "shared memory", "blocks per SM", "est. achieved occupancy %"
    return without(kernel(ts, dur, n_blocks=n_blocks, **{"device": 2, **args}), *lacking)


def amd_figures(*events: Event, launched_by: str = "hipLaunchKernel", index: int | None = 1) -> Trace:
    """The figures of one step of 100 µs whose kernels have one launch."""
    launches = step(3, 0, 100), call(1, 10, name=launched_by)
    return figures([{"deviceProperties": HALF, "traceEvents": [*launches, *events]}], device=index)


@pytest.mark.parametrize("agent", [0, 1, 2, 9])
def test_the_only_agent_that_ran_kernels_is_the_gpu(agent: int) -> None:
    """Events have the HSA agent's id, deviceProperties torch's index: 152 of GPU 1's 304 units for 40 of 100 µs."""
    found = amd_figures(dispatched(20, 40, device=agent))
    assert three(found)[:2] == pytest.approx((40, 20))
    assert found.leftover_share == 0


def test_a_kernel_that_fills_memory() -> None:
    """HIP fills memory by a kernel, which its step launched by a call of another name."""
    fill = call(2, 20, name="hipMemsetAsync"), dispatched(30, 10, correlation=2)
    assert amd_figures(dispatched(50, 40), *fill).leftover_share == 0


def test_several_agents_that_ran_kernels() -> None:
    """Which of several agents is the GPU can't be told, so there are no figures, and that is the reason."""
    with pytest.raises(NoKernels, match="kernels ran on HSA agents 1, 2, and nothing tells which is the GPU"):
        amd_figures(dispatched(20, 40, device=1), dispatched(60, 20))


def test_occupancy_is_nvidia_s() -> None:
    """The rules of occupancy are NVIDIA's, so it is null with that reason, even where the trace had all they need."""
    found = amd_figures(kernel(20, 40, device=2))
    assert found.achieved_occupancy_pct is None
    assert found.occupancy_missing_because == "NVIDIA's rules of occupancy don't hold on an AMD GPU"
    assert "has no 'est. achieved" in (amd_figures(dispatched(20, 40)).occupancy_missing_because or "")


@pytest.mark.parametrize("launched_by", ["hipExtModuleLaunchKernel", "hipHccModuleLaunchKernel"])
@pytest.mark.parametrize(
    ("grid", "block"), [([152 * 256, 1, 1], [256, 1, 1]), ([75 * 64 + 1, 8, 1], [64, 4, 1])], ids=["even", "a part"]
)
def test_a_grid_in_threads(launched_by: str, grid: list[int], block: list[int]) -> None:
    """Where the call takes the number of threads, it is divided by the block's, in each dimension and rounded up."""
    found = amd_figures(dispatched(20, 40, grid=grid, block=block), launched_by=launched_by)
    assert found.sm_efficiency_pct == pytest.approx(20)
    assert amd_figures(dispatched(20, 40, grid=grid, block=block)).sm_efficiency_pct == pytest.approx(40)


@pytest.mark.parametrize(
    ("event", "launched_by", "index", "reason"),
    [
        (dispatched(20, 40, correlation=7), "hipLaunchKernel", 1, "kernel 'k': no launch in the trace tells"),
        (dispatched(20, 40, grid=[0, 0, 0], block=[0, 0, 0]), "hipModuleLaunchKernel", 1, "has neither 'grid' nor"),
        (dispatched(20, 40, block=[0, 0, 0]), "hipExtModuleLaunchKernel", 1, "has a 'grid' in threads and no 'block'"),
        (dispatched(20, 40), "hipLaunchKernel", 5, "has neither deviceProperties with 'numSms' nor"),
        (dispatched(20, 40), "hipLaunchKernel", None, "has neither deviceProperties with 'numSms' nor"),
    ],
)
def test_blocks_that_can_t_be_told(event: Event, launched_by: str, index: int | None, reason: str) -> None:
    """Where the trace doesn't tell how many blocks a kernel had, efficiency is null with the reason, others stay."""
    found = amd_figures(event, launched_by=launched_by, index=index)
    assert found.sm_efficiency_pct is None
    assert reason in (found.sm_efficiency_missing_because or "")
    assert found.gpu_utilization_pct == pytest.approx(40)
    assert found.events_left_out == 0
