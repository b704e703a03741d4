"""Training steps replayed from CUDA graphs: no host work between them.

A graph of many steps holds everything that a step does: gathering its batch by the epoch's permutation, forward, loss,
backward, Adam, the tally, and moving on. The host draws a permutation an epoch and reads the tally at its end. See
https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import torch

from nets.errors import NetsError
from nets.machine.device import preserved_rng
from nets.training.eager import ResidentTrainer
from nets.training.trainer import Pass, ResidentBatches, StepsDone, Trainer

STEPS_PER_GRAPH = 50
WARM_UP_STEPS = 3
TOLERANCE = 1e-3
"""Of a unit's mean loss, replayed against run eagerly: kernels that add in any order differ by far less."""


class Unfaithful(NetsError):
    """Replayed steps are not what the network does."""


Work = Callable[[], None]


class StepRecorder(Protocol):
    """Records work to be replayed; `peak_bytes`: the device's memory at most while it did."""

    peak_bytes: int

    def warm_up(self, work: Work) -> None:
        """Run work before it is recorded, as the recording demands."""

    def record(self, work: Work) -> Work:
        """Record work without running it; what replays it."""


class CudaGraphs:
    """Records into CUDA graphs, which share their memory: what one leaves there is of no use to another."""

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, work: Work) -> None:
        aside = _aside(torch.cuda.current_device())
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            work()
        torch.cuda.current_stream().wait_stream(aside)

    def record(self, work: Work) -> Work:
        graph = torch.cuda.CUDAGraph()
        torch.cuda.reset_peak_memory_stats()
        try:
            with torch.cuda.graph(graph, pool=self._pool):
                work()
        except RuntimeError as error:
            # ending a capture that failed raises one more error
            raise RuntimeError(str(error.__context__ or error)) from error
        self.peak_bytes = max(self.peak_bytes, torch.cuda.max_memory_allocated())
        return graph.replay


@cache
def _aside(_device: int) -> torch.cuda.Stream:
    """One stream a GPU: cuBLAS keeps a workspace for each that it ever saw."""
    return torch.cuda.Stream()


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

    Recording leaves weights, buffers, optimiser and random numbers as they were. Raises RuntimeError for a network that
    can't be recorded, because it waits for the host, say, and Unfaithful for one whose replayed steps are not its own.
    """

    mode = "graph"

    def __init__(self, eager: ResidentTrainer, batches: ResidentBatches, recorder: StepRecorder) -> None:
        super().__init__()
        self._eager = eager
        self._batches = batches
        n, size = len(batches.split), batches.batch_size
        self._order = torch.zeros(n, dtype=torch.int64, device=eager.device)
        self._at = torch.zeros((), dtype=torch.int64, device=eager.device)
        self._places = torch.arange(min(size, n), device=eager.device)
        n_full, n_last = divmod(n, size)
        many = min(STEPS_PER_GRAPH, n_full)
        eager.model.train()
        self._units: list[RecordedSteps] = []
        for n_images, n_steps, times in (
            (size, many, n_full // many if many else 0),
            (size, 1, n_full % many if many else 0),
            (n_last, 1, 1 if n_last else 0),
        ):
            if times:
                self._units += [self._recorded(recorder, n_images, n_steps)] * times
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

    def _step(self, n_images: int) -> None:
        """The next `n_images` of the permutation, trained on."""
        chosen = self._order[self._at + self._places[:n_images]]
        labels = self._batches.split.labels[chosen]
        self._eager.tally.add(*self._eager.step(self._batches.split.images[chosen], labels), labels)
        self._at += n_images

    def _recorded(self, recorder: StepRecorder, n_images: int, n_steps: int) -> RecordedSteps:
        def warm_up() -> None:
            for _ in range(WARM_UP_STEPS):
                self._at.zero_()
                self._step(n_images)

        def work() -> None:
            for _ in range(n_steps):
                self._step(n_images)

        with self._restored():
            recorder.warm_up(warm_up)
            self._at.zero_()
            return RecordedSteps(recorder.record(work), n_steps, n_images)

    def _demand_faithful(self) -> None:
        """Hold the first and the last unit, replayed, against the same steps run eagerly. Raises Unfaithful."""
        for unit in {id(unit): unit for unit in (self._units[0], self._units[-1])}.values():

            def eagerly(unit: RecordedSteps = unit) -> None:
                for _ in range(unit.n_steps):
                    self._step(unit.batch_size)

            losses = []
            for run in (eagerly, unit.replay):
                with self._restored():
                    self._order.copy_(self._batches.order())
                    self._eager.tally.clear()
                    run()
                    losses.append(self._means(unit.done.n_images).loss)
            if not math.isclose(*losses, rel_tol=TOLERANCE) and any(map(math.isfinite, losses)):  # both may diverge
                raise Unfaithful(
                    f"replayed steps gave a loss of {losses[1]:.6g}, the same steps run eagerly {losses[0]:.6g}: "
                    "the network does not do the same in every step"
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
