"""The article's pipeline against the resident one: blocks of training steps in turns. Run it with `-m side_by_side`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from nets.cells.catalog import Cell
from nets.datasets.data import Data
from nets.measuring.comparisons import Turns, block, steps_of_a_block
from nets.plugin.options import Options
from nets.records.cell import Protocol
from nets.records.comparisons import SideBySide
from nets.training.pipelines import PIPELINES
from nets.training.run import CellRun

PAIRS = 12


@pytest.mark.side_by_side
def test_side_by_side(
    benchmark: BenchmarkFixture,
    cell: Cell,
    protocol: Protocol,
    data: Data,
    device: torch.device,
    nets_options: Options,
    side_by_side: Callable[[Turns, str], SideBySide],
) -> None:
    """Time blocks of steps of each pipeline in turns; the ratio is the article's step over the resident one's."""
    n_steps = steps_of_a_block(protocol.batch_size)
    with ExitStack() as stack:
        sides = {}
        for name in ("article", "resident"):
            pipeline = PIPELINES[name]
            run = CellRun(cell, protocol, pipeline, data, pipeline.loaders(data, protocol, device), device)
            sides[name] = stack.enter_context(block(run, n_steps))
        turns = Turns(sides)
        benchmark.pedantic(turns.pair, rounds=nets_options.rounds or PAIRS, iterations=1)
        side_by_side(turns, "a step of the article's pipeline over one of the resident")
