"""The GPU as NVML sees it: the only importer of pynvml.

Utilization is the driver's own: the share of its window (1/6 to 1 s) in which at least one kernel was running
(NVML API reference, nvmlDeviceGetSamples and nvmlDeviceGetUtilizationRates). A figure that could not be measured
is None, and `Gpu.reasons` says why; it is never 0.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import fmean
from typing import Any

from nets.results import Device, Gpu

MIN_WINDOW_S = 3.0
POLL_S = 0.5


class GpuMonitor:
    """Watches one GPU, given by its UUID, over the timed regions of a cell; `use()` sums them up.

    Without NVML, or where the driver doesn't know the UUID, `missing_because` says so and `use()` is None.
    """

    def __init__(self, uuid: str, *, peak_memory: Callable[[], int], reset_peak_memory: Callable[[], None]) -> None:
        self.missing_because: str | None = None
        self._peak_memory = peak_memory
        self._reset_peak_memory = reset_peak_memory
        self._reasons: set[str] = set()
        self._samples: list[float] = []
        self._used_bytes: list[int] = []
        self._peaks: list[int] = []
        self._energy_j: list[float | None] = []
        self._watched_s: list[float] = []
        try:
            import pynvml

            self._nvml = pynvml
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        except ImportError:
            self.missing_because = "NVML: nvidia-ml-py is not installed"
        except pynvml.NVMLError as error:
            self.missing_because = f"NVML: {error}"

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Measure from here to the end of the block."""
        if self.missing_because is not None:
            yield
            return
        others = self._processes()
        self._reset_peak_memory()
        energy_mj = self._asked("energy", self._nvml.nvmlDeviceGetTotalEnergyConsumption)
        stop = threading.Event()
        since_us = int(time.time() * 1e6)
        thread = threading.Thread(target=self._poll, args=(since_us, stop), name="nets-gpu", daemon=True)
        started = time.perf_counter()
        thread.start()
        try:
            yield
        finally:
            self._watched_s.append(time.perf_counter() - started)
            stop.set()
            thread.join(timeout=1.0)
            self._energy_j.append(self._joules_since(energy_mj))
            self._peaks.append(self._peak_memory())
            if self._processes() != others:
                self._reasons.add("another process came to the GPU or left it")

    def use(self) -> Gpu | None:
        """What was seen in all watched regions together: means over time, energy a region, peaks over all."""
        if self.missing_because is not None:
            return None
        reasons = set(self._reasons)
        watched_s = sum(self._watched_s)
        utilization = fmean(self._samples) if self._samples else None
        shortest_s = min(self._watched_s, default=0.0)
        if shortest_s < MIN_WINDOW_S:
            reasons.add(f"a region lasted {shortest_s:.2f} s of the {MIN_WINDOW_S:.0f} s that NVML needs")
            utilization = None
        elif utilization is None:
            reasons.add("NVML gave no utilization sample")
        energies = [joules for joules in self._energy_j if joules is not None]
        energy_j = None
        if energies and len(energies) == len(self._energy_j) and shortest_s >= MIN_WINDOW_S:
            energy_j = fmean(energies)
        return Gpu(
            window="timed",
            utilization_pct=utilization,
            memory_peak_bytes=max(self._peaks, default=None),
            memory_used_peak_bytes=max(self._used_bytes, default=None),
            energy_j=energy_j,
            power_w=None if energy_j is None else energy_j * len(energies) / watched_s,
            valid=not reasons,
            reasons=tuple(sorted(reasons)),
        )

    def _poll(self, since_us: int, stop: threading.Event) -> None:
        while True:
            stopped = stop.wait(POLL_S)
            since_us = self._take_samples(since_us)
            memory = self._asked("device memory", self._nvml.nvmlDeviceGetMemoryInfo)
            if memory is not None:
                self._used_bytes.append(int(memory.used))
            self._look_for_throttling()
            if stopped:
                return

    def _take_samples(self, since_us: int) -> int:
        """Keep the driver's samples newer than `since_us` (wall clock, microseconds); return the newest one's."""
        nvml = self._nvml
        try:
            kind, samples = nvml.nvmlDeviceGetSamples(self._handle, nvml.NVML_GPU_UTILIZATION_SAMPLES, since_us)
        except nvml.NVMLError_NotFound:  # none since then
            return since_us
        except nvml.NVMLError_NotSupported:
            rates = self._asked("utilization", nvml.nvmlDeviceGetUtilizationRates)
            if rates is not None:
                self._samples.append(float(rates.gpu))
            return since_us
        except nvml.NVMLError as error:
            self._reasons.add(f"utilization: {error}")
            return since_us
        field = {0: "dVal", 1: "uiVal", 2: "ulVal", 3: "ullVal", 4: "sllVal"}.get(int(kind), "uiVal")
        new = [sample for sample in samples if sample.timeStamp > since_us]
        self._samples.extend(float(getattr(sample.sampleValue, field)) for sample in new)
        return max((int(sample.timeStamp) for sample in new), default=since_us)

    def _look_for_throttling(self) -> None:
        nvml = self._nvml
        ask = getattr(nvml, "nvmlDeviceGetCurrentClocksEventReasons", None)
        bits = self._asked("throttling", ask or nvml.nvmlDeviceGetCurrentClocksThrottleReasons)
        # idle and the power cap are normal; these are not
        bad = (
            nvml.nvmlClocksThrottleReasonHwSlowdown
            | nvml.nvmlClocksThrottleReasonSwThermalSlowdown
            | nvml.nvmlClocksThrottleReasonHwThermalSlowdown
            | nvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown
        )
        if bits is not None and bits & bad:
            self._reasons.add("the GPU throttled its clocks (heat or power brake)")

    def _processes(self) -> frozenset[int]:
        """Process ids on the GPU; in a container they are not ours, so only changes tell anything."""
        found = self._asked("processes", self._nvml.nvmlDeviceGetComputeRunningProcesses)
        return frozenset(process.pid for process in found or ())

    def _joules_since(self, before_mj: Any) -> float | None:
        now_mj = self._asked("energy", self._nvml.nvmlDeviceGetTotalEnergyConsumption)
        return None if before_mj is None or now_mj is None else (now_mj - before_mj) / 1e3

    def _asked(self, what: str, call: Callable[[Any], Any]) -> Any:
        try:
            return call(self._handle)
        except self._nvml.NVMLError as error:
            self._reasons.add(f"{what}: {error}")
            return None


def driver() -> str | None:
    """The driver's version; None where NVML doesn't answer."""
    try:
        import pynvml

        pynvml.nvmlInit()
        version: str | bytes = pynvml.nvmlSystemGetDriverVersion()
    except ImportError:
        return None
    except pynvml.NVMLError:
        return None
    return version.decode() if isinstance(version, bytes) else version


def monitor_of(device: Device, index: int | None) -> GpuMonitor | None:
    """A monitor for a torch device's GPU; None for a CPU."""
    if device.type != "cuda" or device.uuid is None:
        return None
    import torch

    return GpuMonitor(
        device.uuid,
        peak_memory=lambda: int(torch.cuda.max_memory_allocated(index)),
        reset_peak_memory=lambda: torch.cuda.reset_peak_memory_stats(index),
    )
