"""The benchmark: each case trains and evaluates one cell, and holds the result against what is expected of it."""

from __future__ import annotations

from collections.abc import Callable

from pytest_benchmark.fixture import BenchmarkFixture

from nets.typing import CellRun, Result


def test_train_eval(benchmark: BenchmarkFixture, cell_run: CellRun, judge: Callable[[CellRun], Result]) -> None:
    """Train a fresh seeded network and evaluate it on the whole test set, `--rounds` times; time both together."""
    benchmark.pedantic(
        cell_run.timed,
        setup=cell_run.setup,
        teardown=cell_run.teardown,
        rounds=cell_run.protocol.rounds,
        iterations=1,
    )
    judge(cell_run)
