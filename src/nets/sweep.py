"""Runs a cell at several batch sizes and set sizes, in turns, beside a large matrix product."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from time import perf_counter

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from nets.cells.catalog import Cell
from nets.datasets.data import Data, Split
from nets.machine.cpu import cores
from nets.machine.device import threaded
from nets.records.cell import Protocol
from nets.records.comparisons import ThroughputPoint
from nets.training.pipelines import Pipeline
from nets.training.run import CellRun
from nets.turns import Turn, block

BATCH_SIZES = (4, 16, 64, 256, 1024, 4096)
SET_SIZES = (1_000, 4_000, 16_000, 60_000)
MATRIX = {"cpu": 2_048, "cuda": 8_192}


class TimedEpoch(Turn):
    """A whole epoch of a scratch network, permutation and reading back in it; its seconds are a step's."""

    per = "step"

    def __init__(self, run: CellRun, stack: ExitStack) -> None:
        super().__init__(run)
        self._trainer = stack.enter_context(run.scratch())

    def seconds(self) -> float:
        """Do the next epoch."""
        n_steps = len(self.run.loaders.train)
        with self.run.conditions():
            started = perf_counter()
            self._trainer.train()
            self.run.synchronise()
            return (perf_counter() - started) / n_steps


class Sweep:
    """Turns of every point, and of a large matrix product."""

    def __init__(self, blocks: Sequence[Turn], epochs: Sequence[Turn], device: torch.device) -> None:
        self.training_flop_per_image = _training_flop_per_image(blocks[0].run)
        self._n_blocks = len(blocks)
        self._points = [*blocks, *epochs]
        self._seconds: list[list[float]] = [[] for _ in self._points]
        self._device = device
        n = MATRIX[device.type]
        self._matrix = torch.rand(n, n, device=device)
        self.matmul_flop_per_s: list[float] = []

    def round(self) -> None:
        """One turn of each."""
        for turn, seconds in zip(self._points, self._seconds, strict=True):
            seconds.append(turn.seconds())
        self.matmul_flop_per_s.append(self._matmul())

    def points(self) -> tuple[tuple[ThroughputPoint, ...], tuple[ThroughputPoint, ...]]:
        """What was found so far: by batch size, and by set size."""
        found = tuple(
            ThroughputPoint(
                batch_size=turn.run.protocol.batch_size,
                n_train=len(turn.run.data.train),
                mode=turn.run.execution_log.mode,
                threads=turn.run.pipeline.threads(turn.run.protocol.batch_size),
                step_s=tuple(seconds),
            )
            for turn, seconds in zip(self._points, self._seconds, strict=True)
        )
        return found[: self._n_blocks], found[self._n_blocks :]

    def _matmul(self) -> float:
        """FLOP/s of three products of square float32 matrices, after one that is not counted."""
        with threaded(self._device, len(cores())):
            for n_products in (1, 3):
                self._synchronise()
                started = perf_counter()
                for _ in range(n_products):
                    self._matrix @ self._matrix
                self._synchronise()
                seconds = perf_counter() - started
        return 3 * 2 * len(self._matrix) ** 3 / seconds

    def _synchronise(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


@contextmanager
def sweep(cell: Cell, protocol: Protocol, pipeline: Pipeline, data: Data, device: torch.device) -> Iterator[Sweep]:
    """The batch sizes at the whole set, then the set sizes at the protocol's; those that the set has images for."""

    def run(batch_size: int, n_train: int) -> CellRun:
        train = Split(data.train.images[:n_train], data.train.labels[:n_train])
        part, changed = replace(data, train=train), protocol.changed(batch_size=batch_size)
        return CellRun(cell, changed, pipeline, part, pipeline.loaders(part, changed, device), device)

    n = len(data.train)
    with ExitStack() as stack:
        blocks = [
            stack.enter_context(block(run(size, n), n_steps=max(4, 2_000 // size))) for size in BATCH_SIZES if size <= n
        ]
        sets = sorted({*(size for size in SET_SIZES if size < n), n})
        epochs = [TimedEpoch(run(protocol.batch_size, size), stack) for size in sets]
        yield Sweep(blocks, epochs, device)


def _training_flop_per_image(run: CellRun) -> int:
    """Floating-point operations of one image's forward and backward pass; a multiply-accumulate is two."""
    model = run.pipeline.place(run.build(), run.device)
    images, labels = next(iter(run.loaders.test))
    counter = FlopCounterMode(display=False)
    with counter:
        F.cross_entropy(model(images[:2].to(run.device)), labels[:2].to(run.device)).backward()
    return counter.get_total_flops() // 2
