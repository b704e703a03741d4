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
from nets.records.cell import CostAware, Criteria, Criterion, Depth, Network, Result, State, Verdict
from nets.stats.inference import welch

DEEP_ABOVE = 2
_STATES: dict[Verdict | None, State] = {"deep": "holds", "shallow": "fails", None: "undecided"}
LEAST_RATIO = 0.9
"""A margin of 10 %: the reference's twin must not fail by chance."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network costs: seconds of train + evaluate of each round, and its demand on the machine.

    `sm_efficiency_pct`: on a GPU, the trace's estimate. `macs`: on a CPU, multiply-accumulates of an image's forward
    pass, with its share of what is done once a batch; their ratio is that of the whole training. `is_published`: the
    time is a published mean, without rounds.
    """

    hidden_layers: int | None
    times_s: tuple[float, ...]
    sm_efficiency_pct: float | None = None
    macs: float | None = None
    is_published: bool = False


def classical(hidden_layers: int) -> Verdict:
    """Shallow or deep by the number of hidden layers."""
    return "deep" if hidden_layers > DEEP_ABOVE else "shallow"


def classical_depth(network: Network, *, no_reference_because: str = "no reference was compared") -> Depth:
    """The classical verdict alone, and why there is no cost-aware one."""
    verdict = None if network.hidden_layers is None else classical(network.hidden_layers)
    counted = f"layers not counted: {network.layers_missing_because}"
    if verdict is not None:
        relation = "more than" if verdict == "deep" else "not more than"
        plural = "" if network.hidden_layers == 1 else "s"
        counted = f"{network.hidden_layers} hidden layer{plural}, {relation} {DEEP_ABOVE}"
    return Depth(
        classical=verdict,
        cost_aware=None,
        criteria=None,
        reference=None,
        because=f"{counted}; {no_reference_because}",
    )


def depth_against(network: Cost, reference: Cost, name: str) -> Depth:
    """Both verdicts on a network; `name` is the reference's."""
    by_layers = None if network.hidden_layers is None else classical(network.hidden_layers)
    layers = Criterion(state=_STATES[by_layers], ratio=None, low=None, high=None)
    time, demand = time_criterion(network, reference), _demand_criterion(network, reference)
    unit = "SM-seconds" if network.macs is None is reference.macs else "multiply-accumulates"
    hidden = "not counted" if network.hidden_layers is None else f"{network.hidden_layers} hidden"
    return Depth(
        classical=by_layers,
        cost_aware=majority(layers.state, time.state, demand.state),
        criteria=Criteria(layers=layers, time=time, demand=demand),
        reference=name,
        because=(
            f"layers: {layers.state} ({hidden}); time: {_criterion_text(time, name)}; "
            f"demand: {_criterion_text(demand, name)} ({unit})"
        ),
    )


def majority(*states: State) -> CostAware:
    """Deep if two criteria hold, shallow if two fail, else undecided."""
    if states.count("holds") >= 2:
        return "deep"
    return "shallow" if states.count("fails") >= 2 else "undecided"


def time_criterion(network: Cost, reference: Cost, *, factor: float = 1.0) -> Criterion:
    """By `factor` times the ratio of the geometric means, with Welch's interval of the difference of logarithms."""
    a, b = ([math.log(seconds) for seconds in cost.times_s] for cost in (network, reference))
    ratio = math.exp(fmean(a) - fmean(b)) * factor
    if network.is_published or reference.is_published:
        return _criterion(ratio, ratio, ratio)
    if min(len(a), len(b)) < 2:
        return _criterion(ratio, because="an interval needs two rounds of both")
    shift = welch(b, a).shift
    assert shift.low is not None
    assert shift.high is not None
    return _criterion(ratio, math.exp(shift.low) * factor, math.exp(shift.high) * factor)


def _demand_criterion(network: Cost, reference: Cost) -> Criterion:
    if network.sm_efficiency_pct is not None and reference.sm_efficiency_pct:
        factor = network.sm_efficiency_pct / reference.sm_efficiency_pct
        return time_criterion(network, reference, factor=factor)
    if network.macs is not None and reference.macs:
        ratio = network.macs / reference.macs
        return _criterion(ratio, ratio, ratio)
    what = "SM efficiency was not measured" if network.macs is None is reference.macs else "operations were not counted"
    return _criterion(because=f"{what} of both")


def _criterion(
    ratio: float | None = None, low: float | None = None, high: float | None = None, because: str | None = None
) -> Criterion:
    state: State = "undecided"
    if low is not None and high is not None:
        state = "holds" if low > LEAST_RATIO else "fails" if high < LEAST_RATIO else "undecided"
    return Criterion(state=state, ratio=ratio, low=low, high=high, because=because)


def _criterion_text(criterion: Criterion, name: str) -> str:
    if criterion.ratio is None:
        return f"{criterion.state}, {criterion.because}"
    interval = f"no interval: {criterion.because}"
    if criterion.low is not None and criterion.high is not None:
        interval = "exact" if criterion.low == criterion.high else f"{criterion.low:.2f}–{criterion.high:.2f}"
    return f"{criterion.state}, {criterion.ratio:.2f} ({interval}) of {name}"


def with_depth(results: Sequence[Result]) -> list[Result]:
    """The results of one run, each judged against the reference's on the same data set and under the same setting."""
    return [result.replace(depth=_depth(result, results)) for result in results]


def _depth(result: Result, results: Iterable[Result]) -> Depth | None:
    if result.network is None or result.depth is None or not result.rounds:
        return result.depth
    name = f"{result.cell.dataset}-{REFERENCE}"
    candidates = [other for other in results if other.id == name and other.depth is not None and other.rounds]
    alike = [other for other in candidates if _setting(other) == _setting(result)]
    if not alike:
        ran = "ran otherwise" if candidates else "did not run to its end"
        because = f"the reference {name} {ran} in this session"
        return classical_depth(result.network, no_reference_because=because)
    reference = _cost(alike[-1])
    if result.id == name:  # its rounds are no two samples: the ratios are exactly 1
        reference = replace(reference, times_s=(1.0,), is_published=True)
        return depth_against(reference, reference, name)
    return depth_against(_cost(result), reference, name)


def _setting(result: Result) -> tuple[object, ...]:
    """What must be the same for two costs to be compared; `nets ab` may give one of two cells more rounds."""
    return (
        result.cell.data_sha256,
        result.protocol.repeated(rounds=1, seed=0),
        result.pipeline,
        result.device,
        result.where.host,
        result.where.n_workers,
    )


def _cost(result: Result) -> Cost:
    """The cost by a record with a network and rounds."""
    assert result.network is not None
    on_gpu = result.device.type == "cuda"
    return Cost(
        hidden_layers=result.network.hidden_layers,
        times_s=tuple(round_.time_s for round_ in result.rounds),
        sm_efficiency_pct=result.trace.sm_efficiency_pct if on_gpu and result.trace is not None else None,
        macs=None if on_gpu else result.network.macs_of_an_image(result.protocol.batch_size),
    )
