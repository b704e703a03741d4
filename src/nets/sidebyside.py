"""Two ways of doing the same, timed in turns in one run: the record, and the ratio with its interval; pure.

What disturbs the machine disturbs both sides of a pair alike, so that ratios hold where seconds don't.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from statistics import median
from typing import Annotated, Literal

from pydantic import Field, model_validator

from nets.cells import Protocol
from nets.results import CellFacts, Device, Execution, Record, Where

CONFIDENCE = 0.95


class Side(Record):
    """One of the two: its name, how its steps are executed (null for a peer), each turn's seconds, `per` what."""

    name: str
    execution: Execution | None
    per: Literal["round", "step"]
    seconds: tuple[Annotated[float, Field(gt=0)], ...]


class Ratio(Record):
    """The first side's seconds over the second's, pair by pair: their median, and its interval.

    The interval is between order statistics, and so assumes nothing of the noise (Conover, Practical Nonparametric
    Statistics, section 3.2); null where there are too few pairs for the confidence.
    """

    median: float = Field(gt=0)
    low: float | None
    high: float | None
    confidence: float = Field(gt=0, lt=1)
    n: int = Field(ge=1)


class SideBySide(Record):
    """What `extra_info` holds of a benchmark that compares; `of` says what was compared."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    kind: Literal["side_by_side"] = "side_by_side"
    of: str
    cell: CellFacts
    protocol: Protocol
    device: Device
    where: Where
    sides: tuple[Side, Side]
    ratio: Ratio

    @model_validator(mode="after")
    def _ratio_of_the_sides(self) -> SideBySide:
        first, second = self.sides
        if self.ratio != ratio_of(first.seconds, second.seconds, self.ratio.confidence):
            raise ValueError("'ratio' is not that of the two sides' seconds")
        return self

    @property
    def id(self) -> str:
        """The cell's id, `dataset-model`."""
        return f"{self.cell.dataset}-{self.cell.model}"


def ratio_of(first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE) -> Ratio:
    """The ratio of two sides' seconds, turn by turn. Raises ValueError without a turn, or for unequal numbers."""
    ratios = sorted(a / b for a, b in zip(first, second, strict=True))
    if not ratios:
        raise ValueError("no turns to compare")
    n = len(ratios)
    # the widest k with P(the median lies outside the k-th smallest and largest) <= 1 - confidence
    k, outside = 0, 2 * 0.5**n
    while outside <= 1 - confidence:
        k += 1
        outside += 2 * comb(n, k) * 0.5**n
    return Ratio(
        median=median(ratios),
        low=ratios[k - 1] if k else None,
        high=ratios[n - k] if k else None,
        confidence=confidence,
        n=n,
    )
