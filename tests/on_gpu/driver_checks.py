"""What driver and profiler show of a GPU; without one every check fails. Run by `.ci/gpu-checks driver-checks`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from nets.cells.catalog import Cell
from nets.gpu.monitor import GpuMonitor, monitor_of
from nets.gpu.window import MIN_WINDOW_S, gpu_record
from nets.machine import nvml
from nets.records.cell import Device
from nets.records.gpu import Gpu
from nets.records.run_file import read_run
from nets.training.pipelines import PIPELINES
from tests.on_gpu.runs import DIGITS, digits_run, gpu_of, trace_of
from tests.support.suite import Suite

BUSY_S = MIN_WINDOW_S + 1
Demand = Callable[[Gpu], None]


@pytest.mark.usefixtures("device")
def test_the_suite_on_the_gpu(suite: Suite) -> None:
    """Cells pass on the GPU, in this process's own and on a worker that was given it, each record with its UUID.

    It comes first: once this process has a context on the GPU, it counts as another one. To find the GPU makes none.
    """
    for arguments in ((), ("-n", "auto")):
        result = suite.pytester.runpytest_subprocess(
            "benchmarks", "--require-gpu", "--cells", "digits-snn500,digits-lenet5", "--benchmark-json", "out.json",
            *arguments,
        )  # fmt: skip
        result.assert_outcomes(passed=2)
        for record in read_run(suite.out).results:
            assert record.device.type == "cuda"
            assert record.device.uuid in nvml.gpu_uuids()
            assert record.gpu is not None
            assert record.gpu.valid or record.device.mig, record.gpu.reasons


def test_driver_and_cuda_mean_the_same_gpu(facts: Device) -> None:
    """The UUID that CUDA gives is the driver's, and name and compute capability are the same by both."""
    assert facts.uuid is not None
    seen = nvml.NvmlDevice(facts.uuid).facts()
    assert (seen.uuid, seen.name, seen.compute_capability) == (facts.uuid, facts.name, facts.compute_capability)
    assert seen.memory_total_bytes == pytest.approx(facts.memory_total_bytes, rel=0.05)
    assert facts.driver is not None
    assert facts.uuid in nvml.gpu_uuids()


def watched(monitor: GpuMonitor, work: Callable[[], object]) -> Gpu:
    """Repeat some work for longer than the driver's window, and say what was seen."""
    monitor.timed.clear()
    with monitor.watch():
        until = time.perf_counter() + BUSY_S
        while time.perf_counter() < until:
            work()
        torch.cuda.synchronize()
    seen = gpu_record(monitor.timed)
    print(seen)
    return seen


@dataclass(frozen=True, slots=True)
class Products:
    """Large products, one after the other, so that the GPU is never without one."""

    factor: torch.Tensor

    def __call__(self) -> None:
        for _ in range(20):
            self.factor @ self.factor
        torch.cuda.synchronize()


@pytest.fixture(scope="module")
def multiply(device: torch.device) -> Products:
    """Products that have run once: the first one loads cuBLAS."""
    products = Products(torch.randn(8192, 8192, device=device))
    products()
    return products


@pytest.fixture(scope="module")
def busy_and_idle(facts: Device, multiply: Products) -> tuple[Gpu, Gpu]:
    """What is seen of the GPU while it multiplies, and while this process sleeps."""
    monitor = monitor_of(facts)
    assert monitor is not None
    busy = watched(monitor, multiply)
    time.sleep(2)
    return busy, watched(monitor, lambda: time.sleep(0.1))


def test_a_busy_gpu_and_an_idle_one(busy_and_idle: tuple[Gpu, Gpu], demand_fit: Demand) -> None:
    """Large products keep the GPU above 90 % and draw more power than sleeping, which is below 10 %."""
    busy, idle = busy_and_idle
    demand_fit(busy)
    assert busy.utilization_pct is not None, busy.missing
    assert busy.utilization_pct > 90
    assert idle.utilization_pct is not None, idle.missing
    assert idle.utilization_pct < 10
    assert busy.power_w is not None, busy.missing
    assert idle.power_w is not None, idle.missing
    assert busy.power_w > 1.5 * idle.power_w


def test_the_hardware_s_counters(busy_and_idle: tuple[Gpu, Gpu], device: torch.device) -> None:
    """From Hopper on the SMs are busy above 90 % with large products and below 10 % without work; before, null."""
    busy, idle = busy_and_idle
    if torch.cuda.get_device_capability(device) < (9, 0):
        assert busy.sm_utilization_pct is None
        return
    assert busy.sm_utilization_pct is not None, busy.missing
    assert busy.sm_utilization_pct > 90
    assert idle.sm_utilization_pct is not None, idle.missing
    assert idle.sm_utilization_pct < 10


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("cell", DIGITS, ids=str)
def test_a_cell_is_seen(
    cell: Cell, name: str, monitor: GpuMonitor, device: torch.device, demand_fit: Demand, tmp_path: Path
) -> None:
    """Each network under each pipeline has a valid record of the driver, joules, and a trace with all three figures."""
    run = digits_run(cell, device, pipeline=PIPELINES[name], watch=monitor.watch)
    run.round()
    gpu = gpu_of(run, monitor)
    print(gpu)
    demand_fit(gpu)
    assert gpu.utilization_pct is not None, gpu.missing
    assert gpu.energy_j is not None or gpu.energy_per_step_j is not None, gpu.missing
    trace = trace_of(run, tmp_path)
    print(trace)
    assert trace.steps == 6
    assert trace.kernels_per_step >= 2
    assert 0 < trace.gpu_utilization_pct <= 100
    assert trace.sm_efficiency_pct is not None, trace.sm_efficiency_missing_because
    assert 0 < trace.sm_efficiency_pct <= trace.gpu_utilization_pct
    assert trace.achieved_occupancy_pct is not None, trace.occupancy_missing_because
    assert trace.achieved_occupancy_rounded_pct is not None
    # more than the trace's own only by kernels that opted in to more than 48 KiB of shared memory: Kineto says 0 %
    assert trace.achieved_occupancy_pct > trace.achieved_occupancy_rounded_pct - 1


def test_watching_changes_no_round(
    monitor: GpuMonitor, device: torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accuracies and losses of two rounds are the same with a soak and a profile between them as without."""
    found = []
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    for is_watched in (False, True):
        run = digits_run(DIGITS[0], device, watch=monitor.watch)
        run.round()
        if is_watched:
            gpu_of(run, monitor)
            trace_of(run, tmp_path)
        run.round()
        found.append([(r.accuracy, r.loss) for r in run.rounds])
    assert found[0] == found[1]


def test_another_process_is_told_of(monitor: GpuMonitor, multiply: Products) -> None:
    """A second process on the GPU makes the figures unfit for comparison, if the driver lists processes at all."""
    code = "import torch; there = torch.ones(1, device='cuda'); print('ready', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        seen = watched(monitor, multiply)
        other.communicate(b"\n")
    assert not seen.n_processes or any(reason.startswith("another process") for reason in seen.reasons)


@pytest.mark.usefixtures("device")
def test_a_precision_of_its_own(suite: Suite) -> None:
    """A conftest that sets convolutions to true float32 changes the record's field and breaks nothing."""
    suite.conftest("import torch\ntorch.backends.cudnn.conv.fp32_precision = 'ieee'\n")
    result = suite.run("--device", "cuda", "--cells", "digits-lenet5", "--rounds", "1", "--no-trace", subprocess=True)
    result.assert_outcomes(passed=1)
    (record,) = read_run(suite.out).results
    assert record.execution.tf32_convolutions is False
