"""Several things timed in turns, in one process, so that what disturbs the machine disturbs all of them alike.

Two sides: a pair is a turn of each, and every other pair begins with the other. Or one cell at several batch sizes and
set sizes, beside a large matrix product.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from time import perf_counter
from typing import Literal

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from nets.cells.catalog import Cell
from nets.datasets.data import Data, Split
from nets.machine.cpu import cores
from nets.machine.device import device_facts, preserved_rng, tf32_in_force, threaded
from nets.machine.settings import in_force
from nets.measuring.cell import Setting, cell_facts, execution
from nets.records.cell import Protocol
from nets.records.comparisons import Growth, SideBySide, ThroughputPoint, TimedSide, ratio_of
from nets.training.pipelines import Pipeline
from nets.training.run import CellRun


def steps_of_a_block(batch_size: int) -> int:
    """Training steps in a block: 2,000 images, and 100 steps at least: the first few find the caches cold."""
    return max(100, 2_000 // batch_size)


class Turn(ABC):
    """Does one turn of a cell's run after the other; the seconds of each are of a whole round or of one step."""

    per: Literal["round", "step"]
    is_peer = False

    def __init__(self, run: CellRun) -> None:
        self.run = run

    @abstractmethod
    def seconds(self) -> float:
        """Do the next turn, and say how long it took."""


class Turns:
    """The two sides by name, and the seconds of each one's turns so far."""

    def __init__(self, sides: Mapping[str, Turn]) -> None:
        if len(sides) != 2:
            raise ValueError(f"two sides are compared, not {len(sides)}")
        self.sides = dict(sides)
        self.seconds: dict[str, list[float]] = {name: [] for name in sides}
        self._order = list(sides)

    def pair(self) -> None:
        """One turn of each."""
        for name in self._order:
            self.seconds[name].append(self.sides[name].seconds())
        self._order.reverse()


class TimedRound(Turn):
    """The timed region of a round of a cell."""

    per = "round"

    def seconds(self) -> float:
        """Do the next round."""
        return self.run.round().time_s


class Block(Turn):
    """At least so many training steps, from where the last block ended."""

    per = "step"

    def __init__(self, run: CellRun, steps: Iterator[int], n_steps: int) -> None:
        super().__init__(run)
        self._steps = steps
        self._n_steps = n_steps
        self._done = 0

    def seconds(self) -> float:
        """Do the next block."""
        before = self._done
        with self.run.conditions():
            started = perf_counter()
            self._done = next(done for done in self._steps if done - before >= self._n_steps)
            self.run.synchronise()
            seconds = perf_counter() - started
            self.run.in_force = in_force()
        return seconds / (self._done - before)


@contextmanager
def block(run: CellRun, n_steps: int) -> Iterator[Block]:
    """Blocks of a scratch network's steps; the first is run here and not counted."""
    with run.scratch() as trainer:
        turn = Block(run, trainer.steps(), n_steps)
        turn.seconds()
        yield turn


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
            seconds = perf_counter() - started
            self.run.in_force = in_force()
        return seconds / n_steps


class SizeSweep:
    """Turns of every point, and of a large matrix product."""

    def __init__(self, blocks: Sequence[Turn], epochs: Sequence[Turn], device: torch.device) -> None:
        self.training_flop_per_image, convolves = _training_flop_per_image(blocks[0].run)
        self._n_blocks = len(blocks)
        self._points = [*blocks, *epochs]
        self._seconds: list[list[float]] = [[] for _ in self._points]
        self._device = device
        n = MATRIX[device.type]
        self._matrix = torch.rand(n, n, device=device)
        products, convolutions = tf32_in_force(device_facts(device), blocks[0].run.in_force.float32) or (False, False)
        self.matmul_tf32 = products or (convolves and convolutions)
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
                threads=turn.run.in_force.threads,
                step_s=tuple(seconds),
            )
            for turn, seconds in zip(self._points, self._seconds, strict=True)
        )
        return found[: self._n_blocks], found[self._n_blocks :]

    def _matmul(self) -> float:
        """FLOP/s of three products of square matrices, after one that is not counted.

        In TF32 where the network's products or convolutions may be; torch's default allows it for convolutions.
        """
        with threaded(self._device, len(cores())), _products_in_tf32(self.matmul_tf32):
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
def _products_in_tf32(wanted: bool) -> Iterator[None]:
    before = torch.backends.cuda.matmul.fp32_precision
    if wanted:
        torch.backends.cuda.matmul.fp32_precision = "tf32"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.fp32_precision = before


@contextmanager
def size_sweep(
    cell: Cell, protocol: Protocol, pipeline: Pipeline, data: Data, device: torch.device
) -> Iterator[SizeSweep]:
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
        yield SizeSweep(blocks, epochs, device)


def _training_flop_per_image(run: CellRun) -> tuple[int, bool]:
    """Floating-point operations of one image's forward and backward pass; whether any are a convolution's.

    A multiply-accumulate is two.
    """
    images, labels = next(iter(run.loaders.test))
    counter = FlopCounterMode(display=False)
    with run.conditions(), preserved_rng(run.device):
        model = run.pipeline.place(run.build(), run.device)
        with counter:
            F.cross_entropy(model(images[:2].to(run.device)), labels[:2].to(run.device)).backward()
    convolves = any("convolution" in str(operation) for operation in counter.get_flop_counts()["Global"])
    return counter.get_total_flops() // 2, convolves


def side_by_side_record(
    cell: Cell, data: Data, protocol: Protocol, setting: Setting, turns: Turns, *, of: str
) -> SideBySide:
    """The record of two sides' turns at a cell."""
    first, second = (
        TimedSide(
            name=name,
            execution=None if turn.is_peer else execution(turn.run, setting),
            per=turn.per,
            seconds=tuple(turns.seconds[name]),
        )
        for name, turn in turns.sides.items()
    )
    return SideBySide(
        of=of,
        cell=cell_facts(cell, data),
        protocol=protocol,
        device=setting.device,
        where=setting.where,
        sides=(first, second),
        ratio=ratio_of(first.seconds, second.seconds),
    )


def growth_record(cell: Cell, data: Data, protocol: Protocol, setting: Setting, sweep: SizeSweep) -> Growth:
    """The record of a cell's sweep."""
    by_batch_size, by_set_size = sweep.points()
    return Growth(
        cell=cell_facts(cell, data),
        protocol=protocol,
        pipeline=setting.pipeline,
        device=setting.device,
        where=setting.where,
        training_flop_per_image=sweep.training_flop_per_image,
        matmul_flop_per_s=tuple(sweep.matmul_flop_per_s),
        matmul_tf32=sweep.matmul_tf32,
        by_batch_size=by_batch_size,
        by_set_size=by_set_size,
    )
