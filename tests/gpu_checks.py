"""What only a GPU can show; without one every check fails. Not collected by itself: `tox -e gpu-checks`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import pytest
import torch

from nets.cells.catalog import CELLS, Cell, protocol_for
from nets.datasets.load import load_data
from nets.gpu import capture
from nets.gpu.monitor import GpuMonitor, monitor_of
from nets.gpu.window import MIN_WINDOW_S, Window
from nets.machine import nvml
from nets.machine.device import choose_device, device_facts
from nets.records.cell import Device
from nets.records.run import read_run
from nets.training.eager import ResidentTrainer
from nets.training.pipelines import PIPELINES
from nets.training.run import CellRun
from tests.support.suite import Suite

DIGITS = [cell for cell in CELLS if cell.dataset == "digits"]  # the article's three MNIST networks, no file needed
BUSY_S = MIN_WINDOW_S + 1


def test_the_suite_on_the_gpu(suite: Suite) -> None:
    """Cells pass on the GPU, in this process's own and on a worker that was given it, each record with its UUID.

    It comes first: once this process has a context on the GPU, it is a stranger there.
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
            assert record.gpu.valid, record.gpu.reasons


@pytest.fixture(scope="session")
def device() -> torch.device:
    """The GPU. Raises DeviceError where none works."""
    return choose_device("cuda")


@pytest.fixture(scope="session")
def facts(device: torch.device) -> Device:
    """What it is."""
    return device_facts(device)


@pytest.fixture
def monitor(facts: Device, device: torch.device) -> GpuMonitor:
    """Its monitor."""
    found = monitor_of(facts, device.index)
    assert found is not None
    return found


def watched(monitor: GpuMonitor, work: Callable[[], object]) -> Window:
    """Repeat some work for longer than the driver's window, and say what was seen."""
    windows: list[Window] = []
    with monitor.watch(windows):
        until = time.perf_counter() + BUSY_S
        while time.perf_counter() < until:
            work()
        torch.cuda.synchronize()
    return windows[0]


def test_driver_and_cuda_mean_the_same_gpu(facts: Device) -> None:
    """The UUID that CUDA gives is the driver's, and name and compute capability are the same by both."""
    assert facts.uuid is not None
    seen = nvml.NvmlDevice(facts.uuid).facts()
    assert (seen.uuid, seen.name, seen.compute_capability) == (facts.uuid, facts.name, facts.compute_capability)
    assert seen.memory_total_bytes == pytest.approx(facts.memory_total_bytes, rel=0.05)
    assert facts.driver is not None
    assert facts.uuid in nvml.gpu_uuids()


def test_a_busy_gpu_and_an_idle_one(monitor: GpuMonitor, device: torch.device) -> None:
    """Large products keep the GPU above 90 % and draw more power than sleeping, which is below 10 %."""
    a = torch.randn(8192, 8192, device=device)

    def multiply() -> None:
        for _ in range(20):
            a @ a
        torch.cuda.synchronize()

    multiply()
    monitor.timed.append(watched(monitor, multiply))
    busy = monitor.use()
    time.sleep(2)
    monitor.timed[:] = [watched(monitor, lambda: time.sleep(0.1))]
    idle = monitor.use()
    print(busy, idle, sep="\n")
    assert busy.valid, busy.reasons
    assert busy.utilization_pct is not None
    assert busy.utilization_pct > 90
    assert idle.utilization_pct is not None
    assert idle.utilization_pct < 10
    assert busy.power_w is not None
    assert idle.power_w is not None
    assert busy.power_w > 1.5 * idle.power_w
    if torch.cuda.get_device_capability(device) >= (9, 0):
        assert busy.sm_utilization_pct is not None
        assert busy.sm_utilization_pct > 90
        assert idle.sm_utilization_pct is not None
        assert idle.sm_utilization_pct < 10


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("cell", DIGITS, ids=str)
def test_a_cell_is_seen(cell: Cell, name: str, monitor: GpuMonitor, device: torch.device, tmp_path: Path) -> None:
    """Each network under each pipeline has a valid record of the driver, joules, and a trace with all three figures."""
    data, protocol, pipeline = load_data("digits", Path()), protocol_for("quick", "digits"), PIPELINES[name]
    run = CellRun(cell, protocol, pipeline, data, pipeline.loaders(data, protocol, device), device, watch=monitor.watch)
    run.round()
    seen = capture.capture(run, monitor, take_trace=True, keep_traces=tmp_path, no_gpu_because=None)
    print(seen)
    assert seen.gpu is not None
    assert seen.gpu.valid, seen.gpu.reasons
    assert seen.gpu.utilization_pct is not None
    assert seen.gpu.energy_j is not None or seen.gpu.energy_per_step_j is not None
    assert seen.trace is not None, seen.trace_missing_because
    assert seen.trace.steps == 6
    assert seen.trace.kernels_per_step >= 2
    assert 0 < seen.trace.gpu_utilization_pct <= 100
    assert seen.trace.sm_efficiency_pct is not None
    assert 0 < seen.trace.sm_efficiency_pct <= seen.trace.gpu_utilization_pct
    assert seen.trace.achieved_occupancy_pct is not None, seen.trace.occupancy_missing_because
    assert seen.trace.achieved_occupancy_rounded_pct is not None
    # more than the trace's own only by kernels that opted in to more than 48 KiB of shared memory: Kineto says 0 %
    assert seen.trace.achieved_occupancy_pct > seen.trace.achieved_occupancy_rounded_pct - 1


