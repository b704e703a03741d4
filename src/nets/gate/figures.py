"""Figures that a record holds once, base against head: judged against a limit, or by equality; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from nets.gate.comparability import ComparedCell
from nets.gate.findings import Finding, ratio_status
from nets.gate.limits import Limits
from nets.records.cell import Result
from nets.records.metrics import METRICS, Figure, Metric
from nets.stats.inference import Shift

MIN_CPU_DIFFERENCE_S = 0.05
"""CPU seconds are counted in ticks of 10 ms: less than five of them are no change."""


def figure_findings(cell: ComparedCell, limits: Limits) -> Iterator[Finding]:
    """A finding for each figure that either run measured and that can be compared."""
    for metric, base, head in _measured(cell):
        if _not_comparable_because(base, head) is None:
            yield _finding(metric, cell, base, head, limits)


def incomparable_figures(cells: Iterable[ComparedCell]) -> Iterator[str]:
    """A sentence for each reason why figures can't be compared, which mostly holds for several cells."""
    found: dict[str, list[str]] = {}
    for cell in cells:
        for metric, base, head in _measured(cell):
            if (because := _not_comparable_because(base, head)) is not None:
                found.setdefault(because, []).append(f"{cell.id} {metric.name}")
    for because, figures in found.items():
        yield f"not compared: {', '.join(figures)}: {because}"


def _measured(cell: ComparedCell) -> Iterator[tuple[Metric, Figure, Figure]]:
    for metric in METRICS:
        base, head = map(metric.of, cell.results)
        if base.value is not None or head.value is not None:
            yield metric, base, head


def _not_comparable_because(base: Figure, head: Figure) -> str | None:
    """Why a figure can't be compared although head is not at fault; None where it can, or head is at fault."""
    if base.window is not None and head.window is not None and base.window != head.window:
        return f"base saw it over its {base.window} window, head over its {head.window} window"
    if base.value is None or head.value is None or base.unfit is None or head.unfit is None:
        return None
    reasons = base.unfit if base.unfit == head.unfit else f"base: {base.unfit}; head: {head.unfit}"
    return f"it is fit for comparison on neither side: {reasons}"


def _finding(metric: Metric, cell: ComparedCell, base: Figure, head: Figure, limits: Limits) -> Finding:
    found = Finding(cell=cell.id, metric=metric.name, status="ok", base=base.value, head=head.value)
    for name, figure in (("head", head), ("base", base)):
        if figure.value is not None and figure.unfit is not None:
            return found.replace(status="not measured", because=f"{name}'s is not fit for comparison: {figure.unfit}")
    if base.value is None:
        return found.replace(status="new", because=f"base has none: {base.because or 'no reason is given'}")
    if head.value is None:
        return found.replace(status="not measured", because=f"head has none: {head.because or 'no reason is given'}")
    log_ratio = _log_ratio(base.value, head.value)
    limit = limits.relative(metric.family, paired=cell.pairing is not None)
    is_within_ticks = metric.name == "core_s" and abs(head.value - base.value) < MIN_CPU_DIFFERENCE_S
    status = "ok" if is_within_ticks else ratio_status(log_ratio, limit, metric.worse)
    return found.with_ratio(Shift(log_ratio), limit, status=status)


def _log_ratio(base: float, head: float) -> float:
    """Head over base; infinite where only one of them is 0."""
    if base == head:
        return 0.0
    if base == 0 or head == 0:
        return math.inf if base == 0 else -math.inf
    return math.log(head) - math.log(base)


def depth_by_cost(base: Result, head: Result, *, is_slower: bool) -> Finding | None:
    """Regressed where a cell went from shallow to deep by cost and its own cost grew; None unless both have a verdict.

    The verdict is relative: a reference network that became faster makes others deep without a change of theirs.
    """
    was, is_ = (None if result.depth is None else result.depth.cost_aware for result in (base, head))
    if {was, is_} & {None, "undecided"} or head.depth is None:
        return None
    found = Finding(cell=head.id, metric="depth_by_cost", status="ok", base=was, head=is_)
    if was == is_:
        return found
    because = f"{is_} by cost, and {was} in base: {head.depth.because}"
    costs_more = is_slower or (_macs(head) or 0) > (_macs(base) or math.inf)
    if is_ == "deep" and not costs_more:
        because += "; its own cost has not grown, so the reference's fell, or it is at the edge"
        return found.replace(because=because)
    return found.replace(status="regressed" if is_ == "deep" else "improved", because=because)


def _macs(result: Result) -> float | None:
    return None if result.network is None else result.network.macs_of_an_image(result.protocol.batch_size)


def network_findings(base: Result, head: Result, limits: Limits) -> Iterator[Finding]:
    """Findings on parameters, layers and classical depth: a cell whose network has changed has regressed."""
    for metric, part, field in (
        ("parameters", "network", "parameters"),
        ("layers", "network", "layers"),
        ("depth", "depth", "classical"),
    ):
        was, is_ = (getattr(getattr(result, part), field, None) for result in (base, head))
        found = Finding(cell=head.id, metric=metric, status="ok", base=was, head=is_)
        if was is None and is_ is None:
            continue
        if was is None:
            yield found.replace(status="new", because="base has none")
        elif is_ is None:
            yield found.replace(status="not measured", because="head has none")
        elif was == is_:
            yield found
        else:
            status = "ok" if "network" in limits.allow else "regressed"
            yield found.replace(status=status, because=f"another network: {metric} {was} in base, {is_} in head")
