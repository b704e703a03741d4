"""The metrics that are followed from commit to commit: the gate's figures and limits, with units; pure.

`measured` takes from a record what a history needs of it: a thousand records would fill the memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from hashlib import blake2b
from statistics import fmean, median
from typing import Literal

from nets.gate.comparability import facts
from nets.gate.limits import Limits
from nets.gate.timing import TIMES
from nets.records.cell import Result, Round
from nets.records.metrics import METRICS, Metric, Worse
from nets.records.run import Run

Scale = Literal["ratio", "difference", "exact"]
"""How two values are compared: by their ratio, by their difference, or by being the same."""
SCALES: Mapping[Scale, tuple[Callable[[float], float], ...]] = {
    "ratio": (math.log, math.exp, math.log1p, math.expm1),
    "difference": (float, float, float, float),
}
"""Onto the scale on which changes are sought, and back: of a value, then of an effect."""
LIMITS = Limits()
Conditions = tuple[tuple[str, str], ...]
"""Facts with their values; what is measured under the same ones may be compared."""
MIN_RATIO_VALUE, MAX_VALUE = 1e-12, 1e18
"""No measurement gives a figure outside of these."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A record's values of a metric: one per round, a single one, or none; `because` says why values were left out.

    `window`: over what a GPU's figure was taken, where that matters. `disturbed`: which of the values are times of
    rounds during which other processes were busy; empty where that doesn't matter to the metric.
    """

    values: tuple[float, ...]
    because: str | None = None
    window: str | None = None
    disturbed: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class TrackedMetric:
    """A metric; `min_effect`: the least change that counts, a fraction (`ratio`) or in its own unit (`difference`).

    `average` makes one value of all that were read at a commit.
    """

    name: str
    unit: str
    worse: Worse | None
    scale: Scale
    min_effect: float
    read: Callable[[Result], Reading]
    average: Callable[[list[float]], float] = median

    def plausible(self, result: Result) -> Reading:
        """A record's values, or none where any of them can't have been measured."""
        reading = self.read(result)
        low = MIN_RATIO_VALUE if self.scale == "ratio" else 0
        if all(low <= value <= MAX_VALUE for value in reading.values):
            return reading
        return Reading((), "no measurement gives such a value", reading.window)


def _of_times(value: Callable[[Round], float]) -> Callable[[Result], Reading]:
    """An unknown disturbance counts as none."""
    return lambda result: Reading(
        tuple(map(value, result.rounds)), disturbed=tuple(round_.disturbed is True for round_ in result.rounds)
    )


def _of_rounds(value: Callable[[Round], float]) -> Callable[[Result], Reading]:
    return lambda result: Reading(tuple(map(value, result.rounds)))


def _of_figure(metric: Metric, result: Result) -> Reading:
    figure = metric.of(result)
    if figure.value is None:
        return Reading(())  # most records lack most figures, and say why themselves
    if figure.unfit is not None:
        return Reading((), figure.unfit, figure.window)
    return Reading((figure.value,), None, figure.window)


def _of_network(name: str, result: Result) -> Reading:
    value = getattr(result.network, name, None)  # of a network, and counted
    return Reading(() if value is None else (value,))


def _figure(metric: Metric) -> TrackedMetric:
    unit = {"s": "s", "j": "J", "pct": "%", "bytes": "bytes"}[metric.name.rpartition("_")[2]]
    min_effect = LIMITS.relative(metric.family, paired=True)
    return TrackedMetric(metric.name, unit, metric.worse, "ratio", min_effect, partial(_of_figure, metric))


TRACKED = (
    *(TrackedMetric(name, "s", "more", "ratio", LIMITS.time, _of_times(seconds)) for name, seconds in TIMES.items()),
    TrackedMetric(
        "accuracy", "fraction", "less", "difference", LIMITS.accuracy, _of_rounds(lambda round_: round_.accuracy), fmean
    ),
    *map(_figure, METRICS),
    *(TrackedMetric(name, "", None, "exact", 0, partial(_of_network, name)) for name in ("parameters", "layers")),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a history needs of a finished record.

    `under`: the facts that the gate demands to be the same. `digest`: of the whole record, so that one that is in two
    files is known. `readings`: with the metric's place in TRACKED; those without a value and a reason are left out.
    """

    cell: str
    under: Conditions
    digest: bytes
    readings: tuple[tuple[int, Reading], ...]


@cache
def _the_one(under: Conditions) -> Conditions:
    """The first tuple that was equal: of a thousand records most share theirs."""
    return under


def measured(run: Run, result: Result) -> Measured:
    """The record of a finished cell in short."""
    readings = [(i, metric.plausible(result)) for i, metric in enumerate(TRACKED)]
    return Measured(
        cell=result.id,
        under=_the_one(tuple((fact, value or "none") for fact, value in facts(run, result, result))),
        digest=blake2b(result.model_dump_json().encode(), digest_size=16).digest(),
        readings=tuple((i, reading) for i, reading in readings if reading.values or reading.because is not None),
    )
