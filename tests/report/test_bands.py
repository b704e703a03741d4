"""The bands' error rates as text."""

from __future__ import annotations

import pytest

from nets.errors import Unusable
from nets.report.bands import band_parts
from nets.report.terminal import terminal_lines
from nets.verdicts.band_rates import rates_of_bands
from nets.verdicts.bands import Bands, ReferenceRuns
from tests.support.hostile import EVIL, demand_inert


def bands(n: int, source: str = "x") -> Bands:
    """So many reference runs of one cell."""
    runs = ReferenceRuns(
        cell="digits-snn500", protocol="quick", epochs=10, batch_size=100, lr=0.001, source=source, pipeline="resident",
        torch="2.15", device="cpu", seeds=tuple(range(n)), accuracies=tuple(0.9 + i % 7 / 100 for i in range(n)),
    )  # fmt: skip
    return Bands(schema=1, runs=(runs,))


def test_too_many_runs() -> None:
    """More runs than memory has room for, or than can be combined, are refused by their cell."""
    with pytest.raises(Unusable, match="digits-snn500 under quick: 201 runs; rates are computed of at most 200"):
        rates_of_bands(bands(5), bands(201))
    with pytest.raises(Unusable, match="digits-snn500 under quick: 201 runs"):
        rates_of_bands(bands(201))


def test_a_source_is_inert() -> None:
    """What a file says of its origin is text."""
    lines = terminal_lines(band_parts(rates_of_bands(bands(5), bands(5, EVIL))), width=None, color=False)
    assert "alert(1)" in lines[-1]
    demand_inert("\n".join(lines))
