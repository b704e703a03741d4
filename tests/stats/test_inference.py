"""The gate's statistics, against results worked out by hand, by counting, or by simulation."""

from __future__ import annotations

import itertools
import random
import statistics

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from nets.stats.inference import (
    deviation,
    holm,
    median_interval,
    paired_shift,
    pairs_needed,
    prediction_interval,
    sign_flip,
    welch,
)

DIFFERENCES = st.lists(st.floats(-10, 10), min_size=1, max_size=9)


@given(DIFFERENCES)
def test_sign_flip_counts_signs(d: list[float]) -> None:
    """The p is the share of all 2^n sign patterns whose sum of signed ranks is as large; zeros have no rank."""
    d = [x for x in d if x != 0]
    ranks = scipy.stats.rankdata([abs(x) for x in d])
    found = sum(ranks[x > 0].sum() - ranks[x < 0].sum() for x in [np.array(d)]) if d else 0
    sums = [
        sum(s * r for s, r in zip(signs, ranks, strict=True)) for signs in itertools.product((-1, 1), repeat=len(d))
    ]
    assert sign_flip([*d, 0.0]) == sum(total >= found for total in sums) / 2 ** len(d)


@given(st.lists(st.floats(-10, 10).filter(bool), min_size=1, max_size=20, unique_by=abs))
def test_sign_flip_is_wilcoxon(d: list[float]) -> None:
    """Without ties it is SciPy's exact signed-rank test."""
    assert sign_flip(d) == pytest.approx(scipy.stats.wilcoxon(d, alternative="greater", method="exact").pvalue)


def test_sign_flip_worked_out() -> None:
    """Five pairs of one sign reach 1/32 and no less; no difference is no evidence; many pairs agree with the exact."""
    assert sign_flip([0.1, 0.2, 0.1, 0.3, 0.2]) == 1 / 32
    assert sign_flip([-0.1, -0.2, -0.1, -0.3, -0.2]) == 1
    assert sign_flip([0.0] * 8) == 1
    rng = random.Random(2)
    d = [rng.gauss(0.3, 1) for _ in range(32)]
    assert sign_flip([*d, 1e-9]) == pytest.approx(sign_flip(d), abs=0.01)


def test_sign_flip_beside_a_disturbed_pair() -> None:
    """One pair that another process ruined does not hide what nine others say."""
    assert sign_flip([0.05] * 9 + [-3.0]) < 0.05


@pytest.mark.parametrize(("n_tests", "n"), [(1, 5), (3, 6), (4, 7), (6, 7), (12, 8), (13, 9), (51, 10)])
def test_pairs_needed(n_tests: int, n: int) -> None:
    """As many pairs as let 2^-n reach alpha over the number of tests."""
    assert pairs_needed(n_tests, 0.05) == n


def test_holm_worked_out() -> None:
    """The smallest p is multiplied by the number of tests, the next by one less; never beyond 1 nor out of order."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.6, 0.9]) == (1.0, 1.0)
    assert holm([]) == ()


def test_paired_shift_worked_out() -> None:
    """The middle of the Walsh averages; five pairs attain 93.75 % by their range, six 96.875 %, four nothing."""
    five = paired_shift([1.0, 2.0, 3.0, 4.0, 100.0])
    assert (five.point, five.low, five.high, five.confidence) == (3.0, 1.0, 100.0, 0.9375)
    assert paired_shift([1.0, 2, 3, 4, 5, 6]).confidence == 0.96875
    assert paired_shift([1.0, 2, 3, 4]).low is None
    with pytest.raises(ValueError, match="no pairs"):
        paired_shift([])


@pytest.mark.parametrize("n", [5, 6, 8, 10, 40])
def test_paired_interval_covers(n: int) -> None:
    """Over 1,000 simulated sets of pairs the interval holds the true shift as often as it says, chance apart."""
    rng = random.Random(n)
    held = 0
    for _ in range(1_000):
        found = paired_shift([0.1 + rng.gauss(0, 1) for _ in range(n)])
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.1 <= found.high
    assert found.confidence is not None
    assert held / 1_000 > found.confidence - 0.02


@given(DIFFERENCES)
def test_exchanged_sides_shift_back(d: list[float]) -> None:
    """Exchanging the sides gives exactly the negative."""
    there, back = paired_shift(d), paired_shift([-x for x in d])
    assert back.point == -there.point
    assert (back.low, back.high) == (there.high and -there.high, there.low and -there.low)


def test_welch_agrees_with_scipy() -> None:
    """The p and the interval are scipy's; without any variation every difference is significant."""
    base, head = [1.0, 2.0, 4.0], [3.0, 3.5, 5.0, 6.0]
    theirs = scipy.stats.ttest_ind(head, base, equal_var=False)
    ours = welch(base, head)
    assert ours.p == pytest.approx(theirs.pvalue)
    interval = theirs.confidence_interval(0.95)
    assert (ours.shift.low, ours.shift.high) == pytest.approx((interval.low, interval.high))
    assert welch([1.0, 1.0], [1.0, 1.0]).p == 1
    assert welch([1.0, 1.0], [2.0, 2.0]).p == 0
    with pytest.raises(ValueError, match="two rounds"):
        welch([1.0], [1.0, 2.0])


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=40, unique=True))
def test_median_interval(values: list[float]) -> None:
    """The interval for a median is scipy's quantile test's; too few values have none."""
    theirs = scipy.stats.quantile_test(values, q=0, p=0.5).confidence_interval(0.95)
    found = median_interval(sorted(values), 0.95)
    if found is None:
        assert 2 * 0.5 ** len(values) > 0.05
        assert np.isnan(theirs.low) or np.isnan(theirs.high) or theirs.low == min(values)
    else:
        assert found == (theirs.low, theirs.high)


@given(st.lists(st.floats(0.4, 0.6), min_size=2, max_size=20), st.integers(1, 5))
def test_prediction_interval(reference: list[float], n_rounds: int) -> None:
    """The prediction interval is Student's, of the mean of so many new values, cut to what an accuracy can be."""
    scale = np.std(reference, ddof=1) * np.sqrt(1 / len(reference) + 1 / n_rounds)
    if scale == 0:
        return
    low, high = scipy.stats.t(len(reference) - 1, np.mean(reference), scale).interval(0.95)
    assert prediction_interval(reference, n_rounds, alpha=0.05) == pytest.approx((max(low, 0.0), min(high, 1.0)))


@given(st.lists(st.floats(-1e6, 1e6).map(lambda value: round(value, 6)), min_size=2, max_size=20))
def test_the_deviation_is_the_library_s(values: list[float]) -> None:
    """The quick standard deviation is the exact one but for its last digits, of equal values 0."""
    largest = max(map(abs, values))
    assert deviation(values) == pytest.approx(statistics.stdev(values), rel=1e-9, abs=1e-12 * largest)
    assert deviation([values[0]] * 3) == pytest.approx(0, abs=1e-12 * largest)
