"""The article's pipeline against the resident one: blocks of steps in turns. Run it with `-m nets_side_by_side`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from nets.typing import Cell, Data, Options, Protocol, SideBySide, Turns

if TYPE_CHECKING:
    import torch


PAIRS = 12


@pytest.mark.nets_side_by_side
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
    from nets.measuring.comparisons import Turns, block, steps_of_a_block
    from nets.training.pipelines import PIPELINES
    from nets.training.run import CellRun

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
