"""The bands and their error rates as text, beside the article's published means."""

from __future__ import annotations

from statistics import fmean

from nets.cells.catalog import CELLS, PROTOCOLS, protocol_for
from nets.errors import Unusable
from nets.report.text import plain
from nets.verdicts.band_rates import ROUNDS, caught, rates
from nets.verdicts.bands import Bands

MIN_REFERENCE_RUNS = 5
"""The fewest reference runs for which a band's rates are shown."""


MAX_REFERENCE_RUNS = 200
"""The most: a rate is simulated with 400,000 times as many accuracies in memory, and all choices of three are tried."""


def band_lines(bands: Bands, broken: Bands | None = None) -> list[str]:
    """A row for each cell and protocol; then how many of the `broken` runs, with wrong training labels, are caught."""
    lines = [
        f"{'cell':<15} {'protocol':<8} {'n':>3} {'mean':>7} {'std':>7} {'band of 3 rounds':>17} "
        f"{'article':>8} {'inside':>6} {'alarms .05':>10} {'alarms .001':>11} {'drop caught':>11}"
    ]
    for name in PROTOCOLS:
        for cell in CELLS:
            reference = bands.accuracies(cell.id, protocol_for(name, cell.dataset))
            if len(reference) < MIN_REFERENCE_RUNS:
                continue
            _demand_few(len(reference), f"{cell.id} under {name}")
            found = rates(reference)
            published, inside = "", ""
            if name == "article" and cell.published is not None:
                mean = cell.published.accuracy
                published, inside = f"{mean:.4f}", "yes" if found.low <= mean <= found.high else "no"
            lines.append(
                f"{cell.id:<15} {name:<8} {found.n:>3} {found.mean:>7.4f} {found.std:>7.4f} "
                f"{f'{found.low:.4f}–{found.high:.4f}':>17} {published:>8} {inside:>6} {found.held_out:>10.4f} "
                f"{found.simulated:>11.5f} {found.smallest_drop:>11.4f}"
            )
    for runs in broken.runs if broken is not None else ():
        reference = bands.accuracies(runs.cell, protocol_for(runs.protocol, runs.cell.rpartition("-")[0]))
        if len(reference) >= MIN_REFERENCE_RUNS and len(runs.accuracies) >= ROUNDS:
            _demand_few(len(runs.accuracies), f"{runs.cell} under {runs.protocol}")
            drop = fmean(reference) - fmean(runs.accuracies)
            lines.append(
                f"{plain(runs.cell)} {plain(runs.protocol)}: {plain(runs.source)}: mean accuracy {drop:.4f} lower over "
                f"{len(runs.accuracies)} runs; of all choices of three {caught(runs.accuracies, reference):.1%} "
                "are caught"
            )
    return lines


def _demand_few(n: int, what: str) -> None:
    if n > MAX_REFERENCE_RUNS:
        raise Unusable(f"{what}: {n:,} runs; rates are computed of at most {MAX_REFERENCE_RUNS}")