def test_passes_change_no_round(
    monitor: GpuMonitor, device: torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accuracies of two rounds are the same with a soak and a profile between them as without."""
    data, protocol, pipeline = load_data("digits", Path()), protocol_for("quick", "digits"), PIPELINES["resident"]
    found = []
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    for passes in (False, True):
        loaders = pipeline.loaders(data, protocol, device)
        run = CellRun(DIGITS[0], protocol, pipeline, data, loaders, device, watch=monitor.watch)
        run.round()
        if passes:
            capture.capture(run, monitor, take_trace=True, keep_traces=tmp_path, no_gpu_because=None)
        run.round()
        found.append([(r.accuracy, r.loss) for r in run.rounds])
    assert found[0] == found[1]


@pytest.mark.parametrize("cell", DIGITS, ids=str)
def test_steps_are_replayed(cell: Cell, monitor: GpuMonitor, device: torch.device) -> None:
    """Each network is captured, trains to the eager steps' accuracy, and its kernels fill 1/1.3 of a step at least."""
    data, protocol, pipeline = load_data("digits", Path()), protocol_for("quick", "digits"), PIPELINES["resident"]
    loaders = pipeline.loaders(data, protocol, device)
    run = CellRun(cell, protocol, pipeline, data, loaders, device, watch=monitor.watch)
    replayed = [run.round().accuracy for _ in range(3)]
    assert (run.execution_log.mode, run.execution_log.fallback_because) == ("graph", None)
    eager = []
    for seed in range(3):
        torch.manual_seed(seed)
        trainer = ResidentTrainer(pipeline.place(run.build(), device), loaders, protocol, device)
        for _ in range(protocol.epochs):
            trainer.train()
        eager.append(trainer.evaluate().accuracy)
    print(replayed, eager)
    assert fmean(replayed) == pytest.approx(fmean(eager), abs=0.03)
    seen = capture.capture(run, monitor, take_trace=True, keep_traces=None, no_gpu_because=None)
    assert seen.trace is not None, seen.trace_missing_because
    assert seen.trace.training_steps_per_step > 1
    assert seen.trace.gpu_utilization_pct > 100 / 1.3


def test_a_precision_of_its_own(suite: Suite) -> None:
    """A conftest that sets convolutions to true float32 changes the record's field and breaks nothing."""
    suite.conftest("import torch\ntorch.backends.cudnn.conv.fp32_precision = 'ieee'\n")
    result = suite.run("--device", "cuda", "--cells", "digits-lenet5", "--rounds", "1", "--no-trace", subprocess=True)
    result.assert_outcomes(passed=1)
    (record,) = read_run(suite.out).results
    assert record.execution.tf32 is False


def test_the_peak_of_memory_holds_a_step(device: torch.device, facts: Device) -> None:
    """A step's activations, which a replay doesn't allocate, are in the record's peak: more images, more memory."""
    data, pipeline, peaks = load_data("digits", Path()), PIPELINES["resident"], []
    for batch_size in (100, 1_000):
        protocol = protocol_for("quick", "digits").changed(batch_size=batch_size, epochs=1)
        monitor = monitor_of(facts, device.index)
        assert monitor is not None
        loaders = pipeline.loaders(data, protocol, device)
        run = CellRun(DIGITS[1], protocol, pipeline, data, loaders, device, watch=monitor.watch)
        run.round()
        assert run.execution_log.mode == "graph"
        seen = capture.capture(run, monitor, take_trace=False, keep_traces=None, no_gpu_because=None)
        assert seen.gpu is not None
        assert seen.gpu.memory_peak_bytes is not None
        assert seen.gpu.memory_peak_bytes >= run.execution_log.recorded_peak_bytes > 0
        peaks.append(run.execution_log.recorded_peak_bytes)
        run.close()
    assert peaks[1] > 2 * peaks[0]


class Awkward(torch.nn.Module):
    """A network that can't be recorded: it reads a value back to the host, or its batch changes shape by a value."""

    def __init__(self, *, masks: bool) -> None:
        super().__init__()
        self.masks = masks
        self.out = torch.nn.Linear(784, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, 1, 28, 28) to logits (N, 10)."""
        pixels = images.flatten(1)
        if self.masks:
            lit = pixels[pixels > 0.5]  # its length is known to the host alone
            outputs: torch.Tensor = self.out(pixels) + 0 * lit.sum()
        else:
            outputs = self.out(pixels * float(pixels.max()))
        return outputs


@pytest.mark.parametrize("masks", [True, False], ids=["changing-shape", "to-the-host"])
def test_a_network_that_can_t_be_recorded(masks: bool, device: torch.device) -> None:
    """Capture fails, the steps are eager, the record's reason says so, and the network still learns."""
    cell = Cell("digits", "awkward", build=lambda: Awkward(masks=masks))
    data, protocol, pipeline = load_data("digits", Path()), protocol_for("quick", "digits"), PIPELINES["resident"]
    run = CellRun(cell, protocol, pipeline, data, pipeline.loaders(data, protocol, device), device)
    assert run.round().accuracy > 0.8
    assert run.execution_log.mode == "eager"
    assert str(run.execution_log.fallback_because).startswith("no CUDA graph: ")
    recordable = CellRun(DIGITS[0], protocol, pipeline, data, run.loaders, device)
    recordable.round()
    assert recordable.execution_log.mode == "graph"  # the failed capture left the GPU usable
