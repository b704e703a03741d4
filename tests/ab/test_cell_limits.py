"""`nets ab` looks at each cell by the limits of that cell."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nets.ab.interleave import StopRequest
from nets.ab.looks import plan
from nets.ab.sittings import AbSettings, _Measurement
from nets.gate.limits import CellLimits, Limits


@pytest.mark.parametrize(("limit", "verdict"), [(0.2, "the same within the limit"), (0.01, "slower")])
def test_a_look(limit: float, verdict: str) -> None:
    """Sittings of one test and cell are found the same or changed by the cell's own limit, not by that of all."""
    said: list[str] = []
    limits = Limits(time=0.5 if verdict == "slower" else 0.01, cells={"mnist-*": CellLimits(time=limit)})
    log_ratios = [0.04 + 0.001 * i for i in range(6)]
    measurement = _Measurement(
        sides=cast(Any, ()),
        settings=AbSettings(cells=(), n_rounds=3, max_sittings=6, n_looks=1, seed=0, limits=limits),
        stop=StopRequest(),
        say=said.append,
        folder=Path(),
        cells={},
        plan=plan(1, 6, 1, limits),
        undecided=["a test"],
        log_ratios={"a test": log_ratios},
    )
    sitting = SimpleNamespace(ratios={"a test": log_ratios[-1]}, cell=lambda test: "mnist-lenet5")
    measurement._look(6, cast(Any, sitting))
    assert said[0].startswith("mnist-lenet5 after 6 sittings: +4.3 %")
    assert said[0].endswith(f", {verdict}")
    assert measurement.undecided == []
