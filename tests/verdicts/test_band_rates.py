"""How often a band errs, on accuracies whose truth is known."""

from __future__ import annotations

import random

import pytest
from typer.testing import CliRunner

from nets.cells.catalog import CELLS
from nets.cli.app import app
from nets.stats.inference import prediction_interval
from nets.verdicts import bands
from nets.verdicts.band_rates import caught, held_out, rates, simulated
from tests.support.suite import REPOSITORY


def accuracies(n: int, seed: int = 1) -> list[float]:
    """Normal accuracies around 0.98."""
    rng = random.Random(seed)
    return [rng.gauss(0.98, 0.002) for _ in range(n)]


def test_false_alarms_are_what_alpha_says() -> None:
    """Normal accuracies leave the band at 0.001 in 0.001 of the simulations, and at 0.05 over many sets in 0.05."""
    for n in (8, 20):
        assert simulated(n) == pytest.approx(0.001, abs=0.0003)
        assert simulated(n, alpha=0.05) == pytest.approx(0.05, abs=0.003)
    over_sets = [held_out(accuracies(20, seed), seed=seed) for seed in range(30)]
    assert sum(over_sets) / 30 == pytest.approx(0.05, abs=0.015)


def test_the_smallest_drop_is_caught_in_95_percent() -> None:
    """Runs that are lower by just the smallest drop fall below the band in 95 % of 3-round means."""
    reference = accuracies(20)
    found = rates(reference)
    rng = random.Random(2)
    low, _ = prediction_interval(reference, 3)
    means = [sum(rng.gauss(found.mean - found.smallest_drop, found.std) for _ in range(3)) / 3 for _ in range(20_000)]
    assert sum(mean < low for mean in means) / 20_000 == pytest.approx(0.95, abs=0.01)


def test_caught() -> None:
    """Of four broken runs, of which one is unharmed, the choices without it are caught and those with it are not."""
    reference = [0.90, 0.91, 0.92, 0.905, 0.915]
    assert caught([0.5, 0.5, 0.5], reference) == 1
    assert caught(reference[:3], reference) == 0


def test_the_command() -> None:
    """`nets bands --rates` says of each cell and protocol what its band misses, and where the article's mean lies."""
    file = REPOSITORY / "benchmarks" / "bands.toml"
    result = CliRunner().invoke(app, ["bands", "--rates", "--file", str(file)])
    assert result.exit_code == 0, result.output
    cells = tuple(f" {cell.id} " for cell in CELLS)
    rows = [line.split() for line in result.stdout.splitlines() if line.startswith(cells)]
    assert len(rows) == 15
    known = bands.read_bands(file)
    for row in rows:
        assert int(row[2]) == sum(
            len(runs.seeds) for runs in known.runs if (runs.cell, runs.protocol) == (row[0], row[1])
        )
    assert [row[7] for row in rows if row[1] == "article"] == ["yes"] * 5
