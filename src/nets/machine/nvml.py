"""One GPU through NVML: the only importer of pynvml, and the only place that knows its calls.

Every call either answers or raises `Refused` with the driver's own words. Source: NVML API reference, nvml.h.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from nets.errors import NetsError

T = TypeVar("T")
PATIENCE_S = 10.0
"""How long a driver may take to answer: one that must be loaded first takes seconds."""
# Reasons of slowed clocks that spoil a figure; idle clocks and the power cap are normal (nvml.h, clocks event reasons).
_SPOILING = {
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
# The record's field <- GPM metric (nvml.h, nvmlGpmMetricId_t), all in per cent
_COUNTERS = {
    "sm_utilization_pct": 2,
    "sm_occupancy_pct": 3,
    "tensor_pct": 5,
    "dram_bandwidth_pct": 10,
    "fp32_pct": 12,
}


class NoDriver(NetsError):
    """NVML is not here or doesn't start; the message says why."""


class NvmlRefused(NetsError):
    """A call that the driver refused; the message is the driver's own. `lost`: the GPU answers nothing any more."""

    def __init__(self, message: str, *, lost: bool = False) -> None:
        super().__init__(message)
        self.lost = lost


@dataclass(frozen=True, slots=True)
class NvmlFacts:
    """What the driver says of a GPU; None where it doesn't. Memory in bytes."""

    uuid: str
    name: str
    memory_total_bytes: int | None
    compute_capability: str | None
    driver: str | None
    mig: bool | None


@dataclass(frozen=True, slots=True)
class UtilizationSample:
    """The driver's utilization (per cent) of its window that ended at `at_us`, wall clock, microseconds."""

    at_us: int
    pct: float


class NvmlDevice:
    """One GPU, by its UUID as NVML or CUDA writes it. Raises NoDriver, and Refused for a UUID that is unknown."""

    def __init__(self, uuid: str) -> None:
        self._nvml = _started()
        bare = uuid.removeprefix("GPU-").removeprefix("MIG-")
        self._is_slice = False
        try:
            self._handle = self._call("nvmlDeviceGetHandleByUUID", f"GPU-{bare}", on_handle=False)
        except _NotFound:  # CUDA doesn't tell a MIG slice from a GPU
            self._handle = self._call("nvmlDeviceGetHandleByUUID", f"MIG-{bare}", on_handle=False)
            self._is_slice = True

    def wake(self) -> None:
        """Ask once for all that a watch asks for: the first answer of each kind may take a driver seconds."""
        asked: list[Callable[[], object]] = [
            self.mig, lambda: self.samples(0), self.utilization_pct, self.energy_j, self.memory_used_bytes,
            self.sm_clock_mhz, self.throttled, self.processes,
        ]  # fmt: skip
        for ask in asked:
            with suppress(NvmlRefused):
                ask()
        with suppress(NvmlRefused), closing(self.counters()) as counters:
            counters.read()

    def facts(self) -> NvmlFacts:
        """Name, memory, compute capability, driver, MIG."""
        return NvmlFacts(
            uuid=_text(self._call("nvmlDeviceGetUUID")),
            name=_text(self._call("nvmlDeviceGetName")),
            memory_total_bytes=self._or_none(lambda: int(self._call("nvmlDeviceGetMemoryInfo").total)),
            compute_capability=self._or_none(
                lambda: "{}.{}".format(*self._call("nvmlDeviceGetCudaComputeCapability")),
            ),
            driver=self._or_none(lambda: _text(self._call("nvmlSystemGetDriverVersion", on_handle=False))),
            mig=self._or_none(self.mig),
        )

    def mig(self) -> bool:
        """Whether the GPU is cut into slices, or is one; one that can't be is not."""
        try:
            return self._is_slice or bool(self._call("nvmlDeviceGetMigMode")[0])
        except _NotSupported:
            return False

    def samples(self, since_us: int) -> list[UtilizationSample]:
        """The driver's own utilization samples newer than `since_us`, oldest first; none is an empty list.

        A value that is no percentage, or a time that is not newer, is left out.
        """
        nvml = self._nvml
        try:
            kind, found = self._call("nvmlDeviceGetSamples", nvml.NVML_GPU_UTILIZATION_SAMPLES, since_us)
        except _NotFound:
            return []
        # nvmlValueType_t -> the union's member
        field = {0: "dVal", 1: "uiVal", 2: "ulVal", 3: "ullVal", 4: "sllVal"}.get(int(kind), "uiVal")
        read = [UtilizationSample(int(each.timeStamp), float(getattr(each.sampleValue, field))) for each in found]
        fit = [sample for sample in read if sample.at_us > since_us and 0 <= sample.pct <= 100]
        return sorted(fit, key=lambda sample: sample.at_us)

    def utilization_pct(self) -> float:
        """The driver's latest utilization, for GPUs without samples."""
        return float(self._call("nvmlDeviceGetUtilizationRates").gpu)

    def energy_j(self) -> float:
        """Joules since the driver was loaded; Volta and later. It ticks about every 100 ms."""
        return int(self._call("nvmlDeviceGetTotalEnergyConsumption")) / 1e3

    def memory_used_bytes(self) -> int:
        """Memory in use on the device, by every process."""
        return int(self._call("nvmlDeviceGetMemoryInfo").used)

    def sm_clock_mhz(self) -> float:
        """The SMs' clock now."""
        return float(self._call("nvmlDeviceGetClockInfo", self._nvml.NVML_CLOCK_SM))

    def throttled(self) -> tuple[str, ...]:
        """What slows the clocks now, beyond idling and the power cap."""
        try:
            bits = self._call("nvmlDeviceGetCurrentClocksEventReasons")
        except NvmlRefused:  # its name in older drivers
            bits = self._call("nvmlDeviceGetCurrentClocksThrottleReasons")
        return tuple(name for bit, name in _SPOILING.items() if int(bits) & bit)

    def processes(self) -> frozenset[int]:
        """Ids of the processes that compute on the GPU; seen from within a container they are not ours."""
        return frozenset(int(each.pid) for each in self._call("nvmlDeviceGetComputeRunningProcesses"))

    def counters(self) -> Counters:
        """Start the hardware counters. Raises Refused where there are none (before Hopper, or under MIG)."""
        if not self._call("nvmlGpmQueryDeviceSupport").isSupportedDevice:
            raise NvmlRefused("this GPU has no GPM counters (Hopper and later have)")
        return Counters(self._call, self._nvml)

    def _call(self, name: str, *arguments: Any, on_handle: bool = True) -> Any:
        """Call NVML's function `name`, with the handle first. Raises Refused."""
        given = (self._handle, *arguments) if on_handle else arguments
        return _ask(self._nvml, name, *given)

    @staticmethod
    def _or_none(answer: Callable[[], T]) -> T | None:
        try:
            return answer()
        except NvmlRefused:
            return None


