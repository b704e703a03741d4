"""The bands and their error rates as text, beside the article's published means."""

from __future__ import annotations

from nets.report.document import Part, sentences, table
from nets.verdicts.band_rates import BandsRates

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


def band_parts(found: BandsRates) -> list[Part]:
    """A row for each cell and protocol; then how many of the broken runs, with wrong training labels, are caught."""
    rows = [
        (
            each.cell,
            each.protocol,
            str(each.rates.n),
            f"{each.rates.mean:.4f}",
            f"{each.rates.std:.4f}",
            f"{each.rates.low:.4f}–{each.rates.high:.4f}",
            "" if each.published is None else f"{each.published:.4f}",
            "" if each.published is None else "yes" if each.rates.low <= each.published <= each.rates.high else "no",
            f"{each.rates.held_out:.4f}",
            f"{each.rates.simulated:.5f}",
            f"{each.rates.smallest_drop:.4f}",
        )
        for each in found.cells
    ]
    texts = [
        f"{each.cell} {each.protocol}: {each.source}: mean accuracy {each.drop:.4f} lower over {each.n} runs; "
        f"of all choices of three {each.caught:.1%} are caught"
        for each in found.broken
    ]
    return [table(HEADINGS, rows, right=HEADINGS[2:], below=_BELOW), *sentences(texts)]
