"""What the gate found: a finding a cell and metric, and what they come to; frozen records."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from nets.errors import Exit
from nets.gate.limits import Limits
from nets.records.base import Record
from nets.records.metrics import Worse
from nets.stats.inference import Shift

Status = Literal[
    "regressed", "missing", "incomparable", "not enough data", "not measured", "improved", "new", "ok"
]  # the worst first  # fmt: skip
FAILING: tuple[Status, ...] = ("regressed", "missing")
THIN: tuple[Status, ...] = ("incomparable", "not enough data", "not measured")


class Finding(Record):
    """One metric of one cell, base against head. The metric `cell` is the cell itself.

    `effect`: head over base, less 1 (0.1: a tenth more); of accuracy head less base, as a fraction of 1. `low` and
    `high` hold it with `confidence`, null where there are too few rounds or there is but one figure; of an accuracy
    that was held against its band, the effect has no interval. `limit`: the least effect that counts. `p`: one-sided
    and adjusted by Holm for a paired time, Welch's two-sided for an accuracy. `because`: a sentence.
    """

    cell: str
    metric: str
    status: Status
    base: int | float | str | None = None
    head: int | float | str | None = None
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    limit: float | None = None
    p: float | None = None
    because: str | None = None

    def noted(self, note: str | None) -> Finding:
        """This finding with one thing more said of it."""
        if note is None:
            return self
        said = note if self.because is None else f"{self.because}; {note}"
        return self.model_copy(update={"because": said})


class Compared(Record):
    """One of the two files, and the versions that it ran under."""

    source: str
    n_cells: int = Field(ge=0)
    torch: str | None
    cuda: str | None
    cudnn: str | None
    python: str | None


class Gate(Record):
    """All findings, by cell and metric; `paired`: both sides were measured interleaved, round by round."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    kind: Literal["gate"] = "gate"
    exit_code: int
    base: Compared
    head: Compared
    paired: bool
    limits: Limits
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]

    def with_status(self, *statuses: Status) -> tuple[Finding, ...]:
        """The findings of these statuses, in order."""
        return tuple(finding for finding in self.findings if finding.status in statuses)


def exit_code(statuses: set[Status]) -> Exit:
    """What findings of these statuses come to."""
    if statuses & set(FAILING):
        return Exit.REGRESSED
    return Exit.CANT_TELL if statuses & set(THIN) else Exit.FINE


def beyond(log_ratio: float, limit: float, worse: Worse = "more") -> Status:
    """Which side of a relative limit a ratio lies on."""
    worsened = log_ratio if worse == "more" else -log_ratio
    if worsened > math.log1p(limit):
        return "regressed"
    return "improved" if worsened < -math.log1p(limit) else "ok"


def with_ratio(finding: Finding, log_ratio: Shift, limit: float) -> Finding:
    """The finding with a ratio's effect, interval and limit."""
    return finding.model_copy(
        update={
            "effect": _less_one(log_ratio.point),
            "low": None if log_ratio.low is None else _less_one(log_ratio.low),
            "high": None if log_ratio.high is None else _less_one(log_ratio.high),
            "confidence": log_ratio.confidence,
            "limit": limit,
        }
    )


def _less_one(log_ratio: float) -> float | None:
    """A ratio less 1; None where it is too large to be written."""
    return math.expm1(log_ratio) if log_ratio < 700 else None
