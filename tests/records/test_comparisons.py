"""Two sides in turns: the order, the ratio and its interval."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nets.measuring.comparisons import Turn, Turns
from nets.records.comparisons import ratio_of

SECONDS = st.floats(0.01, 100)


def test_turns_alternate() -> None:
    """Every other pair begins with the other side, and each turn's seconds are kept in order."""
    order: list[str] = []

    class Side(Turn):
        def __init__(self, name: str, seconds: float) -> None:
            self._name, self._seconds = name, seconds

        def seconds(self) -> float:
            order.append(self._name)
            return self._seconds

    turns = Turns({"a": Side("a", 1.0), "b": Side("b", 2.0)})
    for _ in range(3):
        turns.pair()
    assert "".join(order) == "abbaab"
    assert turns.seconds == {"a": [1.0] * 3, "b": [2.0] * 3}
    with pytest.raises(ValueError, match="two sides"):
        Turns({"a": Side("a", 1.0)})


def test_a_ratio_worked_out() -> None:
    """Nine pairs: the median's 95 % interval runs from the second smallest to the second largest."""
    first = [3.0, 1.0, 2.0, 9.0, 5.0, 4.0, 8.0, 7.0, 6.0]
    found = ratio_of(first, [2.0] * 9)
    assert (found.median, found.low, found.high, found.n) == (2.5, 1.0, 4.0, 9)


def test_too_few_pairs() -> None:
    """Five pairs hold no 95 % interval of a median, six the whole range; no pair is no ratio."""
    five = ratio_of([1.0, 2, 3, 4, 5], [1.0] * 5)
    assert (five.median, five.low, five.high) == (3.0, None, None)
    assert (ratio_of([1.0, 2, 3, 4, 5, 6], [1.0] * 6).low, ratio_of([1.0, 2, 3, 4, 5, 6], [1.0] * 6).high) == (1.0, 6.0)
    with pytest.raises(ValueError, match="no turns"):
        ratio_of([], [])
    with pytest.raises(ValueError, match="argument 2"):
        ratio_of([1.0], [1.0, 2.0])


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=40))
def test_order_and_unit_change_nothing(pairs: list[tuple[float, float]]) -> None:
    """The interval holds the median; neither the pairs' order nor the unit of time matters."""
    first, second = zip(*pairs, strict=True)
    found = ratio_of(first, second)
    assert found == ratio_of(first[::-1], second[::-1])
    scaled = ratio_of([2 * a for a in first], [2 * b for b in second])
    assert scaled.median == pytest.approx(found.median)
    if found.low is not None and found.high is not None:
        assert found.low <= found.median <= found.high


def test_the_interval_covers_the_truth() -> None:
    """Over 2,000 simulated runs of 10 noisy pairs the interval holds the true ratio in at least 95 % less chance."""
    rng = random.Random(1)
    held = 0
    for _ in range(2_000):
        found = ratio_of([1.2 * rng.lognormvariate(0, 0.1) for _ in range(10)], [1.0] * 10)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 1.2 <= found.high
    assert held / 2_000 > 0.965  # the interval of n = 10 holds 97.9 %
