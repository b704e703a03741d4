"""Results -> shallow or deep, and why; pure.

Classical definition (see e.g. the article "Deep neural networks: How to define?"): a network is deep if it has
more than two hidden layers, else shallow.

Cost-aware definition, against a reference network on the same data set, protocol, pipeline and device. Three criteria:
*layers* (more than two hidden ones), *time* (train + evaluate) and *demand* (on a GPU time × est. SM efficiency,
SM-seconds; on a CPU multiply-accumulates, since core-seconds would only repeat time). Time and demand are ratios to the
reference's: one holds if the ratio's lower bound lies above 0.9, fails if its upper bound lies below, and is undecided
else. Deep if two hold, shallow if two fail, undecided else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from nets.cells.catalog import REFERENCE
from nets.records.cell import CostAware, Criteria, Criterion, Depth, Result, State, Verdict
from nets.stats.inference import welch

DEEP_ABOVE = 2
LEAST_RATIO = 0.9
"""A margin of 10 %: the reference's twin must not fail by chance."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network costs: seconds of train + evaluate of each round, and what it demands.

    `sm_efficiency_pct`: on a GPU, the trace's estimate. `macs`: on a CPU, multiply-accumulates of an image's forward
    pass; of the same training the ratio of what two networks execute. `is_published`: a table's mean, without rounds.
    """

    hidden_layers: int
    times_s: tuple[float, ...]
    sm_efficiency_pct: float | None = None
    macs: int | None = None
    is_published: bool = False


@dataclass(frozen=True, slots=True)
class CostRatio:
    """A ratio over the reference's with its 95 % bounds; without bounds, and why."""

    ratio: float
    bounds: tuple[float, float] | None
    because: str | None = None

    def times(self, factor: float) -> CostRatio:
        """Everything times a factor that is known."""
        bounds = None if self.bounds is None else (self.bounds[0] * factor, self.bounds[1] * factor)
        return CostRatio(self.ratio * factor, bounds, self.because)


def classical(hidden_layers: int) -> Verdict:
    """Shallow or deep by the number of hidden layers."""
    return "deep" if hidden_layers > DEEP_ABOVE else "shallow"


def classical_depth(hidden_layers: int, *, no_reference_because: str = "no reference was compared") -> Depth:
    """The classical verdict alone, and why there is no other."""
    verdict = classical(hidden_layers)
    relation = "more than" if verdict == "deep" else "not more than"
    return Depth(
        classical=verdict,
        cost_aware=None,
        criteria=None,
        reference=None,
        because=f"{hidden_layers} hidden layers, {relation} {DEEP_ABOVE}; {no_reference_because}",
    )


def depth_against(network: Cost, reference: Cost, name: str) -> Depth:
    """Both verdicts on a network; `name` is the reference's."""
    deep_by_layers = network.hidden_layers > DEEP_ABOVE
    criteria = Criteria(
        layers=Criterion(state="holds" if deep_by_layers else "fails", ratio=None, low=None, high=None),
        time=_criterion(time_ratio(network, reference)),
        demand=_criterion(_demand_ratio(network, reference)),
    )
    verdict = rule(criteria.layers.state, criteria.time.state, criteria.demand.state)
    demand = "multiply-accumulates" if network.macs is not None else "SM-seconds"
    because = "; ".join(
        (
            f"layers: {criteria.layers.state} ({network.hidden_layers} hidden)",
            f"time: {_said(criteria.time, name)}",
            f"demand: {_said(criteria.demand, name)} ({demand})",
        )
    )
    return Depth(
        classical=classical(network.hidden_layers),
        cost_aware=verdict,
        criteria=criteria,
        reference=name,
        because=because,
    )


def rule(*states: State) -> CostAware:
    """Deep if two criteria hold, shallow if two fail, else undecided."""
    if states.count("holds") >= 2:
        return "deep"
    return "shallow" if states.count("fails") >= 2 else "undecided"


