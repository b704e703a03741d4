"""Figures that a record holds once, base against head: by a limit, or by being the same; pure."""

from __future__ import annotations

import math
from collections.abc import Iterator

from nets.gate.comparability import Sides
from nets.gate.findings import Finding, beyond, with_ratio
from nets.gate.limits import Limits
from nets.records.cell import Result
from nets.records.metrics import METRICS, Figure, Metric
from nets.stats.inference import Shift

CLOCK_S = 0.05
"""CPU seconds are counted in ticks of 10 ms: less than five of them are no change."""


def figure_findings(sides: Sides, limits: Limits) -> Iterator[Finding]:
    """One for each figure that either side measured and that can be compared."""
    for metric in METRICS:
        base, head = metric.of(sides.base), metric.of(sides.head)
        if (base.value is not None or head.value is not None) and _why_not(base, head) is None:
            yield _finding(metric, sides, base, head, limits)


def uncompared(sides: Sides) -> Iterator[tuple[str, str]]:
    """Each figure that was measured and still can't be compared, without a finding, and why."""
    for metric in METRICS:
        base, head = metric.of(sides.base), metric.of(sides.head)
        if (base.value is not None or head.value is not None) and (because := _why_not(base, head)) is not None:
            yield metric.name, because


def _why_not(base: Figure, head: Figure) -> str | None:
    """Why neither side's figure, or neither against the other's, can be compared, which is no fault of head's."""
    if base.window is not None and head.window is not None and base.window != head.window:
        return f"base saw it over its {base.window} window, head over its {head.window} window"
    if base.value is None or head.value is None or base.unfit is None or head.unfit is None:
        return None
    reasons = base.unfit if base.unfit == head.unfit else f"base: {base.unfit}; head: {head.unfit}"
    return f"it is fit for comparison on neither side: {reasons}"


def _finding(metric: Metric, sides: Sides, base: Figure, head: Figure, limits: Limits) -> Finding:
    bare = Finding(cell=sides.cell, metric=metric.name, status="ok", base=base.value, head=head.value)
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


def depth_by_cost(base: Result, head: Result, *, is_slower: bool) -> Finding | None:
    """Deep by cost where it was shallow has regressed, if it costs more itself; None where a verdict is open.

    The verdict is relative: a reference that became faster makes others deep, which is no fault of theirs.
    """
    was, is_ = ("undecided" if side.depth is None else side.depth.cost_aware for side in (base, head))
    if "undecided" in (was, is_) or was is None or is_ is None or head.depth is None:
        return None
    found = Finding(cell=head.id, metric="depth_by_cost", status="ok", base=was, head=is_)
    if was == is_:
        return found
    because = f"{is_} by cost, and {was} in base: {head.depth.because}"
    costs_more = is_slower or (_macs(head) or 0) > (_macs(base) or math.inf)
    if is_ == "deep" and not costs_more:
        return found.noted(f"{because}; its own cost has not grown, so the reference's fell, or it is at the edge")
    return found.noted(because).model_copy(update={"status": "regressed" if is_ == "deep" else "improved"})


def _macs(result: Result) -> int | None:
    return None if result.network is None else result.network.macs_per_image


def network_findings(base: Result, head: Result, limits: Limits) -> Iterator[Finding]:
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
