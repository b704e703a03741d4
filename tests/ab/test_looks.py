"""When `nets ab` looks and what it concludes: the error budget, whatever decides when a cell stops."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from studies import ab_error_rates

from nets.ab.looks import Plan, TooFewRounds, plan
from nets.gate.limits import Limits
from tests.support.suite import REPOSITORY

LIMITS = Limits()
ratios = st.lists(st.floats(-0.5, 0.5), min_size=5, max_size=30)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(5, 200), st.integers(1, 10))
def test_every_look_can_decide(n_cells: int, max_sittings: int, n_looks: int) -> None:
    """Looks rise to the last round, are as many as were asked for at most, and each can find the clearest change."""
    try:
        made = plan(n_cells, max_sittings, n_looks, LIMITS)
    except TooFewRounds:
        assert 2.0**-max_sittings * n_cells * n_looks > LIMITS.alpha or max_sittings < LIMITS.min_pairs
        return
    assert list(made.looks) == sorted(set(made.looks))
    assert made.looks[-1] == max_sittings
    assert len(made.looks) <= n_looks
    for n in made.looks:
        assert made.verdict([0.2] * n)[0] == "slower"
        assert made.verdict([-0.2] * n)[0] == "faster"


def test_too_few_rounds() -> None:
    """A plan that could decide nothing is refused, with the number that it takes."""
    with pytest.raises(
        TooFewRounds, match="5 starts of both sides can't decide 10 cells at 3 looks: it takes at least 10"
    ):
        plan(10, 5, 3, LIMITS)


@given(ratios)
def test_exchanged_sides(log_ratios: list[float]) -> None:
    """Exchanging base and head exchanges slower and faster."""
    made = Plan((len(log_ratios),), 1, LIMITS)
    exchanged = {"slower": "faster", "faster": "slower", "the same": "the same", "open": "open"}
    assert made.verdict([-x for x in log_ratios])[0] == exchanged[made.verdict(log_ratios)[0]]


def test_the_same() -> None:
    """Pairs that differ by far less than the limit are the same; ones that scatter about it stay open."""
    made = plan(1, 30, 3, LIMITS)
    assert made.verdict([0.001, -0.001] * 5)[0] == "the same"
    assert made.verdict([0.2, -0.2] * 5)[0] == "open"
    assert made.verdict([math.log(1.01)] * 10)[0] == "the same"


@pytest.mark.parametrize("limit", [1e-9, 0.02])
def test_false_alarms(limit: float) -> None:
    """1,000 cells of noise alone, each stopped at the first look that would call it changed: at most `alpha` of them.

    A limit of nothing leaves the test alone to hold the rate, one-sided as the gate's: slower in 5 % at most.
    """
    rng = random.Random(0)
    made = plan(1, 12, 3, Limits(time=limit))
    slower = 0
    for _ in range(1_000):
        noise = [rng.gauss(0, 0.03) for _ in range(made.looks[-1])]
        verdicts = (made.verdict(noise[:n])[0] for n in made.looks)
        slower += next((verdict for verdict in verdicts if verdict != "open"), "open") == "slower"
    assert slower / 1_000 < LIMITS.alpha + 3 * math.sqrt(LIMITS.alpha * (1 - LIMITS.alpha) / 1_000)
    if limit < 0.01:
        assert slower > 0  # the test must be able to fail


def test_smallest_slowdown(monkeypatch: pytest.MonkeyPatch) -> None:
    """It lies above the limit, shrinks with sittings, grows with noise; without noise it is the limit itself."""
    monkeypatch.setattr(ab_error_rates, "N_DRAWS", 40)
    rng = random.Random(1)
    noise = [rng.gauss(0, 0.05) for _ in range(200)]
    found = [ab_error_rates.smallest_caught(noise, n, LIMITS) for n in (6, 12, 24)]
    assert all(slowdown is not None for slowdown in found)
    assert found == sorted(found, reverse=True)  # type: ignore[type-var]  # none is None
    quiet = ab_error_rates.smallest_caught([0.0], 6, LIMITS)
    assert quiet == pytest.approx(LIMITS.time, abs=2e-4)
    assert found[-1] is not None
    assert quiet is not None
    assert found[-1] > quiet
    assert ab_error_rates.smallest_caught([10 * x for x in noise], 6, LIMITS) is None


def test_rate() -> None:
    """A rate is told with its exact interval: 0 of 30 leaves up to 11.6 %."""
    assert ab_error_rates.rate(0, 30) == "0 of 30: 0.0 % (0.0–11.6)"


def test_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables are made from the recorded runs, a row a planted slowdown."""
    for name, n in (("N_COMPARISONS", 3), ("N_DRAWS", 3)):
        monkeypatch.setattr(ab_error_rates, name, n)
    monkeypatch.setattr(ab_error_rates, "SITTINGS", (6,))
    lines = list(ab_error_rates.tables(REPOSITORY / "studies" / "data" / "ab-power.jsonl"))
    assert [line.split(" | ")[0] for line in lines[2:5]] == ["| 0 %", "| 5 %", "| 10 %"]
    n_rows = (3, 2 * (len(ab_error_rates.NOISES) + 1), len(ab_error_rates.LIMITS), len(ab_error_rates.NOISES) + 1)
    assert len(lines) == sum(n + 2 for n in n_rows) + len(n_rows) - 1


def test_what_the_gate_says_in_the_end() -> None:
    """A cell that no look decided is ok within the limit, and not enough data beyond it."""
    made = plan(1, 12, 3, LIMITS)
    assert ab_error_rates.told(made, [0.2, -0.2] * 6) == "ok"
    assert ab_error_rates.told(made, [0.3, -0.2] * 6) == "not enough data"
    assert ab_error_rates.told(made, [0.1] * 12) == "slower"
