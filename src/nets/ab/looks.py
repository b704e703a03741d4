"""When to look at a cell's sittings, and whether they are enough to decide it; pure.

A sitting, one start of both sides, counts once, however many pairs of rounds it has (`nets.records.run.Pairing` says
why). `nets.gate.levels` says at how many sittings to look, in the screen and in the confirmation, and at which levels;
the gate tests the files by the same (`nets.gate.timing`), and need not know when and why a cell stopped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from nets.errors import NetsError, counted
from nets.gate.levels import ENOUGH, Stage, looks, rules_out, share
from nets.gate.limits import Limits
from nets.stats.inference import Shift, paired_shift, pairs_needed, sign_flip

Verdict = Literal["slower", "faster", "the same", "open"]


class TooFewSittings(NetsError):
    """Too few sittings for any look to decide a cell."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One stage of a comparison: at how many sittings to look, in rising order, and how many cells share its level."""

    stage: Stage
    looks: tuple[int, ...]
    n_cells: int
    limits: Limits

    def for_cell(self, cell: str) -> Plan:
        """The same with the limits of a cell by its id."""
        return replace(self, limits=self.limits.for_cell(cell))

    def verdict(self, log_ratios: Sequence[float]) -> tuple[Verdict, Shift]:
        """The verdict on a cell at a look; `log_ratios`: head over base of each sitting so far, at least one.

        `the same`: the effect's 95 % interval lies within the limit, or after enough sittings the effect itself does
        and the interval within three times the limit. Stopping for that costs no false alarm.
        """
        shift = paired_shift(log_ratios)
        limit = math.log1p(self.limits.time)
        if abs(shift.point) > limit:
            p = sign_flip([x if shift.point > 0 else -x for x in log_ratios])
            if p <= self.level(len(log_ratios)):
                return ("slower" if shift.point > 0 else "faster"), shift
        elif len(log_ratios) >= ENOUGH[self.stage] and rules_out(shift, self.limits.time):
            return "the same", shift
        if shift.low is not None and shift.high is not None and -limit < shift.low and shift.high < limit:
            return "the same", shift
        return "open", shift

    def level(self, n_sittings: int) -> float:
        """The level of a cell's test after so many sittings."""
        if self.stage == "screen":
            return self.limits.alpha
        return self.limits.confirm_alpha * share(self.stage, n_sittings) / max(1, self.n_cells)


def plan(stage: Stage, n_cells: int, max_sittings: int, limits: Limits) -> Plan:
    """The looks of a stage, from the first that can decide a cell. Raises TooFewSittings if none can."""
    made = Plan(stage, looks(stage, max_sittings), n_cells, limits)
    able = tuple(n for n in made.looks if n >= limits.min_pairs and 2.0**-n <= made.level(n))
    if not able:
        least = pairs_needed(1, made.level(max_sittings))
        raise TooFewSittings(
            f"{counted(max_sittings, 'sitting')} can't decide {counted(n_cells, 'cell')}: it takes at least "
            f"{max(limits.min_pairs, least)}; give more --max-sittings"
        )
    return Plan(stage, able, n_cells, limits)
