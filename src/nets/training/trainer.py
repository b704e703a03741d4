"""What trains a network step by step, the batches that it trains on, and how the steps were executed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from nets.datasets.data import Split

Batch = tuple[Tensor, Tensor]


class Batches(Protocol):
    """What hands out batches: iterates and has a length, as a DataLoader does."""

    def __iter__(self) -> Iterator[Batch]: ...

    def __len__(self) -> int: ...


class Optimizer(Protocol):
    """What a step asks of one."""

    def zero_grad(self) -> None:
        """Drop the gradients."""

    def step(self) -> object:
        """Apply them."""


@dataclass(frozen=True, slots=True)
class Loaders:
    """Training and test batches of one cell: images (N, C, H, W) float32, labels (N,) int64."""

    train: Batches
    test: Batches


GATHERED = 256
"""Images that are gathered at once, and handed out in batches where a batch is smaller."""


class ResidentBatches:
    """Batches of a set that lies on the device whole; shuffled there, with torch's default generator."""

    def __init__(self, split: Split, batch_size: int, *, shuffle: bool) -> None:
        self.split = split
        self.batch_size = batch_size
        self._shuffle = shuffle

    def __len__(self) -> int:
        return -(-len(self.split) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        images, labels = self.split.images, self.split.labels
        if not self._shuffle:
            yield from zip(images.split(self.batch_size), labels.split(self.batch_size), strict=True)
            return
        at_once = self.batch_size * max(1, GATHERED // self.batch_size)
        for chosen in self.order().split(at_once):
            yield from zip(images[chosen].split(self.batch_size), labels[chosen].split(self.batch_size), strict=True)

    def order(self) -> Tensor:
        """An epoch's permutation (N,), uniform, drawn on the device."""
        return torch.randperm(len(self.split), device=self.split.labels.device)


@dataclass(frozen=True, slots=True)
class Pass:
    """Means over the images of one pass over a set: cross-entropy, and the fraction classified correctly."""

    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class StepsDone:
    """What a unit of training did."""

    n_steps: int
    n_images: int


class Trainer(ABC):
    """Trains one network, `model`, from its weights as they were handed over, and evaluates it.

    `mode` says how the steps are executed, `fallback_because` why not as the pipeline would have them. What steps were
    recorded with at their peak is `recorded_peak_bytes`: a replay uses that memory and allocates none.
    """

    optimizer: Optimizer
    mode = "eager"
    recorded_peak_bytes = 0

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.fallback_because: str | None = None

    def train(self) -> Pass:
        """Train for an epoch."""
        return self._means(sum(done.n_images for done in self._epoch()))

    def steps(self) -> Iterator[int]:
        """Train epoch after epoch; gives the steps so far after each unit. Without a batch it ends."""
        n_steps = 0
        while True:
            before = n_steps
            for done in self._epoch():
                n_steps += done.n_steps
                yield n_steps
            if n_steps == before:
                return

    @abstractmethod
    def evaluate(self) -> Pass:
        """Classify every test image once, without training."""

    @abstractmethod
    def _epoch(self) -> Iterator[StepsDone]:
        """Begin the means anew, and train once over the set, unit by unit."""

    @abstractmethod
    def _means(self, n_images: int) -> Pass:
        """The means since the epoch began; waits for the device."""


@dataclass(frozen=True, slots=True)
class _Execution:
    """How one trainer executes its steps: see `Trainer`."""

    mode: str
    fallback_because: str | None
    recorded_peak_bytes: int


@dataclass(slots=True)
class ExecutionLog:
    """How the steps of a cell were executed: in its rounds, or, before the first, by scratch networks."""

    _of_rounds: list[_Execution] = field(default_factory=list)
    _of_scratch: list[_Execution] = field(default_factory=list)

    def note(self, trainer: Trainer, *, is_round: bool) -> None:
        """Keep how a trainer executes its steps."""
        these = self._of_rounds if is_round else self._of_scratch
        these.append(_Execution(trainer.mode, trainer.fallback_because, trainer.recorded_peak_bytes))

    @property
    def mode(self) -> str:
        """`eager` if it was so in any."""
        modes = {each.mode for each in self._of_rounds or self._of_scratch}
        return modes.pop() if len(modes) == 1 else "eager"

    @property
    def fallback_because(self) -> str | None:
        """Why not as the pipeline would have them, and in how many rounds if not in all."""
        found = self._of_rounds or self._of_scratch
        reasons = [each.fallback_because for each in found if each.fallback_because is not None]
        if not reasons or len(reasons) == len(found):
            return reasons[0] if reasons else None
        return f"in {len(reasons)} of {len(found)} rounds: {reasons[0]}"

    @property
    def recorded_peak_bytes(self) -> int:
        """The GPU's memory at most while rounds' steps were recorded, which replays use without allocating it again."""
        return max((each.recorded_peak_bytes for each in self._of_rounds), default=0)