def time_ratio(network: Cost, reference: Cost) -> CostRatio:
    """Geometric mean of a network's times over the reference's, with Welch's interval of the difference of logs."""
    a, b = ([math.log(seconds) for seconds in cost.times_s] for cost in (network, reference))
    difference = fmean(a) - fmean(b)
    ratio = math.exp(difference)
    if network.is_published or reference.is_published:
        return CostRatio(ratio, (ratio, ratio))
    if min(len(a), len(b)) < 2:
        return CostRatio(ratio, None, "an interval needs two rounds of both")
    shift = welch(b, a).shift
    assert shift.low is not None
    assert shift.high is not None
    return CostRatio(ratio, (math.exp(shift.low), math.exp(shift.high)))


def _demand_ratio(network: Cost, reference: Cost) -> CostRatio | str:
    """The ratio, or why there is none."""
    if network.sm_efficiency_pct is not None and reference.sm_efficiency_pct:
        return time_ratio(network, reference).times(network.sm_efficiency_pct / reference.sm_efficiency_pct)
    if network.macs is not None and reference.macs:
        ratio = network.macs / reference.macs
        return CostRatio(ratio, (ratio, ratio))
    return "SM efficiency was not measured of both"


def _criterion(found: CostRatio | str) -> Criterion:
    if isinstance(found, str):
        return Criterion(state="undecided", ratio=None, low=None, high=None, because=found)
    if found.bounds is None:
        return Criterion(state="undecided", ratio=found.ratio, low=None, high=None, because=found.because)
    low, high = found.bounds
    state: State = "holds" if low > LEAST_RATIO else "fails" if high < LEAST_RATIO else "undecided"
    return Criterion(state=state, ratio=found.ratio, low=low, high=high)


def _said(criterion: Criterion, name: str) -> str:
    if criterion.ratio is None:
        return f"{criterion.state}, {criterion.because}"
    interval = f"no interval: {criterion.because}"
    if criterion.low is not None and criterion.high is not None:
        interval = "exact" if criterion.low == criterion.high else f"{criterion.low:.2f}–{criterion.high:.2f}"
    return f"{criterion.state}, {criterion.ratio:.2f} ({interval}) of {name}"


def with_depth(results: Sequence[Result]) -> list[Result]:
    """The results of one run, each judged against the reference's on the same data set, where that ran alike."""
    return [_judged(result, results) for result in results]


def _judged(result: Result, everyone: Iterable[Result]) -> Result:
    if result.network is None or result.depth is None or not result.rounds:
        return result
    name = f"{result.cell.dataset}-{REFERENCE}"
    candidates = [other for other in everyone if other.id == name and other.network is not None and other.rounds]
    alike = [other for other in candidates if _setting(other) == _setting(result)]
    if not alike:
        ran = "ran otherwise" if candidates else "did not run to its end"
        found = classical_depth(
            result.network.hidden_layers, no_reference_because=f"the reference {name} {ran} in this session"
        )
    else:
        reference = cost(alike[-1])
        # the reference's own rounds are not two samples: its ratios are 1
        found = depth_against(cost(result), reference, name) if result.id != name else _of_itself(reference, name)
    return result.model_copy(update={"depth": found})


def _of_itself(reference: Cost, name: str) -> Depth:
    once = replace(reference, times_s=(1.0,), is_published=True)
    return depth_against(once, once, name)


def _setting(result: Result) -> tuple[object, ...]:
    """What must be the same for two costs to be compared; the rounds may be more, where one cell was decided sooner."""
    return (
        result.cell.data_sha256,
        result.protocol.repeated(rounds=1, seed=0),
        result.pipeline,
        result.device,
        result.where.host,
        result.where.n_workers,
    )


def cost(result: Result) -> Cost:
    """What a record with a network and rounds says of its cost."""
    assert result.network is not None
    on_gpu = result.device.type == "cuda"
    return Cost(
        hidden_layers=result.network.hidden_layers,
        times_s=tuple(round_.time_s for round_ in result.rounds),
        sm_efficiency_pct=result.trace.sm_efficiency_pct if on_gpu and result.trace is not None else None,
        macs=None if on_gpu else result.network.macs_per_image,
    )
