"""When to look at a cell's sittings, and whether they are enough to decide it; pure.

A sitting, one start of both sides, counts once, however many pairs of rounds it has (`nets.records.run.Pairing` says
why).

Looking after every sitting would find a difference where there is none far more often than `alpha` says. So the numbers
of sittings at which to look are fixed before the first, and each look gets an equal share of `alpha` (Bonferroni):
however a cell's stopping is decided, the chance that any cell is called changed by mistake is at most `alpha`. The
gate tests the files by the same share (`nets.gate.timing`); it need not know when and why a cell stopped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from nets.errors import NetsError, counted
from nets.gate.limits import Limits
from nets.stats.inference import Shift, paired_shift, pairs_needed, sign_flip

Verdict = Literal["slower", "faster", "the same", "open"]


class TooFewRounds(NetsError):
    """Too few rounds for any look to decide a cell."""


@dataclass(frozen=True, slots=True)
class Plan:
    """At how many sittings to look, in rising order, and how many cells share the error budget."""

    looks: tuple[int, ...]
    n_cells: int
    limits: Limits

    def for_cell(self, cell: str) -> Plan:
        """The same with the limits of a cell by its id."""
        return replace(self, limits=self.limits.for_cell(cell))

    def verdict(self, log_ratios: Sequence[float]) -> tuple[Verdict, Shift]:
        """The verdict on a cell at a look; `log_ratios`: head over base of each sitting so far, at least one.

        `the same`: the effect's 95 % interval lies within the limit. Stopping for that costs no false alarm, and
        misses a true effect beyond the limit with a chance of 2.5 % a look (3.1 % with five sittings) at most.
        """
        shift = paired_shift(log_ratios)
        p = min(sign_flip(log_ratios), sign_flip([-x for x in log_ratios])) * self.n_cells * len(self.looks)
        limit = math.log1p(self.limits.time)
        if p <= self.limits.alpha and abs(shift.point) > limit:
            return ("slower" if shift.point > 0 else "faster"), shift
        if shift.low is not None and shift.high is not None and -limit < shift.low and shift.high < limit:
            return "the same", shift
        return "open", shift


def plan(n_cells: int, max_sittings: int, n_looks: int, limits: Limits) -> Plan:
    """Looks in geometric steps from the fewest sittings that can decide every cell to `max_sittings`.

    Raises TooFewRounds if even all sittings could not decide a cell.
    """
    first = max(limits.min_pairs, pairs_needed(max(n_cells, 1) * n_looks, limits.alpha))
    if first > max_sittings:
        raise TooFewRounds(
            f"{max_sittings} starts of both sides can't decide {counted(n_cells, 'cell')} at "
            f"{counted(n_looks, 'look')}: it takes at least {first}; give more --max-rounds, or fewer cells or --looks"
        )
    step = (max_sittings / first) ** (1 / max(1, n_looks - 1))
    looks_at = sorted({*(round(first * step**i) for i in range(n_looks - 1)), max_sittings})
    return Plan(tuple(looks_at), n_cells, limits)
