"""Results -> shallow or deep, and why; pure.

Classical definition (see e.g. the article "Deep neural networks: How to define?"): a network is deep if it has
more than two hidden layers, else shallow.
"""

from __future__ import annotations

from nets.cells import Verdict
from nets.results import Depth

DEEP_ABOVE = 2


def classical(hidden_layers: int) -> Verdict:
    """Shallow or deep by the number of hidden layers."""
    return "deep" if hidden_layers > DEEP_ABOVE else "shallow"


def depth(hidden_layers: int) -> Depth:
    """The classical verdict; the cost-aware one is not judged yet, and the record says so."""
    verdict = classical(hidden_layers)
    relation = "more than" if verdict == "deep" else "not more than"
    return Depth(
        classical=verdict,
        cost_aware=None,
        criteria=None,
        reference=None,
        because=f"{hidden_layers} hidden layers, {relation} {DEEP_ABOVE}; no reference was compared",
    )
