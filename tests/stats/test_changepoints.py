"""Change points: the false-alarm rate, planted steps and bumps, and what must not matter."""

from __future__ import annotations

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
import scipy.stats
from hypothesis import example, given, settings
from hypothesis import strategies as st
from studies.history_error_rates import (
    BUMP,
    FLAT,
    STEPPED,
    Rate,
    is_alone,
    is_bump,
    is_flat,
    is_placed,
    placed_of_single_rounds,
    rates,
)

from nets.stats import changepoints
from nets.stats.changepoints import (
    ALPHA_STEP,
    MIN_COMMITS,
    MIN_SHIFT,
    MIN_SIZE,
    SURE,
    ChangePoint,
    Values,
    change_points,
)

SERIES = st.lists(st.floats(-1, 1).map(lambda value: round(value, 6)), min_size=0, max_size=40)


def noisy(*levels: tuple[int, float], noise: float = 0.01, seed: int = 0) -> list[float]:
    """Levels of so many commits each, with normal noise."""
    rng = np.random.default_rng(seed)
    return [float(level + noise * rng.standard_normal()) for n, level in levels for _ in range(n)]


def places(found: tuple[ChangePoint, ...]) -> list[int]:
    """Where changes begin."""
    return [change.index for change in found]


def test_flat_series_are_flat() -> None:
    """At least 990 of 1,000 flat series of 20 commits with 2 % noise show none, of one round a commit or three."""
    for n_rounds in (1, 3):
        (flat,) = rates(FLAT, 1_000, (is_flat,), 0.02, n_rounds)
        assert flat.k >= 990


def test_a_step_is_placed() -> None:
    """A 5 % step, ten commits on each side, rounds with 2 % noise: 95 of 100 have it within two commits, and alone."""
    placed, alone = rates(STEPPED, 100, (is_placed, is_alone), 0.02, 3)
    assert placed.k >= 95
    assert alone.k >= 95


def test_a_single_round_s_step() -> None:
    """With one round a commit a step is still found in most series: the docs say in how many, and why not in more."""
    (placed,) = rates(STEPPED, 100, (is_placed,), 0.02, 1)
    assert placed.k >= 75
    assert placed_of_single_rounds(0.015, 10, 40).k >= 38


def test_a_mended_regression() -> None:
    """Five slow commits between ten and ten, which hardly move the means of two halves, are found at both ends."""
    (bump,) = rates(BUMP, 50, (is_bump,), 0.01, 3)
    assert bump.k >= 49


def test_levels_and_p() -> None:
    """A change tells the medians before and after it, up to the next one, and a p below its test's level."""
    values = noisy((12, 1.0), (12, 1.2), (12, 1.1))
    first, second = change_points(values)
    assert (first.index, second.index) == (12, 24)
    assert first.before == np.median(values[:12])
    assert first.after == second.before == np.median(values[12:24])
    assert second.after == np.median(values[24:])
    assert 0 < first.p <= ALPHA_STEP
    assert second.shift == pytest.approx(-0.1, abs=0.01)


@pytest.mark.parametrize("n", [20, 1_000])
@pytest.mark.parametrize("at", [0, 1, 10, -3, -2, -1])
def test_an_outlier_is_no_change(n: int, at: int) -> None:
    """One value, however far from the rest, is no change, in the middle or at an end, in a short series or a long."""
    values = noisy((n, 1.0), seed=3)
    values[at] += 5
    assert change_points(values) == ()


def test_an_outlier_hides_no_step() -> None:
    """Of 50 series with a step and one value that is far off, most have the step in its place and nothing besides."""
    rng = np.random.default_rng(0)
    n_found = 0
    for seed in range(50):
        values = noisy((15, 1.0), (15, 1.05), seed=seed)
        values[rng.integers(30)] += 3
        n_found += places(change_points(values)) in ([13], [14], [15], [16], [17])
    assert n_found >= 30


def test_three_commits_are_a_level() -> None:
    """A large step three commits before the end of twenty is found; one two commits before it may be noise."""
    assert places(change_points(noisy((17, 1.0), (3, 1.5)))) == [17]
    assert change_points(noisy((18, 1.0), (2, 1.5))) == ()


def test_the_least_effect() -> None:
    """A change that is certain, but smaller than what counts, is not reported, and doesn't hide a large one."""
    values = noisy((20, 1.0), (20, 1.01), (20, 1.2), noise=0.001)
    assert places(change_points(values)) == [40]
    assert places(change_points(values, least=0.005)) == [20, 40]


def test_too_few() -> None:
    """No step of fewer commits than MIN_COMMITS can be confirmed, and the clearest step of as many is."""
    half = MIN_COMMITS // 2
    clear = [0.0] * half + [1.0] * half
    clear = [value + i * 1e-6 for i, value in enumerate(clear)]
    assert places(change_points(clear)) == [half]
    assert 2 / math.comb(MIN_COMMITS, half) <= ALPHA_STEP < 2 / math.comb(MIN_COMMITS - 1, half)
    assert change_points(clear[1:]) == ()


def test_empty_and_not_finite() -> None:
    """Nothing has no change; a value that is not finite is refused."""
    assert change_points([]) == ()
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="finite"):
            change_points([0.0] * 20 + [bad])


@given(st.floats(-1e6, 1e6), st.integers(0, 60))
@example(0.1, 30)
def test_a_constant_series_is_flat(value: float, n: int) -> None:
    """A value that never varies never changes, whatever its mean's last digit."""
    assert change_points([value] * n) == ()


