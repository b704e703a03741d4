"""How often a band errs: false alarms, and the smallest drop in accuracy that it catches; pure.

A band's false-alarm rate can't be tested on the accuracies that it was made from. So at alpha = 0.05 three are
held out at a time; at 0.001 the reference runs are too few, and normal accuracies are simulated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from statistics import NormalDist, fmean, stdev

import numpy as np
from numpy.typing import NDArray

from nets.stats.inference import ALPHA, prediction_half_width, prediction_interval

ROUNDS = 3
POWER = 0.95
HELD_OUT_ALPHA = 0.05
TRIALS = 4_000
SIMULATIONS = 400_000


@dataclass(frozen=True, slots=True)
class Rates:
    """One band and its error rates, for the mean of three rounds; fractions of 1.

    `held_out`: false alarms at alpha = 0.05, three runs held out at a time. `simulated`: at 0.001, of the same number
    of normally distributed accuracies. `smallest_drop`: of the mean accuracy, caught in 95 % of such runs.
    """

    n: int
    mean: float
    std: float
    low: float
    high: float
    held_out: float
    simulated: float
    smallest_drop: float


def rates(reference: Sequence[float], *, seed: int = 0) -> Rates:
    """The rates of a band of at least five reference accuracies."""
    low, high = prediction_interval(reference, ROUNDS)
    std = stdev(reference)
    return Rates(
        n=len(reference),
        mean=fmean(reference),
        std=std,
        low=low,
        high=high,
        held_out=held_out(reference, seed=seed),
        simulated=simulated(len(reference), seed=seed),
        smallest_drop=fmean(reference) - low + NormalDist().inv_cdf(POWER) * std / math.sqrt(ROUNDS),
    )


def held_out(reference: Sequence[float], *, alpha: float = HELD_OUT_ALPHA, seed: int = 0) -> float:
    """Share of choices of three runs whose mean leaves the interval of the others."""
    rng = np.random.default_rng(seed)
    mixed = np.stack([rng.permutation(np.asarray(reference)) for _ in range(TRIALS)])
    return _outside(mixed[:, ROUNDS:], mixed[:, :ROUNDS], alpha)


@lru_cache
def simulated(n: int, *, alpha: float = ALPHA, seed: int = 0) -> float:
    """Share of simulated runs of three rounds that leave the band of n accuracies of the same normal distribution."""
    rng = np.random.default_rng(seed)
    return _outside(rng.normal(size=(SIMULATIONS, n)), rng.normal(size=(SIMULATIONS, ROUNDS)), alpha)


def _outside(reference: NDArray[np.float64], new: NDArray[np.float64], alpha: float) -> float:
    """Share of rows in which the new accuracies' mean leaves the reference's interval of `prediction_interval`."""
    n = reference.shape[1]
    half = prediction_half_width(n, ROUNDS, alpha) * reference.std(axis=1, ddof=1)
    return float((np.abs(new.mean(axis=1) - reference.mean(axis=1)) > half).mean())


def caught(broken: Sequence[float], reference: Sequence[float]) -> float:
    """Share of all choices of three broken runs whose mean leaves the band of the reference runs."""
    low, high = prediction_interval(reference, ROUNDS)
    means = [fmean(three) for three in combinations(broken, ROUNDS)]
    return sum(not low <= mean <= high for mean in means) / len(means)
