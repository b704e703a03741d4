"""How far the middle of so many pairs of short rounds scatters on this machine, within one process.

    python -m studies.pair_noise

A round is the loop of made_repository's cell, about 0.1 s; both of a pair are the same, so that their ratio is noise.
docs/decisions.md says from it how many pairs a sitting of `nets ab` has.
"""

from __future__ import annotations

import math
from statistics import median, stdev
from time import perf_counter

from studies.ab_power import WORK

N_TIMES, N_PAIRS = 80, 12


def main() -> None:
    """Time all pairs, and print the standard deviation of the middle of the first of them, in per cent."""
    log_ratios = [[math.log(_round_s() / _round_s()) for _ in range(N_PAIRS)] for _ in range(N_TIMES)]
    for n in range(1, N_PAIRS + 1):
        print(f"{n} pairs: {100 * stdev(median(pairs[:n]) for pairs in log_ratios):.1f} %")


def _round_s() -> float:
    started = perf_counter()
    total = 0
    for i in range(WORK):
        total += i
    return perf_counter() - started


if __name__ == "__main__":
    main()
