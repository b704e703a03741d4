"""What both pipelines' trainers share: an epoch is a run of units, a step or a replay of several."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pass:
    """Means over the images of one pass over a set: cross-entropy, and the fraction classified correctly."""

    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Done:
    """What a unit of training did."""

    n_steps: int
    n_images: int


class Stepwise(ABC):
    """Trains one network, from its weights as they were handed over, and evaluates it.

    `mode` says how the steps are executed, `fallback_because` why not as the pipeline would have them. What steps were
    recorded with at their peak is `recorded_peak_bytes`: a replay uses that memory and allocates none.
    """

    mode = "eager"
    recorded_peak_bytes = 0

    def __init__(self) -> None:
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
    def _epoch(self) -> Iterator[Done]:
        """Begin the means anew, and train once over the set, unit by unit."""

    @abstractmethod
    def _means(self, n_images: int) -> Pass:
        """The means since the epoch began; waits for the device."""
