"""What is followed from commit to commit: the gate's figures and limits, with units; pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

from nets.gate.limits import Limits
from nets.records.cell import Result, Round
from nets.records.metrics import METRICS as FIGURES
from nets.records.metrics import Metric as FigureMetric
from nets.records.metrics import Worse

Scale = Literal["ratio", "difference", "exact"]
"""How two values are held against each other: by their ratio, their difference, or by being the same."""
LIMITS = Limits()
LEAST, MOST = 1e-12, 1e18
"""No measurement gives a figure beyond these."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A record's values of a metric, one a round or one at all; `because` it has none that can be compared, or why not.

    `window`: over what a GPU's figure was taken, where that matters.
    """

    values: tuple[float, ...]
    because: str | None = None
    window: str | None = None


@dataclass(frozen=True, slots=True)
class TrackedMetric:
    """A metric; `least`: the change that counts, a fraction (`ratio`) or in its own unit (`difference`).

    `middle` makes one value of all that were read at a commit.
    """

    name: str
    unit: str
    worse: Worse | None
    scale: Scale
    least: float
    read: Callable[[Result], Reading]
    middle: Callable[[list[float]], float] = median

    @property
    def least_shift(self) -> float:
        """`least` on the scale that changes are sought on."""
        return math.log1p(self.least) if self.scale == "ratio" else self.least

    def on_scale(self, value: float) -> float:
        """A logarithm where ratios count."""
        return math.log(value) if self.scale == "ratio" else value

    def from_scale(self, value: float) -> float:
        """Back from it."""
        return math.exp(value) if self.scale == "ratio" else value

    def effect(self, shift: float) -> float:
        """A shift on that scale as a fraction of the value before, or as a difference."""
        return math.expm1(shift) if self.scale == "ratio" else shift

    def fit(self, reading: Reading) -> Reading:
        """The reading, without values where any is none that could have been measured."""
        low = LEAST if self.scale == "ratio" else 0
        if all(low <= value <= MOST for value in reading.values):
            return reading
        return Reading((), "no measurement gives such a value", reading.window)


def _of_rounds(value: Callable[[Round], float]) -> Callable[[Result], Reading]:
    return lambda result: Reading(tuple(value(round_) for round_ in result.rounds))


def _of_figure(metric: FigureMetric) -> Callable[[Result], Reading]:
    def read(result: Result) -> Reading:
        figure = metric.of(result)
        if figure.value is None:
            return Reading(())  # most records lack most figures, and say why themselves
        if figure.unfit is not None:
            return Reading((), figure.unfit, figure.window)
        return Reading((figure.value,), None, figure.window)

    return read


def _of_network(name: str) -> Callable[[Result], Reading]:
    return lambda result: Reading(() if result.network is None else (getattr(result.network, name),))


def _unit(name: str) -> str:
    return {"s": "s", "j": "J", "pct": "%", "bytes": "bytes"}[name.rpartition("_")[2]]


TRACKED = (
    *(
        TrackedMetric(name, "s", "more", "ratio", LIMITS.time, _of_rounds(value))
        for name, value in (
            ("total_s", lambda round_: round_.time_s),
            ("train_s", lambda round_: round_.train_s),
            ("eval_s", lambda round_: round_.eval_s),
        )
    ),
    TrackedMetric(
        "accuracy", "fraction", "less", "difference", LIMITS.accuracy, _of_rounds(lambda round_: round_.accuracy), fmean
    ),
    *(
        TrackedMetric(
            figure.name,
            _unit(figure.name),
            figure.worse,
            "ratio",
            LIMITS.relative(figure.family, paired=True),
            _of_figure(figure),
        )
        for figure in FIGURES
    ),
    *(TrackedMetric(name, "", None, "exact", 0, _of_network(name)) for name in ("parameters", "layers")),
)
