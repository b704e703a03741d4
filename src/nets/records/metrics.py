"""The figures that a record holds once, each with its unit's family and the direction that is worse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from nets.records.cell import Result

Family = Literal["time", "energy", "utilization", "core_seconds", "memory", "host_memory"]
Worse = Literal["more", "less"]
MAX = 1e18


@dataclass(frozen=True, slots=True)
class Figure:
    """A record's figure, null with the reason; `spoilt` why it stands there but is unfit to be compared."""

    value: float | None
    because: str | None
    spoilt: str | None = None
    window: str | None = None

    @property
    def unfit(self) -> str | None:
        """Why it can't be compared: the record's reason, or a value that no measurement gives."""
        if self.value is not None and not 0 <= self.value <= MAX:
            return "no measurement gives such a value"
        return self.spoilt


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure, the family of its limit, and which direction is worse."""

    name: str
    family: Family
    worse: Worse
    of: Callable[[Result], Figure]


def driver_figure(name: str) -> Callable[[Result], Figure]:
    """A figure that the driver gives; one of the timed region can't be held against one of a soak."""

    def of(result: Result) -> Figure:
        gpu = result.gpu
        if gpu is None:
            return Figure(None, result.gpu_missing_because)
        because = next((missing.because for missing in gpu.missing if missing.figure == name), None)
        spoilt = None if gpu.valid else "; ".join(gpu.reasons)
        return Figure(getattr(gpu, name), because, spoilt, gpu.window)

    return of


def _memory(name: str) -> Callable[[Result], Figure]:
    """A peak of torch's own, which neither another process nor MIG spoils."""

    def of(result: Result) -> Figure:
        figure = driver_figure(name)(result)
        return Figure(figure.value, figure.because)

    return of


def _trace_utilization(result: Result) -> Figure:
    value = None if result.trace is None else result.trace.gpu_utilization_pct
    return Figure(value, result.trace_missing_because)


def _sm_efficiency(result: Result) -> Figure:
    trace = result.trace
    if trace is None:
        return Figure(None, result.trace_missing_because)
    return Figure(trace.sm_efficiency_pct, trace.sm_efficiency_missing_because)


def _core_s(result: Result) -> Figure:
    """A round's: the record's is of all rounds."""
    if result.cpu is None or not result.rounds:
        return Figure(None, "the cell has no finished round")
    return Figure(result.cpu.core_s / len(result.rounds), None)


def _rss(result: Result) -> Figure:
    if result.cpu is None:
        return Figure(None, "the cell has no finished round")
    return Figure(result.cpu.rss_peak_bytes, result.cpu.rss_missing_because)


METRICS = (
    Metric("core_s", "core_seconds", "more", _core_s),
    Metric("rss_peak_bytes", "host_memory", "more", _rss),
    Metric("memory_peak_training_bytes", "memory", "more", _memory("memory_peak_training_bytes")),
    Metric("memory_peak_evaluation_bytes", "memory", "more", _memory("memory_peak_evaluation_bytes")),
    Metric("energy_j", "energy", "more", driver_figure("energy_j")),
    Metric("energy_per_step_j", "energy", "more", driver_figure("energy_per_step_j")),
    Metric("utilization_pct", "utilization", "less", driver_figure("utilization_pct")),
    Metric("trace_gpu_utilization_pct", "utilization", "less", _trace_utilization),
    Metric("trace_sm_efficiency_pct", "utilization", "less", _sm_efficiency),
)
