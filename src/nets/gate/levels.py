"""How many sittings are looked at, and which level each look has; pure.

**The screen**, measured first, asks which cells are worth a second measurement. Each look has the whole level
`Limits.alpha`, for each cell: what it finds by mistake costs minutes. **The confirmation** measures those cells again,
in sittings that share no data with the screen, and what it finds blocks. Its level `Limits.confirm_alpha` is divided
among the looks, half of it for the first, half of what is left for each other, and by Holm's method among the cells. So
a revision is called slower than itself with a chance of at most `confirm_alpha` times the chance that the screen finds
a cell, whatever that is: docs/gate.md has the rates.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import takewhile
from typing import Literal

from nets.stats.inference import Shift

Stage = Literal["screen", "confirmation"]
LOOKS: dict[Stage, tuple[int, ...]] = {
    "screen": (6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256),
    "confirmation": (7, 10, 14, 20, 28, 40, 56, 80, 112, 160, 224),
}
"""At how many sittings of a cell its figures are looked at, fixed before the first; steps of about a third."""
ENOUGH: dict[Stage, int] = {"screen": 12, "confirmation": 14}
"""From so many sittings on an effect within the limit ends a cell, if its interval rules out what `rules_out` says."""
RULED_OUT = 3.0
"""As many times the limit as the interval of a cell that is called the same has to rule out."""


def rules_out(shift: Shift, limit: float) -> bool:
    """Whether an interval lies within three times a relative limit, either way; so no change beyond that was missed."""
    bound = math.log1p(RULED_OUT * limit)
    return shift.low is not None and shift.high is not None and -bound < shift.low and shift.high < bound


def looks(stage: Stage, most: int) -> tuple[int, ...]:
    """The looks at up to `most` sittings; the last one at all of them."""
    return (*takewhile(lambda n: n < most, LOOKS[stage]), most)


def share(stage: Stage, n_sittings: int) -> float:
    """The share of the level that a look at so many sittings has: 1 in the screen; 1/2, 1/4, ... in the other."""
    if stage == "screen":
        return 1.0
    return 0.5 ** max(1, bisect_right(LOOKS[stage], n_sittings))
