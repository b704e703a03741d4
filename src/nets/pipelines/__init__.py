"""How a cell is run: the article's loop, and the resident one.

Both give the same numbers in distribution: same initialisation, a fresh uniform permutation each epoch, the last
short batch trained, Adam, float32. They differ in where the images lie and in how often the host waits.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

import torch
from torch import nn

from nets.datasets.data import Data
from nets.errors import UnknownName
from nets.pipelines.article import ArticlePipeline
from nets.pipelines.batches import Batches, Loaders, ResidentBatches
from nets.pipelines.resident import ResidentPipeline
from nets.pipelines.stepwise import Pass, Stepwise
from nets.records.cell import Protocol as TrainingProtocol

__all__ = [
    "PIPELINES",
    "ArticlePipeline",
    "Batches",
    "Loaders",
    "Pass",
    "Pipeline",
    "ResidentBatches",
    "ResidentPipeline",
    "Stepwise",
    "pipeline",
]


class Pipeline(Protocol):
    """One way to train and evaluate a cell. Only what the trainer does is timed."""

    name: ClassVar[str]
    memory_format: ClassVar[str]

    def threads(self, batch_size: int) -> int:
        """Torch's threads for steps on a CPU."""

    def loaders(self, data: Data, protocol: TrainingProtocol, device: torch.device) -> Loaders:
        """The cell's batches."""

    def place(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The network on its device, in the memory format of this pipeline."""

    def trainer(self, model: nn.Module, loaders: Loaders, protocol: TrainingProtocol, device: torch.device) -> Stepwise:
        """What trains a network that was placed."""


PIPELINES: dict[str, Pipeline] = {pipeline.name: pipeline for pipeline in (ResidentPipeline(), ArticlePipeline())}


def pipeline(name: str) -> Pipeline:
    """The pipeline `name`. Raises UnknownName."""
    if name not in PIPELINES:
        raise UnknownName("pipeline", name, list(PIPELINES))
    return PIPELINES[name]
