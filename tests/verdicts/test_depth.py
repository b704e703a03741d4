"""Shallow or deep: the classical rule, the cost-aware one with its whole truth table, and the article's own table."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nets.cells.catalog import CELLS, protocol_for
from nets.records.cell import CostAware, Network, Result, State
from nets.report.run import disagreements
from nets.verdicts.depth import Cost, classical, classical_depth, depth_against, majority, time_criterion, with_depth
from tests.support.records import one_round, record, traced

HIDDEN = {"snn500": 1, "cnn3l": 2, "lenet5": 4}
ORDER: dict[CostAware | None, int] = {"shallow": 0, "undecided": 1, "deep": 2}

SECONDS = st.floats(0.01, 1_000)
TIMES = st.lists(SECONDS, min_size=2, max_size=6).map(tuple)
COSTS = st.builds(Cost, st.integers(0, 6), TIMES, macs=st.integers(1, 10**9))
ON_GPU = st.builds(Cost, st.integers(0, 6), TIMES, sm_efficiency_pct=st.floats(0.1, 100))


@pytest.mark.parametrize(
    ("hidden_layers", "verdict"), [(0, "shallow"), (1, "shallow"), (2, "shallow"), (3, "deep"), (150, "deep")]
)
def test_classical(hidden_layers: int, verdict: str) -> None:
    """Deep means more than two hidden layers."""
    assert classical(hidden_layers) == verdict
    found = classical_depth(
        Network(parameters=1, layers=hidden_layers + 1, hidden_layers=hidden_layers, macs_per_image=1)
    )
    assert found.classical == verdict
    assert found.cost_aware is None
    assert found.because.startswith(f"{hidden_layers} hidden layer{'s' if hidden_layers != 1 else ''}, ")


TRUTH = """
holds holds holds: deep           holds holds fails: deep           holds holds undecided: deep
holds fails holds: deep           holds fails fails: shallow        holds fails undecided: undecided
holds undecided holds: deep       holds undecided fails: undecided  holds undecided undecided: undecided
fails holds holds: deep           fails holds fails: shallow        fails holds undecided: undecided
fails fails holds: shallow        fails fails fails: shallow        fails fails undecided: shallow
fails undecided holds: undecided  fails undecided fails: shallow    fails undecided undecided: undecided
undecided holds holds: deep       undecided holds fails: undecided  undecided holds undecided: undecided
undecided fails holds: undecided  undecided fails fails: shallow    undecided fails undecided: undecided
undecided undecided holds: undecided
undecided undecided fails: undecided
undecided undecided undecided: undecided
"""


def test_the_whole_truth_table() -> None:
    """Two that hold make deep, two that fail make shallow, all else is undecided: each of the 27 cases."""
    words = TRUTH.replace(":", "").split()
    table = {tuple(words[i : i + 3]): words[i + 3] for i in range(0, len(words), 4)}
    states: tuple[State, ...] = ("holds", "fails", "undecided")
    assert len(table) == 27
    for three in itertools.product(states, repeat=3):
        assert majority(*three) == table[three]


def test_the_article_s_own_table() -> None:
    """By the figures that the article printed for MNIST: SNN500 is shallow, CNN3L deep by cost alone, LeNet-5 deep."""
    costs = {}
    for cell in CELLS[:3]:
        assert cell.published is not None
        costs[cell.model] = Cost(
            HIDDEN[cell.model],
            (cell.published.time_s,),
            sm_efficiency_pct=cell.published.sm_efficiency_pct,
            is_published=True,
        )
    found = {name: depth_against(cost, costs["lenet5"], "mnist-lenet5") for name, cost in costs.items()}
    assert {name: each.cost_aware for name, each in found.items()} == {
        "snn500": "shallow",
        "cnn3l": "deep",
        "lenet5": "deep",
    }
    ratios = {
        name: (round(each.criteria.time.ratio or 0, 2), round(each.criteria.demand.ratio or 0, 2))
        for name, each in found.items()
        if each.criteria is not None
    }
    assert ratios == {"snn500": (0.86, 0.28), "cnn3l": (1.15, 2.53), "lenet5": (1, 1)}
    assert found["cnn3l"].classical == "shallow"
    assert found["snn500"].because == (
        "layers: fails (1 hidden); time: fails, 0.86 (exact) of mnist-lenet5; "
        "demand: fails, 0.28 (exact) of mnist-lenet5 (SM-seconds)"
    )


def test_a_ratio_worked_out() -> None:
    """Times of e and e³ over times of 1 and e²: log means 2 and 1, so the ratio is e; Welch with two degrees."""
    found = time_criterion(Cost(1, (math.e, math.e**3)), Cost(1, (1.0, math.e**2)))
    assert found.ratio == pytest.approx(math.e)
    assert None not in (found.low, found.high)
    half = 4.302653 * math.sqrt(2 / 2 + 2 / 2)  # t(0.975, 2); each variance is 2
    assert (found.low, found.high) == pytest.approx((math.exp(1 - half), math.exp(1 + half)), rel=1e-5)


def test_one_round_has_no_interval() -> None:
    """With a single round of either, time is undecided and says so; the exact demand still counts."""
    found = depth_against(Cost(4, (9.0,), macs=100), Cost(4, (3.0, 3.1), macs=100), "x-lenet5")
    assert found.criteria is not None
    assert found.criteria.time.state == "undecided"
    assert found.criteria.time.ratio == pytest.approx(2.95, abs=0.01)
    assert "an interval needs two rounds of both" in found.because
    assert found.cost_aware == "deep"


def test_demand_that_was_not_measured() -> None:
    """On a GPU without a trace demand is undecided, with the reason, and never taken from the operations."""
    found = depth_against(Cost(4, (3.0, 3.1)), Cost(4, (3.0, 3.1), sm_efficiency_pct=5.0), "x-lenet5")
    assert found.criteria is not None
    assert (found.criteria.demand.state, found.criteria.demand.ratio) == ("undecided", None)
    assert "SM efficiency was not measured of both" in found.because


@given(st.one_of(st.tuples(COSTS, COSTS), st.tuples(ON_GPU, ON_GPU)), st.sampled_from([0.25, 2.0, 1024.0]))
def test_the_unit_of_time_changes_nothing(two: tuple[Cost, Cost], factor: float) -> None:
    """All times times one factor: the same verdict."""
    network, reference = (
        Cost(each.hidden_layers, tuple(factor * t for t in each.times_s), each.sm_efficiency_pct, each.macs)
        for each in two
    )
    assert depth_against(network, reference, "r").cost_aware == depth_against(*two, "r").cost_aware


@given(st.one_of(st.tuples(COSTS, COSTS), st.tuples(ON_GPU, ON_GPU)), st.floats(1, 100))
def test_slower_is_never_less_deep(two: tuple[Cost, Cost], factor: float) -> None:
    """A network all of whose rounds take longer by one factor is as deep as before, or deeper."""
    network, reference = two
    slower = Cost(
        network.hidden_layers, tuple(factor * t for t in network.times_s), network.sm_efficiency_pct, network.macs
    )
    before, after = (depth_against(each, reference, "r").cost_aware for each in (network, slower))
    assert ORDER[after] >= ORDER[before]


@given(st.integers(3, 200), TIMES, TIMES, st.integers(1, 10**9))
def test_the_reference_and_its_twin_are_deep(
    hidden: int, times: tuple[float, ...], others: tuple[float, ...], macs: int
) -> None:
    """The same network again is deep if it has more than two hidden layers, however its seconds fell."""
    assert depth_against(Cost(hidden, others, macs=macs), Cost(hidden, times, macs=macs), "r").cost_aware == "deep"
    assert depth_against(Cost(hidden, times, macs=macs), Cost(hidden, times, macs=macs), "r").cost_aware == "deep"


def test_intervals_narrow_as_rounds_grow() -> None:
    """Over 200 simulated pairs of networks the mean width of the interval falls with every doubling of the rounds."""
    rng = random.Random(3)

    def width(n: int) -> float:
        found = [
            time_criterion(*(Cost(1, tuple(rng.lognormvariate(0, 0.05) for _ in range(n))) for _ in range(2)))
            for _ in range(200)
        ]
        return sum(each.high - each.low for each in found if each.high is not None and each.low is not None) / 200

    widths = [width(n) for n in (2, 4, 8, 16, 32)]
    assert widths == sorted(widths, reverse=True)


def test_the_interval_covers_the_truth() -> None:
    """Of 2,000 simulated comparisons of three rounds each the 95 % interval holds the true ratio in about 95 %."""
    rng = random.Random(4)
    held = 0
    for _ in range(2_000):
        network = Cost(1, tuple(1.3 * rng.lognormvariate(0, 0.05) for _ in range(3)))
        found = time_criterion(network, Cost(1, tuple(rng.lognormvariate(0, 0.03) for _ in range(3))))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 1.3 <= found.high
    assert 0.935 < held / 2_000 < 0.98  # Welch's interval is a little wide for so few rounds


def cell(model: str, *times_s: float, macs: int = 1_000, dataset: str = "digits", **changes: Any) -> Result:
    """A record whose rounds took these seconds."""
    rounds = tuple(one_round(i, train_s=t - 0.5, eval_s=0.5) for i, t in enumerate(times_s))
    hidden = HIDDEN[model]
    network = Network(parameters=1, layers=hidden + 1, hidden_layers=hidden, macs_per_image=macs)
    return record(dataset, model, rounds=rounds, network=network, **changes)


def test_of_a_session() -> None:
    """Each cell is judged against LeNet-5 on its own data set; where the definitions disagree, a sentence says why."""
    found = with_depth(
        [
            cell("cnn3l", 8.0, 8.1, macs=6_000),
            cell("snn500", 1.0, 1.1, macs=900),
            cell("lenet5", 4.0, 4.1),
            cell("snn500", 1.0, 1.1, dataset="shapes"),
        ]
    )
    verdicts = [each.depth.cost_aware for each in found if each.depth is not None]
    assert verdicts == ["deep", "shallow", "deep", None]
    assert [each.depth.reference for each in found if each.depth is not None][:2] == ["digits-lenet5"] * 2
    assert found[3].depth is not None
    assert "the reference shapes-lenet5 did not run to its end in this session" in found[3].depth.because
    (line,) = disagreements(found)
    assert line.startswith(
        "digits-cnn3l: shallow by the classical definition, deep by cost: layers: fails (2 hidden); "
    )
    assert "time: holds, 1.99 (1.83–2.16) of digits-lenet5" in line


def test_the_reference_of_a_session() -> None:
    """The reference's own ratios are exactly 1, however its rounds are spread: every criterion holds."""
    found = with_depth([cell("lenet5", 1.0, 9.0)])[0].depth
    assert found is not None
    assert found.criteria is not None
    assert {each.state for each in (found.criteria.layers, found.criteria.time, found.criteria.demand)} == {"holds"}
    assert (found.criteria.time.ratio, found.criteria.time.low, found.criteria.time.high) == (1, 1, 1)


