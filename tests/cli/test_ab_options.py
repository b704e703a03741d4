"""How `nets ab` is called, as it understands it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nets.cli.ab_options import comparison
from nets.gate.limits import Limits


@pytest.mark.parametrize(("max_sittings", "asked", "most"), [(48, None, 12), (300, None, 3), (48, 2, 2)])
def test_rounds_of_a_sitting(tmp_path: Path, max_sittings: int, asked: int | None, most: int) -> None:
    """Twelve at most by default, fewer where so many sittings would be more rounds than a file holds, or as asked."""
    how = comparison(
        cells=None,
        nets=None,
        settings={},
        pytest_args=[],
        data_dir=Path("data"),
        tests="benchmarks",
        pythons=(None, None),
        max_sittings=max_sittings,
        max_minutes=30,
        restart_every=asked,
        seed=0,
        out=tmp_path / "out",
        limits=Limits(),
    )
    how.demand_possible()
    assert (how.settings.n_rounds, how.settings.adapts) == (most, asked is None)
