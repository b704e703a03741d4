"""How a cell is run: the article's loop, and the resident one.

Both give the same numbers in distribution: same initialisation, a fresh uniform permutation each epoch, the last
short batch trained, Adam, float32. They differ in where the images lie and in how often the host waits.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

import torch
from torch import nn

from nets.cells import Protocol as TrainingProtocol
from nets.cells import UnknownName
from nets.datasets import Data
from nets.pipelines.article import ArticlePipeline
from nets.pipelines.batches import Batches, GoOn, Loaders, Pass, ResidentBatches
from nets.pipelines.resident import ResidentPipeline

__all__ = [
    "PIPELINES",
    "ArticlePipeline",
    "Batches",
    "GoOn",
    "Loaders",
    "Pass",
    "Pipeline",
    "ResidentBatches",
    "ResidentPipeline",
    "Trainer",
    "pipeline",
]


class Trainer(Protocol):
    """Trains and evaluates one network, from its weights as they were handed over.

    `mode` says how the steps are executed, `fallback_because` why not as the pipeline would have them.
    """

    mode: str
    fallback_because: str | None

    def train(self, go_on: GoOn | None = None) -> Pass:
        """Train for an epoch; with `go_on`, one epoch after another as long as it says so after each step or replay."""

    def evaluate(self) -> Pass:
        """Classify every test image once, without training."""


class Pipeline(Protocol):
    """One way to train and evaluate a cell. Nothing of it but the trainer's two methods is timed."""

    name: ClassVar[str]
    memory_format: ClassVar[str]

    def loaders(self, data: Data, protocol: TrainingProtocol, device: torch.device) -> Loaders:
        """The cell's batches."""

    def place(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The network on its device, in the memory format of this pipeline."""

    def trainer(self, model: nn.Module, loaders: Loaders, protocol: TrainingProtocol, device: torch.device) -> Trainer:
        """What trains a network that was placed."""


PIPELINES: dict[str, Pipeline] = {pipeline.name: pipeline for pipeline in (ResidentPipeline(), ArticlePipeline())}


def pipeline(name: str) -> Pipeline:
    """The pipeline `name`. Raises UnknownName."""
    if name not in PIPELINES:
        raise UnknownName("pipeline", name, list(PIPELINES))
    return PIPELINES[name]