def test_a_reference_that_ran_otherwise() -> None:
    """A reference under another protocol, pipeline or device is no reference; one with more rounds is."""
    network = cell("cnn3l", 8.0, 8.1)
    for other in ({"protocol": protocol_for("article", "digits")}, {"pipeline": "article"}):
        found = with_depth([network, cell("lenet5", 4.0, 4.1, **other)])[0].depth
        assert found is not None
        assert found.cost_aware is None
        assert "the reference digits-lenet5 ran otherwise in this session" in found.because


def test_a_reference_with_more_rounds() -> None:
    """Rounds of `nets ab`, which leaves a cell sooner than another, are compared all the same."""
    network, reference = cell("cnn3l", 8.0, 8.1), cell("lenet5", 4.0, 4.1, 4.2)
    reference = reference.model_copy(update={"protocol": reference.protocol.repeated(rounds=3)})
    found = with_depth([network, reference])[0].depth
    assert found is not None
    assert found.cost_aware == "deep"


def test_on_a_gpu_demand_is_sm_seconds() -> None:
    """With a trace the demand's ratio is time's times that of the SM efficiencies, bounds and all."""
    gpu: dict[str, Any] = {"device": record().device.model_copy(update={"type": "cuda", "name": "a GPU"})}
    network = cell("cnn3l", 8.0, 8.1, trace=traced(sm_efficiency_pct=30.0), trace_missing_because=None, **gpu)
    reference = cell("lenet5", 4.0, 4.1, trace=traced(sm_efficiency_pct=10.0), trace_missing_because=None, **gpu)
    found = with_depth([network, reference])[0].depth
    assert found is not None
    assert found.criteria is not None
    time, demand = found.criteria.time, found.criteria.demand
    assert demand.ratio == pytest.approx(3 * (time.ratio or 0))
    assert demand.low == pytest.approx(3 * (time.low or 0))
