"""Shallow or deep."""

from __future__ import annotations

import pytest

from nets.depth import classical, depth


@pytest.mark.parametrize(
    ("hidden_layers", "verdict"), [(0, "shallow"), (1, "shallow"), (2, "shallow"), (3, "deep"), (150, "deep")]
)
def test_classical(hidden_layers: int, verdict: str) -> None:
    """Deep means more than two hidden layers."""
    assert classical(hidden_layers) == verdict
    found = depth(hidden_layers)
    assert found.classical == verdict
    assert found.cost_aware is None
    assert found.because.startswith(f"{hidden_layers} hidden layers, ")
