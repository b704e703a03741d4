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

from nets.cells.catalog import CELLS, PROTOCOLS, protocol_for
from nets.errors import Unusable
from nets.stats.inference import ALPHA, prediction_half_width, prediction_interval
from nets.verdicts.bands import Bands

ROUNDS = 3
POWER = 0.95
HELD_OUT_ALPHA = 0.05
TRIALS = 4_000
SIMULATIONS = 400_000
MIN_REFERENCE_RUNS = 5
"""The fewest reference runs for which a band's rates are computed."""
MAX_REFERENCE_RUNS = 200
"""The most: a rate is simulated with 400,000 times as many accuracies in memory, and all choices of three are tried."""


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


@dataclass(frozen=True, slots=True)
class CellRates:
    """The rates of a cell's band under a protocol; `published`: the article's mean accuracy, under its own protocol."""

    cell: str
    protocol: str
    rates: Rates
    published: float | None


@dataclass(frozen=True, slots=True)
class BrokenRuns:
    """Trainings that were broken on purpose: of how many, how much lower the mean, how many choices of three caught."""

    cell: str
    protocol: str
    source: str
    n: int
    drop: float
    caught: float


@dataclass(frozen=True, slots=True)
class BandsRates:
    """A bands file's rates, and what its bands catch."""

    cells: tuple[CellRates, ...]
    broken: tuple[BrokenRuns, ...]


def rates_of_bands(bands: Bands, broken: Bands | None = None) -> BandsRates:
    """The rates of each band of enough runs; `broken`: runs with wrong training labels. Raises Unusable."""
    of_cells = []
    for name in PROTOCOLS:
        for cell in CELLS:
            if (reference := _reference(bands, cell.id, name)) is not None:
                published = cell.published.accuracy if name == "article" and cell.published is not None else None
                of_cells.append(CellRates(cell.id, name, rates(reference), published))
    of_broken = [
        BrokenRuns(
            runs.cell,
            runs.protocol,
            runs.source,
            len(runs.accuracies),
            fmean(reference) - fmean(runs.accuracies),
            caught(_few(runs.accuracies, runs.cell, runs.protocol), reference),
        )
        for runs in (() if broken is None else broken.runs)
        if len(runs.accuracies) >= ROUNDS and (reference := _reference(bands, runs.cell, runs.protocol)) is not None
    ]
    return BandsRates(tuple(of_cells), tuple(of_broken))


def _reference(bands: Bands, cell: str, protocol: str) -> Sequence[float] | None:
    """A cell's reference accuracies; None where they are too few for rates. Raises Unusable where they are too many."""
    found = bands.accuracies(cell, protocol_for(protocol, cell.rpartition("-")[0]))
    return _few(found, cell, protocol) if len(found) >= MIN_REFERENCE_RUNS else None


def _few(accuracies: Sequence[float], cell: str, protocol: str) -> Sequence[float]:
    if len(accuracies) > MAX_REFERENCE_RUNS:
        most = f"rates are computed of at most {MAX_REFERENCE_RUNS}"
        raise Unusable(f"{cell} under {protocol}: {len(accuracies):,} runs; {most}")
    return accuracies


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