class Counters:
    """GPM's counters from construction to `read()`; `close()` frees the driver's samples."""

    def __init__(self, call: Callable[..., Any], nvml: Any) -> None:
        self._call = call
        self._nvml = nvml
        self._samples = [self._sample()]

    def read(self) -> dict[str, float]:
        """The record's fields, per cent, means since construction; a counter without a value is absent."""
        self._samples.append(self._sample())
        asked = self._nvml.c_nvmlGpmMetricsGet_t()
        asked.version = self._nvml.NVML_GPM_METRICS_GET_VERSION
        asked.numMetrics = len(_COUNTERS)
        asked.sample1, asked.sample2 = self._samples
        for i, metric in enumerate(_COUNTERS.values()):
            asked.metrics[i].metricId = metric
        self._call("nvmlGpmMetricsGet", asked, on_handle=False)
        values = {name: asked.metrics[i] for i, name in enumerate(_COUNTERS)}
        return {
            name: float(metric.value)
            for name, metric in values.items()
            if metric.nvmlReturn == self._nvml.NVML_SUCCESS and math.isfinite(metric.value) and 0 <= metric.value <= 100
        }

    def close(self) -> None:
        """Free the samples."""
        for sample in self._samples:
            with suppress(NvmlRefused):  # by a GPU that is lost
                _ask(self._nvml, "nvmlGpmSampleFree", sample)
        self._samples.clear()

    def _sample(self) -> Any:
        sample = self._call("nvmlGpmSampleAlloc", on_handle=False)
        try:
            return self._call("nvmlGpmSampleGet", sample)
        except NvmlRefused:
            _ask(self._nvml, "nvmlGpmSampleFree", sample)
            raise


def gpu_uuids() -> tuple[str, ...]:
    """The UUIDs of all GPUs in NVML's order, which is the PCI bus's. Raises NoDriver and Refused."""
    nvml = _started()
    n = int(_ask(nvml, "nvmlDeviceGetCount"))
    handles = [_ask(nvml, "nvmlDeviceGetHandleByIndex", i) for i in range(n)]
    return tuple(_text(_ask(nvml, "nvmlDeviceGetUUID", handle)) for handle in handles)


def with_patience(ask: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """The answer to what starts the driver, from a thread that is left behind if it hangs. Raises NoDriver then."""
    answers: list[T] = []
    errors: list[NoDriver | NvmlRefused] = []

    def run() -> None:
        try:
            answers.append(ask())
        except (NoDriver, NvmlRefused) as error:
            errors.append(error)
        except Exception as error:  # whatever it is, there is no driver to ask
            errors.append(NoDriver(f"{type(error).__name__}: {error}"))

    thread = threading.Thread(target=run, name="nets-gpu-start", daemon=True)
    thread.start()
    thread.join(patience_s)
    if errors:
        raise errors[0]
    if not answers:
        raise NoDriver(f"the driver did not answer for {patience_s:g} s")
    return answers[0]


class _NotFound(NvmlRefused):
    """Nothing of the kind; often no error at all."""


class _NotSupported(NvmlRefused):
    """Not on this GPU."""


@cache
def _library() -> Any:
    try:
        import pynvml
    except ImportError:
        raise NoDriver("nvidia-ml-py is not installed") from None
    return pynvml


def _started() -> Any:
    nvml = _library()
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise NoDriver(str(error)) from None
    return nvml


def _ask(nvml: Any, name: str, *arguments: Any) -> Any:
    try:
        return getattr(nvml, name)(*arguments)
    except nvml.NVMLError as error:
        code = getattr(error, "value", None)
        kinds = {nvml.NVML_ERROR_NOT_FOUND: _NotFound, nvml.NVML_ERROR_NOT_SUPPORTED: _NotSupported}
        lost = code in (nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_RESET_REQUIRED, nvml.NVML_ERROR_UNINITIALIZED)
        raise kinds.get(code, NvmlRefused)(str(error), lost=lost) from None
    except AttributeError:
        raise NvmlRefused(f"this nvidia-ml-py has no {name}") from None


def _text(answer: str | bytes) -> str:
    return answer.decode() if isinstance(answer, bytes) else answer
