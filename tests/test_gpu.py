"""The GPU monitor, against a stand-in for pynvml: what is measured, and what is None with its reason."""

from __future__ import annotations

import sys
import threading
import time
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from nets import gpu
from nets.gpu import GpuMonitor, monitor_of
from nets.results import Device, Gpu

UUID = "GPU-11111111-2222-3333-4444-555555555555"


class NVMLError(Exception):
    """As pynvml's."""


class NotSupported(NVMLError):
    """As pynvml's NVMLError_NotSupported."""


class NotFound(NVMLError):
    """As pynvml's NVMLError_NotFound."""


class Nvml(ModuleType):
    """A driver with one GPU that is half busy and draws 100 W."""

    NVMLError, NVMLError_NotSupported, NVMLError_NotFound = NVMLError, NotSupported, NotFound
    NVML_GPU_UTILIZATION_SAMPLES = 0
    nvmlClocksThrottleReasonHwSlowdown = 8
    nvmlClocksThrottleReasonSwThermalSlowdown = 32
    nvmlClocksThrottleReasonHwThermalSlowdown = 64
    nvmlClocksThrottleReasonHwPowerBrakeSlowdown = 128

    def __init__(self, **answers: Any) -> None:
        super().__init__("pynvml")
        self.answers = answers
        self.pids = [7]

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            answer = self.answers.get(name, getattr(Nvml, f"_{name}", None))
            if isinstance(answer, Exception):
                raise answer
            return answer(self, *arguments) if callable(answer) else answer

        return call

    def _nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.1"

    def _nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid != UUID:
            raise NotFound("Not Found")
        return uuid

    def _nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> float:  # noqa: N802
        return time.perf_counter() * 100 * 1e3

    def _nvmlDeviceGetSamples(self, handle: str, kind: int, since_us: int) -> Any:  # noqa: N802
        now_us = int(time.time() * 1e6)
        if now_us <= since_us:
            raise NotFound("none")
        values = ((since_us - 5, 99), (now_us - 1, 40), (now_us, 60))  # the first is older than the window
        return 1, [SimpleNamespace(timeStamp=t, sampleValue=SimpleNamespace(uiVal=v)) for t, v in values]

    def _nvmlDeviceGetMemoryInfo(self, handle: str) -> Any:  # noqa: N802
        return SimpleNamespace(used=3_000)

    def _nvmlDeviceGetCurrentClocksEventReasons(self, handle: str) -> int:  # noqa: N802
        return 1 | 4  # idle, power cap: normal

    def _nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> Any:  # noqa: N802
        return [SimpleNamespace(pid=pid) for pid in self.pids]


def watched(nvml: Nvml, monkeypatch: pytest.MonkeyPatch, uuid: str = UUID) -> tuple[GpuMonitor, Gpu | None]:
    """Watch two regions of 0.1 s, with a window and a poll short enough for a test."""
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(gpu, "POLL_S", 0.02)
    monitor = GpuMonitor(uuid, peak_memory=lambda: 2_000, reset_peak_memory=lambda: None)
    for _ in range(2):
        with monitor.watch():
            time.sleep(0.1)
    assert not [thread for thread in threading.enumerate() if thread.name == "nets-gpu"]
    return monitor, monitor.use()


def test_a_healthy_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples inside the window are averaged, energy is per region, power is over the watched time."""
    monkeypatch.setattr(gpu, "MIN_WINDOW_S", 0.05)
    _, use = watched(Nvml(), monkeypatch)
    assert gpu.driver() == "580.1"
    assert use is not None
    assert (use.utilization_pct, use.memory_peak_bytes, use.memory_used_peak_bytes) == (50.0, 2_000, 3_000)
    assert use.power_w == pytest.approx(100, rel=0.1)
    assert use.energy_j == pytest.approx(10, rel=0.5)
    assert (use.valid, use.reasons) == (True, ())


def test_too_short_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """A region shorter than the driver's window has no utilization, never 0, and says why."""
    _, use = watched(Nvml(), monkeypatch)
    assert use is not None
    assert use.utilization_pct is use.energy_j is use.power_w is None
    assert not use.valid
    assert "of the 3 s that NVML needs" in use.reasons[0]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"nvmlDeviceGetTotalEnergyConsumption": NotSupported("Not Supported")}, "energy: Not Supported"),
        ({"nvmlDeviceGetSamples": NVMLError("GPU is lost")}, "utilization: GPU is lost"),
        ({"nvmlDeviceGetSamples": NotFound("none")}, "NVML gave no utilization sample"),
        ({"nvmlDeviceGetCurrentClocksEventReasons": 64}, "the GPU throttled its clocks"),
        ({"nvmlDeviceGetMemoryInfo": NVMLError("Unknown")}, "device memory: Unknown"),
    ],
)
def test_a_figure_that_is_missing(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any], reason: str) -> None:
    """What the driver refuses, or what spoils a figure, is named, and the use is not valid."""
    monkeypatch.setattr(gpu, "MIN_WINDOW_S", 0.05)
    _, use = watched(Nvml(**answers), monkeypatch)
    assert use is not None
    assert not use.valid
    assert any(reason in each for each in use.reasons)


def test_polling_where_samples_are_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without samples the rates are polled."""
    monkeypatch.setattr(gpu, "MIN_WINDOW_S", 0.05)
    answers = {
        "nvmlDeviceGetSamples": NotSupported("Not Supported"),
        "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=30),
    }
    _, use = watched(Nvml(**answers), monkeypatch)
    assert use is not None
    assert (use.utilization_pct, use.valid) == (30.0, True)


def test_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that comes to the GPU in mid-round makes the figures invalid."""
    monkeypatch.setattr(gpu, "MIN_WINDOW_S", 0.05)
    seen = iter([[7], [7, 8], [7, 8], [7, 8]])
    processes = lambda nvml, handle: [SimpleNamespace(pid=pid) for pid in next(seen)]  # noqa: E731
    _, use = watched(Nvml(nvmlDeviceGetComputeRunningProcesses=processes), monkeypatch)
    assert use is not None
    assert use.reasons == ("another process came to the GPU or left it",)


def test_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without nvidia-ml-py, a driver, or a UUID that the driver knows: no record, and the reason."""
    monitor, use = watched(Nvml(nvmlInit=NVMLError("Driver Not Loaded")), monkeypatch)
    assert (use, monitor.missing_because) == (None, "NVML: Driver Not Loaded")
    monitor, use = watched(Nvml(), monkeypatch, uuid="GPU-other")
    assert (use, monitor.missing_because) == (None, "NVML: Not Found")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monitor = GpuMonitor(UUID, peak_memory=lambda: 0, reset_peak_memory=lambda: None)
    assert monitor.missing_because == "NVML: nvidia-ml-py is not installed"
    assert gpu.driver() is None


def test_a_cpu_has_no_monitor() -> None:
    """On a CPU there is nothing to watch."""
    assert monitor_of(Device(type="cpu", name="a CPU"), None) is None
