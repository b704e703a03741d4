"""When to look at a cell's sittings, and whether they are enough; pure.

A process keeps what its start dealt it: where its memory lies makes it some per cent faster or slower than the next
process of the same code, for as long as it lives. So rounds of one pair of processes are no independent evidence, and
a sitting, one start of both sides, counts once, however many pairs it has.

Looking after every sitting would find a difference where there is none far more often than `alpha` says. So the numbers
of sittings at which to look are fixed before the first, and each look gets an equal share of `alpha` (Bonferroni):
whatever decides at which of them a cell stops, no cell is called changed by mistake with a chance above `alpha`. The
gate tests the files by the same share (`nets.gate.timing`); it needs no knowledge of when and why a cell stopped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nets.errors import NetsError
from nets.gate.limits import Limits
from nets.stats.inference import Shift, paired_shift, pairs_needed, sign_flip

Verdict = Literal["slower", "faster", "the same", "open"]


class TooFewRounds(NetsError):
    """So few rounds that no look could decide anything."""


@dataclass(frozen=True, slots=True)
class Plan:
    """At how many sittings to look, in rising order, and how many cells share the error budget."""

    looks: tuple[int, ...]
    n_cells: int
    limits: Limits

    def verdict(self, log_ratios: Sequence[float]) -> tuple[Verdict, Shift]:
        """What a cell's sittings say at a look: `log_ratios` are those of head over base, at least one.

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
    """Looks from the fewest sittings that can decide every cell to `max_sittings`, each so many times the last.

    Raises TooFewRounds.
    """
    first = max(limits.min_pairs, pairs_needed(max(n_cells, 1) * n_looks, limits.alpha))
    if first > max_sittings:
        cells = "one cell" if n_cells == 1 else f"{n_cells} cells"
        looks = "one look" if n_looks == 1 else f"{n_looks} looks"
        raise TooFewRounds(
            f"{max_sittings} starts of both sides can't decide {cells} at {looks}: it takes at least {first}; "
            f"give more --max-rounds, or fewer cells or --looks"
        )
    step = (max_sittings / first) ** (1 / max(1, n_looks - 1))
    looks_at = sorted({*(round(first * step**i) for i in range(n_looks - 1)), max_sittings})
    return Plan(tuple(looks_at), n_cells, limits)
