"""The tests and intervals behind the verdicts, each once, with its source; pure.

Base and head are compared by differences: of logarithms where a ratio is asked for. The paired test and its interval
assume only that without a difference either sign of a pair is as likely: true where base and head take turns.
The distributions are scipy.special's. scipy.stats takes a second to import, and the tests hold each formula against it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean, stdev, variance
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
MIN_PAIRS = 5
"""Fewer pairs can't reach a one-sided 5 %: the smallest p of n pairs is 2^-n."""
MAX_EXACT = 32
"""Up to so many pairs all 2^n signs are counted; above, the sum of signed ranks is close to normal."""


def special() -> Any:
    """scipy.special, imported when a distribution is needed: a run's file can be read without waiting for it."""
    import scipy.special

    return scipy.special


@dataclass(frozen=True, slots=True)
class Shift:
    """Head less base, and its interval with the confidence that it attains; None where there are too few values."""

    point: float
    low: float | None = None
    high: float | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Welch:
    """A difference of means with its interval, and the two-sided p."""

    shift: Shift
    p: float


def sign_flip(differences: Sequence[float]) -> float:
    """The one-sided p: the chance of so large a sum of signed ranks, or larger, if each sign is random.

    Ranks, since a few disturbed pairs would drown the others in a sum of the differences themselves. Pairs that don't
    differ are left out. Exact up to MAX_EXACT pairs, ties too: the sums of both halves' signs are sorted and counted
    against each other. Source: Wilcoxon, Biometrics Bulletin 1, 1945; Fisher, The Design of Experiments, 1935, 21.
    """
    d = np.asarray([x for x in differences if x != 0], dtype=np.float64)
    scores = np.sign(d) * _ranks(np.abs(d))
    if scores.size == 0:
        return 1.0
    if scores.size > MAX_EXACT:
        return float(special().ndtr(-scores.sum() / math.sqrt(float((scores * scores).sum()))))
    left, right = _sums(scores[: scores.size // 2]), np.sort(_sums(scores[scores.size // 2 :]))
    n_at_least = (right.size - np.searchsorted(right, scores.sum() - left)).sum()  # halves of integers: exact
    return float(n_at_least / 2.0**scores.size)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rank of each value from 1 on; equal values share the mean of theirs."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_rank: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[group]
    return mean_rank


def _sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sums under all 2^n signs."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums - value, sums + value])
    return sums


def holm(ps: Sequence[float]) -> tuple[float, ...]:
    """The p values adjusted for multiple tests, in their order (Holm, Scandinavian Journal of Statistics 6, 1979)."""
    adjusted = [0.0] * len(ps)
    worst = 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        worst = max(worst, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = worst
    return tuple(adjusted)


def pairs_needed(n_tests: int, alpha: float) -> int:
    """The fewest pairs with which each of `n_tests` can be significant after Holm: 2^-n <= alpha / n_tests."""
    n = MIN_PAIRS
    while 2.0**-n > alpha / n_tests:
        n += 1
    return n


def paired_shift(differences: Sequence[float]) -> Shift:
    """The Hodges-Lehmann estimate, which a few disturbed pairs don't move, and its interval between Walsh averages.

    Five pairs attain 93.75 %, more at least 95 %; fewer have no interval. Source: Hollander, Wolfe & Chicken,
    Nonparametric Statistical Methods, sections 3.2 and 3.3. Raises ValueError without a pair.
    """
    d = np.asarray(differences, dtype=np.float64)
    if d.size == 0:
        raise ValueError("no pairs to compare")
    i, j = np.triu_indices(d.size)
    walsh = np.sort((d[i] + d[j]) / 2)
    # half the sum of both middle values, so that exchanging base and head gives exactly the negative
    middle = walsh[(walsh.size - 1) // 2] + walsh[walsh.size // 2]
    if d.size < MIN_PAIRS:
        return Shift(float(middle / 2))
    k, confidence = _walsh_rank(d.size)
    return Shift(float(middle / 2), float(walsh[k]), float(walsh[-1 - k]), confidence)


@cache
def _walsh_rank(n: int) -> tuple[int, float]:
    """The rank of the Walsh average, from either end, that bounds the interval, and the confidence, by Wilcoxon."""
    if n > MAX_EXACT:
        spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        quantile = float(special().ndtri((1 - CONFIDENCE) / 2))
        return max(0, math.floor(n * (n + 1) / 4 + quantile * spread) - 1), CONFIDENCE
    ways = np.zeros(n * (n + 1) // 2 + 1)
    ways[0] = 1
    for rank in range(1, n + 1):
        ways[rank:] = ways[rank:] + ways[:-rank]
    outside = 2 * np.cumsum(ways) / 2.0**n
    k = max(0, int(np.searchsorted(outside, 1 - CONFIDENCE, side="right")) - 1)
    return k, 1 - float(outside[k])


def welch(base: Sequence[float], head: Sequence[float]) -> Welch:
    """Head's mean less base's, of at least two each (Welch, Biometrika 34, 1947). Raises ValueError for fewer.

    Where nothing varies on either side the interval has no width, and any difference is significant.
    """
    if min(len(base), len(head)) < 2:
        raise ValueError("Welch's test needs two rounds on each side")
    point = fmean(head) - fmean(base)
    of_base, of_head = variance(base) / len(base), variance(head) / len(head)
    error = math.sqrt(of_base + of_head)
    if error == 0:
        return Welch(Shift(point, point, point, CONFIDENCE), 1.0 if point == 0 else 0.0)
    share = of_base / (of_base + of_head)
    freedom = 1 / (share**2 / (len(base) - 1) + (1 - share) ** 2 / (len(head) - 1))
    half = float(special().stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    p = 2 * float(special().stdtr(freedom, -abs(point) / error))
    return Welch(Shift(point, point - half, point + half, CONFIDENCE), p)


ALPHA = 0.001
"""The level of an accuracy band."""


def median_interval(ordered: Sequence[float], confidence: float) -> tuple[float, float] | None:
    """An interval for the median between order statistics, which assumes nothing of the noise; None for too few values.

    Source: Conover, Practical Nonparametric Statistics, section 3.2.
    """
    n = len(ordered)
    # the widest k with P(the median lies outside the k-th smallest and largest) <= 1 - confidence
    k, outside = 0, 2 * 0.5**n
    while outside <= 1 - confidence:
        k += 1
        outside += 2 * math.comb(n, k) * 0.5**n
    return (ordered[k - 1], ordered[n - k]) if k else None


def rate_interval(k: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """An interval for the rate behind `k` of `n`, fractions of 1 (Clopper & Pearson, Biometrika 26, 1934)."""
    alpha = 1 - confidence
    low = 0.0 if k == 0 else float(special().betaincinv(k, n - k + 1, alpha / 2))
    return low, 1.0 if k == n else float(special().betaincinv(k + 1, n - k, 1 - alpha / 2))


def prediction_half_width(n: int, n_rounds: int, alpha: float = ALPHA) -> float:
    """Half the prediction interval for a mean of `n_rounds` new values, in standard deviations of `n` earlier ones."""
    return float(special().stdtrit(n - 1, 1 - alpha / 2)) * math.sqrt(1 / n + 1 / n_rounds)


def prediction_interval(reference: Sequence[float], n_rounds: int, alpha: float = ALPHA) -> tuple[float, float]:
    """The prediction interval for the mean of `n_rounds` new accuracies, cut to [0, 1]; needs two references."""
    half = prediction_half_width(len(reference), n_rounds, alpha) * stdev(reference)
    centre = fmean(reference)
    return max(0.0, centre - half), min(1.0, centre + half)


def prediction_interval_of_others(
    low: float, high: float, n: int, n_rounds: int, n_others: int
) -> tuple[float, float] | None:
    """`prediction_interval` for the mean of `n_others` new values, from that of `n_rounds`, both of `n` references.

    Its centre stays, its half width goes with sqrt(1/n + 1/n_rounds). One that was cut at 0 or 1 has lost its centre:
    for more values it is returned as it is, which is wider than need be and never too narrow; for fewer there is None,
    as there is of no reference, or for no value.
    """
    if n_others == n_rounds:
        return low, high
    if min(n, n_rounds, n_others) < 1:
        return None
    if low <= 0 or high >= 1:
        return (low, high) if n_others > n_rounds else None
    scale = math.sqrt((1 / n + 1 / n_others) / (1 / n + 1 / n_rounds))
    centre, half = (low + high) / 2, scale * (high - low) / 2
    return max(0.0, centre - half), min(1.0, centre + half)


def deviation(values: Sequence[float]) -> float:
    """The sample's standard deviation (ddof = 1) of two values or more, to the last digits or so.

    The library's own is exact, by fractions, which takes ten times as long: a history has a hundred thousand samples.
    """
    mean = fmean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
