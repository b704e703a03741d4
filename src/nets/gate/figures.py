"""Figures that a record holds once, base against head: by a limit, or by being the same; pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nets.gate.comparable import Sides
from nets.gate.config import Family, Limits
from nets.gate.findings import Finding, Worse, beyond, with_ratio
from nets.gate.significance import Shift
from nets.results import Result

MAX = 1e18
CLOCK_S = 0.05
"""CPU seconds are counted in ticks of 10 ms: less than five of them are no change."""


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


def _driver(name: str, *, windowed: bool = True) -> Callable[[Result], Figure]:
    """A figure of `gpu`; `windowed` ones of the timed region can't be held against those of a soak."""

    def of(result: Result) -> Figure:
        gpu = result.gpu
        if gpu is None:
            return Figure(None, result.gpu_missing_because)
        because = next((missing.because for missing in gpu.missing if missing.figure == name), None)
        spoilt = None if gpu.valid else "; ".join(gpu.reasons)
        return Figure(getattr(gpu, name), because, spoilt, gpu.window if windowed else None)

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
    Metric("memory_peak_bytes", "memory", "more", _driver("memory_peak_bytes", windowed=False)),
    Metric("energy_j", "energy", "more", _driver("energy_j")),
    Metric("energy_per_step_j", "energy", "more", _driver("energy_per_step_j")),
    Metric("utilization_pct", "utilization", "less", _driver("utilization_pct")),
    Metric("trace_gpu_utilization_pct", "utilization", "less", _trace_utilization),
    Metric("trace_sm_efficiency_pct", "utilization", "less", _sm_efficiency),
)


def findings(sides: Sides, limits: Limits) -> Iterator[Finding]:
    """One for each figure that either side measured."""
    for metric in METRICS:
        base, head = metric.of(sides.base), metric.of(sides.head)
        if base.value is not None or head.value is not None:
            yield _finding(metric, sides, base, head, limits)


def _finding(metric: Metric, sides: Sides, base: Figure, head: Figure, limits: Limits) -> Finding:
    bare = Finding(cell=sides.cell, metric=metric.name, status="ok", base=base.value, head=head.value)
    if base.window is not None and head.window is not None and base.window != head.window:
        because = f"base saw it over its {base.window} window, head over its {head.window} window"
        return bare.model_copy(update={"status": "incomparable", "because": because})
    for name, figure in (("head", head), ("base", base)):
        if figure.value is not None and figure.unfit is not None:
            because = f"{name}'s is not fit for comparison: {figure.unfit}"
            return bare.model_copy(update={"status": "not measured", "because": because})
    if base.value is None:
        because = f"base has none: {base.because or 'no reason is given'}"
        return bare.model_copy(update={"status": "new", "because": because})
    if head.value is None:
        because = f"head has none: {head.because or 'no reason is given'}"
        return bare.model_copy(update={"status": "not measured", "because": because})
    log_ratio = _log_ratio(base.value, head.value)
    limit = limits.relative(metric.family, paired=sides.paired)
    status = beyond(log_ratio, limit, metric.worse)
    if metric.name == "core_s" and abs(head.value - base.value) < CLOCK_S:
        status = "ok"
    return with_ratio(bare.model_copy(update={"status": status}), Shift(log_ratio), limit)


def _log_ratio(base: float, head: float) -> float:
    """Head over base; infinite where only one of them is 0."""
    if base == head:
        return 0.0
    if base == 0 or head == 0:
        return math.inf if base == 0 else -math.inf
    return math.log(head) - math.log(base)


def network(base: Result, head: Result, limits: Limits) -> Iterator[Finding]:
    """Parameters, layers, classical depth: another network is another thing that is measured, and has regressed."""
    for (metric, was), (_, is_) in zip(_network(base), _network(head), strict=True):
        found = Finding(cell=head.id, metric=metric, status="ok", base=was, head=is_)
        if was is None and is_ is None:
            continue
        if was is None:
            yield found.model_copy(update={"status": "new", "because": "base has none"})
        elif is_ is None:
            yield found.model_copy(update={"status": "not measured", "because": "head has none"})
        elif was == is_:
            yield found
        else:
            status = "ok" if "network" in limits.allow else "regressed"
            because = f"another network: {metric} {was} in base, {is_} in head"
            yield found.model_copy(update={"status": status, "because": because})


def _network(result: Result) -> Iterator[tuple[str, int | str | None]]:
    yield "parameters", None if result.network is None else result.network.parameters
    yield "layers", None if result.network is None else result.network.layers
    yield "depth", None if result.depth is None else result.depth.classical
