"""Throughput by batch size and by training-set size, under the machine's ceiling. Run it with `-m growth`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from nets.cells.catalog import Cell
from nets.datasets.data import Data
from nets.measuring.comparisons import Sweep, sweep
from nets.plugin.options import Options
from nets.records.cell import Protocol
from nets.records.comparisons import Growth
from nets.training.pipelines import Pipeline

TURNS = 5


@pytest.mark.growth
def test_growth(
    benchmark: BenchmarkFixture,
    cell: Cell,
    protocol: Protocol,
    pipeline: Pipeline,
    data: Data,
    device: torch.device,
    nets_options: Options,
    growth: Callable[[Sweep], Growth],
) -> None:
    """Time steps at batch sizes from 4 to 4096 and epochs of growing sets, in turns with a large matrix product."""
    with sweep(cell, protocol, pipeline, data, device) as turns:
        benchmark.pedantic(turns.round, rounds=nets_options.rounds or TURNS, iterations=1)
        growth(turns)
