"""Single steps of a stage of `nets ab`: a look, by the limits of each cell, and the end of a sitting."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nets.ab.child import SideFailed
from nets.ab.interleave import StopRequest
from nets.ab.reporter import Reporter
from nets.ab.sittings import AbSettings, SittingSeries
from nets.gate.limits import CellLimits, Limits


def series_with(limits: Limits) -> SittingSeries:
    """A screen without sides, which is asked step by step."""
    return SittingSeries(
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


@pytest.mark.parametrize(("limit", "verdict"), [(0.2, "the same"), (0.01, "slower")])
def test_a_look(limit: float, verdict: str) -> None:
    """Sittings of one test and cell are found the same or changed by the cell's own limit, not by that of all."""
    limits = Limits(time=0.5 if verdict == "slower" else 0.01, cells={"mnist-*": CellLimits(time=limit)})
    series = series_with(limits)
    series._plan_for(["a test"])
    for k in range(6):
        ratios = {"a test": 0.04 + 0.001 * k}
        sitting = SimpleNamespace(ratios=ratios, cell=lambda test: "mnist-lenet5", take_turns=lambda: None)
        series._current = cast(Any, sitting)
        series._take_turns(k)
        assert series.undecided == ([] if k == 5 else ["a test"])
    assert series._looked == {"a test": verdict}


@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_sitting_without_a_file(is_stopped: bool) -> None:
    """A side that leaves none ends the comparison; after Ctrl-C before its first round those before are judged."""

    def end() -> None:
        raise SideFailed("base", "its pytest left no JSON file")

    killed: list[int] = []
    sides = [SimpleNamespace(spec=SimpleNamespace(json=Path("nosuch")), kill=lambda: killed.append(1))] * 2
    series = series_with(Limits())
    series._ending = cast(Any, SimpleNamespace(end=end, sides=sides, base=sides[0], head=sides[1], ratios={}))
    series.stop.is_made = is_stopped
    with nullcontext() if is_stopped else pytest.raises(SideFailed):
        series._finish()
    assert len(killed) == (2 if is_stopped else 0)
    assert series.files == []
