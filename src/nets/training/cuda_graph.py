"""Training steps replayed from CUDA graphs: no host work between them.

A graph of many steps holds everything that they do: gathering their batches by the epoch's permutation, forward, loss,
backward, Adam, the tally, and moving on. The host draws a permutation an epoch and reads the tally at its end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from nets.errors import NetsError
from nets.machine.device import preserved_rng
from nets.training.eager import ResidentTrainer
from nets.training.graph_recorder import CudaGraphs, StepRecorder, Work
from nets.training.trainer import Pass, ResidentBatches, StepsDone, Trainer

WARM_UP_STEPS = 3
WORK_S = 5e-3
"""Work that a graph is to hold: long against the host's launch of a replay, short to capture, and few nodes."""
MAX_STEPS = 500
GATHERED_BYTES = 64 * 2**20
"""Images of several steps are gathered at once, up to so much memory."""
TOLERANCE = 1e-3
"""Of the mean loss, replayed against run eagerly: the least that is allowed, where eager runs are all alike."""
SPREAD = 5
"""And so many times what two eager runs differ by: kernels that add in any order, TF32."""
MAX_SPREAD = 0.1
"""Eager runs that differ by more than this share of the loss don't do the same, and prove nothing about a replay."""


class Unfaithful(NetsError):
    """Replayed steps are not what the network does."""


@dataclass(frozen=True, slots=True)
class RecordedSteps:
    """Training steps that are replayed together, each of `batch_size` images."""

    replay: Work
    n_steps: int
    batch_size: int

    @property
    def done(self) -> StepsDone:
        """What a replay does."""
        return StepsDone(self.n_steps, self.n_steps * self.batch_size)


