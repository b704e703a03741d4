"""Where does a series change its level? Least squares propose breakpoints, a permutation test confirms them; pure.

The segmentation with the least squared error is asked for one breakpoint, and, where that one is not confirmed, for
two: a regression that was fixed a few commits later hardly changes the means of two halves. The parts on each side of
what is found are searched again (as E-divisive does: Matteson & James, Journal of the American Statistical Association
109, 2014). A proposal is confirmed if its gain, the squared error that it saves, is one that the same values in random
order hardly reach *at their best breakpoints*: so the level of the test holds for a segment as a whole, wherever its
best breakpoint lies, and whatever the noise's distribution. It assumes that without a change any order of the values is
as likely: noise that stays for days looks like a change, and is reported as one.

A single outlier is no change: values far from the median are winsorized before the search (which leaves the test exact,
since it doesn't depend on their order), a level lasts for three commits at least, and levels are medians.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
MIN_SIZE = 3
"""The fewest commits of a level."""
MIN_COMMITS = 12
"""A step in the middle of fewer can't be confirmed: of all orders of n values a share of 2 / C(n, n/2) gain as much."""
ALPHA_STEP = 0.004
ALPHA_BUMP = 0.001
"""The levels of both tests: together a segment without a change shows one with a chance of 0.5 % at most."""
MAX_BUMP = 300
"""The longest segment in which pairs of breakpoints are searched: their number grows with the square."""
MIN_SHIFT = math.log1p(0.02)
PERMUTATIONS = 9_999
FIRST_PERMUTATIONS = 499
"""So many show that most series have no change."""
SEED = 20_140_101
MAX_DEVIATIONS = 3.0
"""Values are winsorized at so many standard deviations, as the median absolute deviation estimates them.

Less would lower short levels too; with more an outlier would hide more changes.
"""
BLOCK_SIZE = 2**21
"""Values that are permuted at once."""


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """A level that begins at `index`: the medians before and after, up to the next change, and the p of its test."""

    index: int
    before: float
    after: float
    p: float

    @property
    def shift(self) -> float:
        """After less before."""
        return self.after - self.before


def change_points(values: Sequence[float], least: float = MIN_SHIFT) -> tuple[ChangePoint, ...]:
    """The changes of a series, in order, whose medians differ by `least` or more; of logarithms where ratios count.

    The same values give the same changes. Raises ValueError for a value that is not finite.
    """
    series = np.asarray(values, dtype=np.float64)
    if not np.isfinite(series).all():
        raise ValueError("a series has finite values only")
    found = dict(_search(series, 0)) if series.size >= MIN_COMMITS else {}
    kept = _without_small(series, sorted(found), least)
    return tuple(
        ChangePoint(index, before, after, found[index])
        for index, (before, after) in zip(kept, pairwise(_medians(series, kept)), strict=True)
    )


def _search(segment: Values, offset: int) -> Iterator[tuple[int, float]]:
    """(Index, p) of every confirmed breakpoint, in no order."""
    centred = _winsorized(segment)
    for n_breaks, alpha in ((1, ALPHA_STEP), (2, ALPHA_BUMP)):
        if segment.size < (n_breaks + 1) * MIN_SIZE or (n_breaks == 2 and segment.size > MAX_BUMP):
            return
        breaks = _best_breaks(centred, n_breaks)
        p = _p(centred, n_breaks, alpha)
        if p <= alpha:
            yield from ((offset + index, p) for index in breaks)
            for start, end in pairwise((0, *breaks, segment.size)):
                yield from _search(segment[start:end], offset + start)
            return


def _best_breaks(segment: Values, n_breaks: int) -> list[int]:
    """The breakpoints of the segmentation with the least squared error; the first of several."""
    best, breaks = -math.inf, [0]
    for first, places, gains in _gains_by_place(segment[np.newaxis], n_breaks):
        if (gain := float(gains.max())) > best:
            best, breaks = gain, [*first, int(places[gains.argmax()])]
    return breaks


def _p(segment: Values, n_breaks: int, alpha: float) -> float:
    """The share of random orders whose best breakpoints gain as much, counting the given order; 1 if above `alpha`.

    Random orders of the sorted values, so that a series and its reverse have the same p. Source: Davison & Hinkley,
    Bootstrap Methods and their Application, 1997, section 4.2.
    """
    total = float(segment @ segment)
    if total == 0:
        return 1.0
    # equal gains that were summed in another order count as equal
    least = float(_gains(segment[np.newaxis], n_breaks)[0]) - 1e-9 * total
    rng, ordered = np.random.default_rng(SEED), np.sort(segment)
    n_as_large, n_orders, n = 1, 1, FIRST_PERMUTATIONS
    while n > 0:
        orders = rng.permuted(np.broadcast_to(ordered, (n, segment.size)), axis=1)
        n_as_large += int((_gains(orders, n_breaks) >= least).sum())
        n_orders += n
        if n_as_large > alpha * (PERMUTATIONS + 1):
            return 1.0
        n = min(max(1, BLOCK_SIZE // segment.size), PERMUTATIONS + 1 - n_orders)
    return n_as_large / n_orders


def _gains(orders: Values, n_breaks: int) -> Values:
    """The squared error that the best breakpoints save in each row, of mean 0."""
    best = np.zeros(len(orders))
    for _, _, gains in _gains_by_place(orders, n_breaks):
        np.maximum(best, gains.max(axis=1), out=best)
    return best


def _gains_by_place(orders: Values, n_breaks: int) -> Iterator[tuple[list[int], NDArray[np.int64], Values]]:
    """The squared error that breakpoints save in each row: the sum of sum² / n over the pieces between them.

    Yields the breakpoints before the last, the places of the last, and the gains there (rows, places).
    """
    n = orders.shape[1]
    sums = np.concatenate([np.zeros((len(orders), 1)), np.cumsum(orders, axis=1)], axis=1)
    if n_breaks == 1:
        i = np.arange(MIN_SIZE, n - MIN_SIZE + 1)
        yield [], i, sums[:, i] ** 2 * (1 / i + 1 / (n - i))
        return
    for first in range(MIN_SIZE, n - 2 * MIN_SIZE + 1):
        j = np.arange(first + MIN_SIZE, n - MIN_SIZE + 1)
        left = sums[:, first, np.newaxis]
        yield [first], j, left**2 / first + (sums[:, j] - left) ** 2 / (j - first) + sums[:, j] ** 2 / (n - j)


def _winsorized(segment: Values) -> Values:
    """The segment winsorized at MAX_DEVIATIONS, less its mean."""
    middle = np.median(segment)
    deviation = 1.4826 * float(np.median(np.abs(segment - middle)))
    if deviation > 0:
        segment = np.clip(segment, middle - MAX_DEVIATIONS * deviation, middle + MAX_DEVIATIONS * deviation)
    if np.ptp(segment) == 0:
        return np.zeros_like(segment)  # a mean of equal values need not equal them
    centred: Values = segment - segment.mean()
    return centred


def _without_small(series: Values, breaks: Iterable[int], least: float) -> list[int]:
    """The breaks whose medians differ by `least` or more; the smallest is removed first, which joins its neighbours."""
    kept = list(breaks)
    while kept:
        shifts = [abs(after - before) for before, after in pairwise(_medians(series, kept))]
        smallest = min(range(len(kept)), key=lambda i: shifts[i])
        if shifts[smallest] >= least:
            break
        del kept[smallest]
    return kept


def _medians(series: Values, breaks: Iterable[int]) -> list[float]:
    return [float(np.median(piece)) for piece in np.split(series, list(breaks)) if piece.size]
