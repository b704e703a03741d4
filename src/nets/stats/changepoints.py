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
Places = NDArray[np.int64]
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
FIRST_PERMUTATIONS = 63
"""So many, then twice as many each time: most series without a change are known to have none after the first."""
SURE = 5
"""A change is confirmed early where none of SURE / level orders gains as much.

That confirms a segment without a change, against what all orders would say, with a chance of exp(-SURE) / SURE of
the level, 0.13 %.
"""
SEED = 20_140_101
MAX_DEVIATIONS = 3.0
"""Values are winsorized at so many standard deviations, as the median absolute deviation estimates them.

Less would lower short levels too; with more an outlier would hide more changes.
"""
PROVEN = 2
"""A change is confirmed without random orders where a bound on its p is so many times below the level."""
PLACES_AT_ONCE = 8
"""Places of a breakpoint that are bounded together."""
BLOCK_SIZE = 2**16
"""Values that are permuted at once: a core's cache holds them."""


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
    candidates = []
    for places, gains in _gains_by_place(segment[np.newaxis], n_breaks):
        best = gains[:, 0].argmax()
        candidates.append((float(gains[best, 0]), [-int(each[best]) for each in places]))
    return [-place for place in max(candidates)[1]]


def _p(segment: Values, n_breaks: int, alpha: float) -> float:
    """The share of random orders whose best breakpoints gain as much, counting the given order; 1 if above `alpha`.

    Random orders of the sorted values, so that a series and its reverse have the same p. Source: Davison & Hinkley,
    Bootstrap Methods and their Application, 1997, section 4.2. Orders are drawn until the verdict is certain, or as
    good as certain (SURE).
    """
    total = float(segment @ segment)
    if total == 0:
        return 1.0
    # equal gains that were summed in another order count as equal
    least = float(_gains(segment[np.newaxis], n_breaks)[0]) - 1e-9 * total
    if n_breaks == 1 and (bound := _p_bound(segment, least)) <= alpha / PROVEN:
        return max(bound, 1 / (PERMUTATIONS + 1))
    rng, ordered = np.random.default_rng(SEED), np.sort(segment)
    n_as_large, n_orders, n_sure = 1, 1, min(math.ceil(SURE / alpha), PERMUTATIONS + 1)
    while n_orders <= PERMUTATIONS:
        until = n_sure if n_orders < n_sure else PERMUTATIONS + 1
        n = min(max(n_orders, FIRST_PERMUTATIONS), until - n_orders)
        n_as_large += _n_as_large(rng, ordered, n, n_breaks, least)
        n_orders += n
        if n_as_large > alpha * (PERMUTATIONS + 1):
            return 1.0
        if n_as_large == 1 and n_orders == n_sure:
            break
    return n_as_large / n_orders


def _p_bound(segment: Values, gain: float) -> float:
    """What the share of orders whose best breakpoint gains so much can't exceed; of a segment of mean 0.

    For each place the lesser of two bounds on the sum of values drawn without replacement, from the shorter side:
    Hoeffding's (Journal of the American Statistical Association 58, 1963, theorem 2) and Bernstein's (Boucheron, Lugosi
    & Massart, Concentration Inequalities, 2013, corollary 2.11), both by Hoeffding's theorem 4; summed over the places.
    """
    n = segment.size
    places = np.arange(MIN_SIZE, n - MIN_SIZE + 1)
    drawn = np.minimum(places, n - places)
    squared_sum = max(gain, 0.0) * drawn * (n - drawn) / n
    hoeffding = 2 * squared_sum / (drawn * np.ptp(segment) ** 2)
    bernstein = squared_sum / 2 / (drawn * segment.var() + np.abs(segment).max() * np.sqrt(squared_sum) / 3)
    return float(2 * np.exp(-np.maximum(hoeffding, bernstein)).sum())


def _n_as_large(rng: np.random.Generator, ordered: Values, n: int, n_breaks: int, least: float) -> int:
    """In how many of `n` random orders the best breakpoints gain `least` or more."""
    n_at_once = max(1, BLOCK_SIZE // ordered.size)
    found = 0
    for start in range(0, n, n_at_once):
        orders = rng.permuted(np.broadcast_to(ordered, (min(n_at_once, n - start), ordered.size)), axis=1)
        if n_breaks == 2:
            orders = orders[_pairs_bound(orders) >= least]
        found += int((_gains(orders, n_breaks) >= least).sum())
    return found


def _gains(orders: Values, n_breaks: int, most_apart: int | None = None) -> Values:
    """The squared error that the best breakpoints save in each row, of mean 0; of two, `most_apart` at most."""
    best = np.zeros(len(orders))
    for _, gains in _gains_by_place(orders, n_breaks, most_apart):
        np.maximum(best, gains.max(axis=0), out=best)
    return best


def _gains_by_place(
    orders: Values, n_breaks: int, most_apart: int | None = None
) -> Iterator[tuple[tuple[Places, ...], Values]]:
    """The squared error that breakpoints save in each row: the sum of sum² / n over the pieces between them.

    Yields places of each breakpoint, and the gains (places, rows) there; of two breakpoints all that are so far apart.
    """
    n = orders.shape[1]
    places = np.arange(MIN_SIZE, n - MIN_SIZE + 1)
    if n_breaks == 1:
        gains = np.cumsum(orders, axis=1)[:, MIN_SIZE - 1 : n - MIN_SIZE]
        gains *= gains
        gains *= 1 / places + 1 / (n - places)
        yield (places,), gains.T
        return
    sums, left, right = _sums(orders)
    for apart in range(MIN_SIZE, min(most_apart or n, n - 2 * MIN_SIZE) + 1):
        first, second = slice(MIN_SIZE - 1, n - MIN_SIZE - apart), slice(MIN_SIZE - 1 + apart, n - MIN_SIZE)
        gains = sums[second] - sums[first]
        gains *= gains
        gains *= 1 / apart
        gains += left[first]
        gains += right[second]
        yield (places[: len(gains)], places[apart:]), gains


def _sums(orders: Values) -> tuple[Values, Values, Values]:
    """Of each row of mean 0 the sum of the first 1, 2, ..., n - 1 values (places, rows), and what both sides give.

    That is sum² / n of those to the left of each place, and of those to its right.
    """
    sums = np.ascontiguousarray(np.cumsum(orders, axis=1)[:, :-1].T)
    size = np.arange(1, orders.shape[1])[:, np.newaxis]
    squares = sums**2
    return sums, squares / size, squares / size[::-1]


def _pairs_bound(orders: Values) -> Values:
    """What the gain of two breakpoints can't exceed in each row, in a fraction of the time that the gain itself takes.

    Places are bounded block by block, by the extremes in each block and the least distance; near pairs are not.
    """
    sums, left, right = _sums(orders)
    starts = np.arange(0, len(sums), PLACES_AT_ONCE)
    highest, lowest = np.maximum.reduceat(sums, starts), np.minimum.reduceat(sums, starts)
    left, right = np.maximum.reduceat(left, starts), np.maximum.reduceat(right, starts)
    bound = _gains(orders, 2, most_apart=2 * PLACES_AT_ONCE - 1)
    for n_blocks in range(2, len(starts)):
        first, second = slice(None, -n_blocks), slice(n_blocks, None)
        rise = np.maximum(highest[second] - lowest[first], highest[first] - lowest[second])
        rise *= rise
        rise *= 1 / ((n_blocks - 1) * PLACES_AT_ONCE + 1)
        rise += left[first]
        rise += right[second]
        np.maximum(bound, rise.max(axis=0), out=bound)
    return bound


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