class GraphTrainer(Trainer):
    """Trains by replaying what it recorded of an eager trainer; evaluates as that one does.

    A graph holds as many steps as take about 5 ms; the steps that are left of an epoch are replayed one by one.
    Recording leaves weights, buffers, optimiser and random numbers as they were. Raises RuntimeError for a network that
    can't be recorded, because it waits for the host, say, and Unfaithful for one whose replayed steps are not its own.
    """

    mode = "graph"

    def __init__(self, eager: ResidentTrainer, batches: ResidentBatches, recorder: StepRecorder) -> None:
        super().__init__(eager.model)
        self._eager = eager
        self.optimizer = eager.optimizer
        self._batches = batches
        n, size = len(batches.split), batches.batch_size
        self._order = torch.zeros(n, dtype=torch.int64, device=eager.device)
        self._at = torch.zeros((), dtype=torch.int64, device=eager.device)
        self._places = torch.arange(n, device=eager.device)
        n_full, n_last = divmod(n, size)
        eager.model.train()
        self._units: list[RecordedSteps] = []
        if n_full:
            single = self._recorded(recorder, size, 1)
            many = min(MAX_STEPS, n_full, max(1, round(WORK_S / self._seconds(recorder, single))))
            if many > 1:
                self._units += [self._recorded(recorder, size, many)] * (n_full // many)
            self._units += [single] * (n_full % many if many > 1 else n_full)
        if n_last:
            self._units.append(self._recorded(recorder, n_last, 1))
        self.recorded_peak_bytes = recorder.peak_bytes
        self._demand_faithful()

    def _epoch(self) -> Iterator[StepsDone]:
        self._eager.model.train()
        self._eager.tally.clear()
        self._order.copy_(self._batches.order())
        self._at.zero_()
        for unit in self._units:
            unit.replay()
            yield unit.done

    def _means(self, n_images: int) -> Pass:
        return self._eager.tally.read(n_images)

    def evaluate(self) -> Pass:
        return self._eager.evaluate()

    def train_steps(self, n_steps: int, n_images: int) -> None:
        """The next steps of the permutation, `n_images` each: gathered, counted and tallied once for all of them."""
        split, tally = self._batches.split, self._eager.tally
        bytes_a_step = n_images * split.images[0].numel() * split.images.element_size()
        at_once = max(1, GATHERED_BYTES // max(1, bytes_a_step))
        with self._eager.optimizer.counted_together(n_steps):
            for first in range(0, n_steps, at_once):
                n = min(at_once, n_steps - first) * n_images
                chosen = self._order[self._at + self._places[:n]]
                labels = split.labels[chosen]
                for batch, of_batch in zip(split.images[chosen].split(n_images), labels.split(n_images), strict=True):
                    tally.add_later(*self._eager.step(batch, of_batch), of_batch)
                self._at += n
        tally.count()

    def _recorded(self, recorder: StepRecorder, n_images: int, n_steps: int) -> RecordedSteps:
        def warm_up() -> None:
            for _ in range(WARM_UP_STEPS):
                self._at.zero_()
                self.train_steps(1, n_images)

        with self._restored():
            recorder.warm_up(warm_up)
        # what is recorded is not run, and so needs no copies, which would count into the peak of memory
        try:
            with preserved_rng(self._eager.device):
                replay = recorder.record(lambda: self.train_steps(n_steps, n_images))
        finally:
            self._eager.optimizer.zero_grad()
        return RecordedSteps(replay, n_steps, n_images)

    def _seconds(self, recorder: StepRecorder, unit: RecordedSteps) -> float:
        def from_the_start() -> None:
            self._at.zero_()  # an epoch may be of this one batch
            unit.replay()

        with self._restored():
            return max(recorder.seconds(from_the_start), 1e-9)

    def _demand_faithful(self) -> None:
        """Hold the first and the last unit, replayed, against the same steps run eagerly, twice. Raises Unfaithful.

        Two eager runs need not give the same loss: how far they differ is the measure of what a replay may differ by.
        """
        for unit in {id(unit): unit for unit in (self._units[0], self._units[-1])}.values():

            def eagerly(unit: RecordedSteps = unit) -> None:
                self.train_steps(unit.n_steps, unit.batch_size)

            losses = []
            for run in (eagerly, eagerly, unit.replay):
                with self._restored():
                    self._order.copy_(self._batches.order())
                    self._eager.tally.clear()
                    run()
                    losses.append(self._means(unit.done.n_images).loss)
            first, second, replayed = losses
            if not is_faithful(first, second, replayed):
                raise Unfaithful(
                    f"replayed steps gave a loss of {replayed:.6g}, the same steps run eagerly {first:.6g} and "
                    f"{second:.6g}: the network does not do the same in every step"
                )

    @contextmanager
    def _restored(self) -> Iterator[None]:
        """Put back everything that a step changes, in place, and the random numbers."""
        eager = self._eager
        changed = [
            *eager.model.parameters(),
            *eager.model.buffers(),
            *eager.optimizer.state,
            *eager.tally.state,
            self._order,
            self._at,
        ]
        before = [tensor.detach().clone() for tensor in changed]
        try:
            with preserved_rng(eager.device):
                yield
        finally:
            eager.optimizer.zero_grad()
            with torch.no_grad():
                for tensor, value in zip(changed, before, strict=True):
                    tensor.copy_(value)


def is_faithful(first: float, second: float, replayed: float) -> bool:
    """Whether a replay's mean loss is one that two eager runs, themselves alike, could give; all may diverge."""
    finite = [math.isfinite(loss) for loss in (first, second, replayed)]
    if not all(finite):
        return not finite[2] and not all(finite[:2])
    if abs(second - first) > MAX_SPREAD * abs(first):
        return False
    return abs(replayed - first) <= max(TOLERANCE * abs(first), SPREAD * abs(second - first))


def graphed(eager: ResidentTrainer, recorder: StepRecorder | None = None) -> GraphTrainer | ResidentTrainer:
    """A trainer that replays the eager one's steps; the eager one itself, with the reason, where that can't be.

    Recording empties the allocator's cache, so that an evaluation follows: the timed one would have to allocate anew.
    """
    batches = eager.loaders.train
    if not isinstance(batches, ResidentBatches):
        eager.fallback_because = "the batches come from a loader of another kind, not from a set on the device"
        return eager
    trainer: GraphTrainer | ResidentTrainer = eager
    try:
        trainer = GraphTrainer(eager, batches, recorder or CudaGraphs())
    except (RuntimeError, Unfaithful) as error:
        eager.fallback_because = f"no CUDA graph: {str(error).partition(chr(10))[0]}"
    buffers = [(buffer, buffer.detach().clone()) for buffer in eager.model.buffers()]
    with preserved_rng(eager.device):
        eager.evaluate()
    eager.tally.clear()
    with torch.no_grad():
        for buffer, before in buffers:
            buffer.copy_(before)
    return trainer
