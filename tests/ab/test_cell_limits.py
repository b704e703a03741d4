"""`nets ab` looks at each cell by the limits of that cell."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nets.ab.interleave import StopRequest
from nets.ab.sittings import AbSettings, Reporter, SittingSeries
from nets.gate.limits import CellLimits, Limits


@pytest.mark.parametrize(("limit", "verdict"), [(0.2, "the same"), (0.01, "slower")])
def test_a_look(limit: float, verdict: str) -> None:
    """Sittings of one test and cell are found the same or changed by the cell's own limit, not by that of all."""
    limits = Limits(time=0.5 if verdict == "slower" else 0.01, cells={"mnist-*": CellLimits(time=limit)})
    series = SittingSeries(
        stage="screen",
        sides=cast(Any, ()),
        cells={},
        only=None,
        settings=AbSettings((), n_rounds=3, adapts=True, max_sittings=12, max_s=60, seed=0, limits=limits),
        stop=StopRequest(),
        reporter=Reporter(),
        folder=Path(),
        first=0,
        deadline=0.0,
        written=lambda: None,
    )
    series._plan_for(["a test"])
    for k in range(6):
        ratios = {"a test": 0.04 + 0.001 * k}
        sitting = SimpleNamespace(ratios=ratios, cell=lambda test: "mnist-lenet5", take_turns=lambda: None)
        series._current = cast(Any, sitting)
        series._take_turns(k)
        assert series.undecided == ([] if k == 5 else ["a test"])
    assert series._looked == {"a test": verdict}
