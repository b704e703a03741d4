"""What the gate found: one finding for each cell and metric, and the exit code that they give; frozen records."""

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
CHANGED: tuple[Status, ...] = ("regressed", "improved")
DIVERGED = "diverged: "
"""What the reason of such an accuracy begins with."""
CONFIRMED = "confirmed by a second measurement, of other data"
"""What the reason of a finding begins with that both measurements of two runs made in turns agree on."""
INCONCLUSIVE: tuple[Status, ...] = ("incomparable", "not enough data", "not measured")


class Finding(Record):
    """One metric of one cell, base against head. The metric `cell` is the cell itself.

    `effect`: head over base, less 1 (0.1: a tenth more); of accuracy head less base, as a fraction of 1. `low` and
    `high` bound it with `confidence`, null where there are too few rounds or there is but one figure; the effect of an
    accuracy that was compared with its band has no interval. `limit`: the least effect that counts. `p`: one-sided
    for a paired figure, in the confirmation adjusted over looks and cells; Welch's two-sided for another accuracy.
    `because`: a sentence.
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

    @property
    def is_certain(self) -> bool:
        """Whether chance can't have made it: a loss that is not finite."""
        return self.metric == "accuracy" and self.because is not None and self.because.startswith(DIVERGED)

    @property
    def is_confirmed(self) -> bool:
        """Whether a second measurement has found it, too."""
        return self.because is not None and self.because.startswith(CONFIRMED)

    @property
    def effect_text(self) -> str | None:
        """The effect of a ratio in per cent, of accuracies in percentage points; None where there is none."""
        if self.effect is None:
            return None
        return f"{100 * self.effect:+.2f} points" if self.metric == "accuracy" else f"{100 * self.effect:+.1f} %"

    def with_note(self, note: str) -> Finding:
        """This finding with a note, which may be empty, appended to its reason."""
        return self.replace(because="; ".join(filter(None, (self.because, note))) or None)

    def with_ratio(self, log_ratio: Shift, limit: float, **changes: object) -> Finding:
        """This finding with a ratio's effect, interval and limit."""
        effect, low, high = map(_less_one, (log_ratio.point, log_ratio.low, log_ratio.high))
        interval = {"low": low, "high": high, "confidence": log_ratio.confidence}
        return self.replace(effect=effect, limit=limit, **interval, **changes)


class ComparedRun(Record):
    """One of the two files: what it ran under, which commit it was of, and when it was written.

    `devices`, `protocols`: those of its cells, each once. `commit`, `subject`: the commit's id and first line; `dirty`:
    there were changes that it does not have. Null where neither the file nor the repository says so.
    """

    source: str
    n_cells: int = Field(ge=0)
    torch: str | None
    cuda: str | None
    cudnn: str | None
    python: str | None
    devices: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    commit: str | None = None
    subject: str | None = None
    dirty: bool = False
    ran: str | None = None


class Gate(Record):
    """All findings, by cell and metric; `paired`: the runs were measured interleaved, round by round."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    kind: Literal["gate"] = "gate"
    exit_code: int
    base: ComparedRun
    head: ComparedRun
    paired: bool
    limits: Limits
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]

    def with_status(self, *statuses: Status) -> tuple[Finding, ...]:
        """The findings of these statuses, in order."""
        return tuple(finding for finding in self.findings if finding.status in statuses)


def exit_code(statuses: set[Status]) -> Exit:
    """The exit code for findings of these statuses."""
    if statuses & set(FAILING):
        return Exit.REGRESSED
    return Exit.CANT_TELL if statuses & set(INCONCLUSIVE) else Exit.FINE


def ratio_status(log_ratio: float, limit: float, worse: Worse = "more") -> Status:
    """Whether a ratio lies beyond a relative limit, and in which direction."""
    worsened = log_ratio if worse == "more" else -log_ratio
    if worsened > math.log1p(limit):
        return "regressed"
    return "improved" if worsened < -math.log1p(limit) else "ok"


def _less_one(log_ratio: float | None) -> float | None:
    """A ratio less 1; None where there is none, or where it is too large to be written."""
    return math.expm1(log_ratio) if log_ratio is not None and log_ratio < 700 else None