@settings(max_examples=40, deadline=None)
@given(SERIES)
def test_what_is_found_is_a_segmentation(values: list[float]) -> None:
    """Whatever the series: changes are in order, MIN_SIZE apart and from the ends, and as large as the least."""
    found = change_points(values)
    assert found == change_points(values)
    edges = [0, *places(found), len(values)]
    if found:
        assert min(b - a for a, b in pairwise(edges)) >= MIN_SIZE
    assert all(abs(change.shift) >= MIN_SHIFT for change in found)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(-20, 20), st.integers(6, 20), st.floats(0.03, 0.3))
def test_scaling_changes_nothing(seed: int, log_factor: float, n: int, step: float) -> None:
    """Times in another unit, which moves all logarithms alike, have the same changes with the same p."""
    values = noisy((n, 0.0), (n, step), noise=0.02, seed=seed)
    ours, theirs = change_points(values), change_points([value + log_factor for value in values])
    assert places(ours) == places(theirs)
    assert [change.p for change in ours] == [change.p for change in theirs]
    assert [change.shift for change in ours] == pytest.approx([change.shift for change in theirs])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(6, 20), st.floats(0.03, 0.3))
def test_the_reverse_mirrors(seed: int, n: int, step: float) -> None:
    """The series from its end has the same changes from its end, with the same p."""
    values = noisy((n, 0.0), (n, step), noise=0.02, seed=seed)
    there, back = change_points(values), change_points(values[::-1])
    assert [len(values) - index for index in reversed(places(back))] == places(there)
    assert [change.p for change in reversed(back)] == [change.p for change in there]


def test_few_orders_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clear step takes 1,249 orders and not all 9,999, in a long series none, and flat series few."""
    drawn: list[int] = []
    counted = changepoints._n_as_large

    def counting(rng: np.random.Generator, ordered: Values, n: int, n_breaks: int, least: float) -> int:
        drawn.append(n)
        return counted(rng, ordered, n, n_breaks, least)

    monkeypatch.setattr(changepoints, "_n_as_large", counting)
    (step,) = change_points(noisy((12, 1.0), (12, 1.2)))
    assert 1 / step.p == SURE / ALPHA_STEP
    assert sum(drawn) < 4_000  # those for both sides included
    drawn.clear()
    assert len(change_points(noisy((200, 1.0), (200, 1.2), seed=1))) == 1
    assert sum(drawn) < 4_000  # those for both sides; the step itself is proven
    drawn.clear()
    assert not any(change_points(noisy((20, 1.0), seed=seed)) for seed in range(10, 30))
    assert sum(drawn) / 20 < 1_000


def test_a_quick_verdict_is_the_full_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is certain after few orders is what all 9,999 say: the same places, each by a p below its level."""
    many = [noisy((15, 1.0), (8, 1.0 + step), noise=0.02, seed=seed) for seed in range(50) for step in (0.0, 0.03, 0.1)]
    quick = [change_points(values) for values in many]
    monkeypatch.setattr(changepoints, "SURE", 1e6)
    monkeypatch.setattr(changepoints, "PROVEN", math.inf)
    full = [change_points(values) for values in many]
    assert [places(found) for found in quick] == [places(found) for found in full]
    assert all(change.p <= ALPHA_STEP for found in quick + full for change in found)


@settings(max_examples=50)
@given(st.integers(0, 2**31), st.integers(6, 60), st.integers(1, 6))
def test_bounds_are_bounds(seed: int, n: int, power: int) -> None:
    """No order gains more than its bound for two breakpoints, and no share of orders is larger than its bound."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(n) ** power  # a few are far from the rest
    values -= values.mean()
    orders = rng.permuted(np.broadcast_to(values, (400, n)), axis=1)
    if n >= 3 * MIN_SIZE:
        gains = changepoints._gains(orders, 2)
        assert (changepoints._pairs_bound(orders) >= gains * (1 - 1e-12)).all()
    gains = changepoints._gains(orders, 1)
    for gain in np.quantile(gains, [0.5, 0.9, 1.0]):
        assert (gains >= gain).mean() <= changepoints._p_bound(values, float(gain)) + 0.05


def test_the_proposal_is_the_best_segmentation() -> None:
    """Of all segmentations the proposed one has the least squared error, and the gain is what it saves."""
    from nets.stats.changepoints import MIN_SIZE, _best_breaks, _gains

    def error(values: np.ndarray, breaks: tuple[int, ...]) -> float:
        return sum(float(piece.var() * piece.size) for piece in np.split(values, breaks))

    for seed in range(20):
        values = np.asarray(noisy((9, 0.0), (6, 1.0), (8, 0.3), noise=1.0, seed=seed))
        values -= values.mean()
        for n_breaks in (1, 2):
            errors = {
                breaks: error(values, breaks)
                for breaks in combinations(range(MIN_SIZE, values.size - MIN_SIZE + 1), n_breaks)
                if all(later - earlier >= MIN_SIZE for earlier, later in pairwise(breaks))
            }
            best = min(errors, key=lambda breaks: errors[breaks])
            assert tuple(_best_breaks(values, n_breaks)) == best
            assert _gains(values[np.newaxis], n_breaks)[0] == pytest.approx(error(values, ()) - errors[best])


@given(st.integers(1, 2_000), st.floats(0, 1))
def test_clopper_pearson(n: int, share: float) -> None:
    """The intervals are scipy's exact ones."""
    k = round(share * n)
    theirs = scipy.stats.binomtest(k, n).proportion_ci(0.95, "exact")
    assert Rate(k, n).interval == pytest.approx((theirs.low, theirs.high), abs=1e-9)
