"""Throughput by batch size and by training-set size, under the machine's ceiling. Run it with `-m nets_growth`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from nets.typing import Cell, Data, Growth, Options, Pipeline, Protocol, SizeSweep

if TYPE_CHECKING:
    import torch


TURNS = 5


@pytest.mark.nets_growth
def test_growth(
    benchmark: BenchmarkFixture,
    cell: Cell,
    protocol: Protocol,
    pipeline: Pipeline,
    data: Data,
    device: torch.device,
    nets_options: Options,
    growth: Callable[[SizeSweep], Growth],
) -> None:
    """Time steps at batch sizes from 4 to 4096 and epochs of growing sets, in turns with a large matrix product."""
    from nets.measuring.comparisons import size_sweep

    with size_sweep(cell, protocol, pipeline, data, device) as turns:
        benchmark.pedantic(turns.round, rounds=nets_options.rounds or TURNS, iterations=1)
        growth(turns)
