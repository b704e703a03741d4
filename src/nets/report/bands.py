"""The bands and their error rates as text, beside the article's published means."""

from __future__ import annotations

from statistics import fmean

from nets.cells.catalog import CELLS, PROTOCOLS, protocol_for
from nets.errors import Unusable
from nets.report.document import Part, sentences, table
from nets.verdicts.band_rates import ROUNDS, caught, rates
from nets.verdicts.bands import Bands

MIN_REFERENCE_RUNS = 5
"""The fewest reference runs for which a band's rates are shown."""


MAX_REFERENCE_RUNS = 200
"""The most: a rate is simulated with 400,000 times as many accuracies in memory, and all choices of three are tried."""

HEADINGS = (
    "cell",
    "protocol",
    "n",
    "mean",
    "std",
    "band of\n3 rounds",
    "article",
    "inside",
    "alarms\n.05",
    "alarms\n.001",
    "drop\ncaught",
)
_BELOW = {"protocol": "cell", "std": "mean", "inside": "article", "alarms\n.001": "alarms\n.05"}


def band_parts(bands: Bands, broken: Bands | None = None) -> list[Part]:
    """A row for each cell and protocol; then how many of the `broken` runs, with wrong training labels, are caught."""
    rows: list[tuple[str, ...]] = []
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
            rows.append(
                (
                    cell.id,
                    name,
                    str(found.n),
                    f"{found.mean:.4f}",
                    f"{found.std:.4f}",
                    f"{found.low:.4f}–{found.high:.4f}",
                    published,
                    inside,
                    f"{found.held_out:.4f}",
                    f"{found.simulated:.5f}",
                    f"{found.smallest_drop:.4f}",
                )
            )
    texts = []
    for runs in broken.runs if broken is not None else ():
        reference = bands.accuracies(runs.cell, protocol_for(runs.protocol, runs.cell.rpartition("-")[0]))
        if len(reference) >= MIN_REFERENCE_RUNS and len(runs.accuracies) >= ROUNDS:
            _demand_few(len(runs.accuracies), f"{runs.cell} under {runs.protocol}")
            drop = fmean(reference) - fmean(runs.accuracies)
            texts.append(
                f"{runs.cell} {runs.protocol}: {runs.source}: mean accuracy {drop:.4f} lower over "
                f"{len(runs.accuracies)} runs; of all choices of three {caught(runs.accuracies, reference):.1%} "
                "are caught"
            )
    return [table(HEADINGS, rows, right=HEADINGS[2:], below=_BELOW), *sentences(texts)]


def _demand_few(n: int, what: str) -> None:
    if n > MAX_REFERENCE_RUNS:
        raise Unusable(f"{what}: {n:,} runs; rates are computed of at most {MAX_REFERENCE_RUNS}")
