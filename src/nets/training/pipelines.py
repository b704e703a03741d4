"""How a cell is run: the resident pipeline, and the article's.

Both give the same numbers in distribution: same initialisation, a fresh uniform permutation each epoch, the last short
batch trained, Adam, float32. They differ in where the images lie and in how often the host waits. Resident: images and
labels on the device, batches gathered there, nothing read back within an epoch. The article's: a DataLoader, one
transform an image, the loss read back to the host at every step.
"""

from __future__ import annotations

import typing
import warnings
from typing import ClassVar

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from nets.datasets.data import Data, Split
from nets.datasets.torchvision_sets import SOURCES
from nets.errors import UnknownName
from nets.machine.cpu import cores
from nets.records.cell import Protocol
from nets.training.cuda_graph import GraphTrainer, graphed
from nets.training.eager import ArticleTrainer, ResidentTrainer
from nets.training.trainer import Loaders, ResidentBatches, Trainer


class Pipeline(typing.Protocol):
    """One way to train and evaluate a cell. Only what the trainer does is timed."""

    name: ClassVar[str]

    @property
    def memory_format(self) -> str:
        """Of images and weights with four dimensions: `channels_last` or `contiguous`."""

    def contiguous(self) -> Pipeline:
        """The same for a network that takes nothing but torch's default memory format."""

    def threads(self, batch_size: int) -> int:
        """Torch's threads for steps on a CPU."""

    def evaluation_batch(self, batch_size: int, device_type: str) -> int:
        """Images that are evaluated at once, where memory allows it, beside training with batches of a size."""

    def loaders(self, data: Data, protocol: Protocol, device: torch.device) -> Loaders:
        """The cell's batches."""

    def place(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The network on its device, in the memory format of this pipeline."""

    def trainer(self, model: nn.Module, loaders: Loaders, protocol: Protocol, device: torch.device) -> Trainer:
        """What trains a network that was placed."""


EVALUATION_BATCH = {"cpu": 500, "cuda": 10_000}
"""Images at once; of 1,000 CNN3L's activations are fresh pages every time: 1.3 to 1.6 times slower on a CPU."""


class ResidentPipeline:
    """Everything on the device; on a GPU the steps are replayed from a CUDA graph."""

    name: ClassVar[str] = "resident"

    def __init__(self, memory_format: str = "channels_last") -> None:
        self.memory_format = memory_format

    def contiguous(self) -> ResidentPipeline:
        return ResidentPipeline("contiguous")

    def threads(self, batch_size: int) -> int:
        return threads(batch_size)

    def evaluation_batch(self, batch_size: int, device_type: str) -> int:
        return EVALUATION_BATCH[device_type]

    def loaders(self, data: Data, protocol: Protocol, device: torch.device) -> Loaders:
        train, test = data.on(device)
        # with one channel both formats are the same bytes
        if data.image_shape[0] > 1 and self.memory_format == "channels_last":
            train, test = _channels_last(train), _channels_last(test)
        return Loaders(
            train=ResidentBatches(train, protocol.batch_size, shuffle=True),
            test=ResidentBatches(test, self.evaluation_batch(protocol.batch_size, device.type), shuffle=False),
        )

    def place(self, model: nn.Module, device: torch.device) -> nn.Module:
        is_volume = any(not is_lazy(each) and each.dim() == 5 for each in (*model.parameters(), *model.buffers()))
        if is_volume or self.memory_format == "contiguous":
            return model.to(device)  # channels-last is a format of four dimensions, and torch would refuse five
        # measured on the CPU: up to 1.4 times faster for the article's convolutions, never slower
        return model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]  # torch's stub lacks it

    def trainer(
        self, model: nn.Module, loaders: Loaders, protocol: Protocol, device: torch.device
    ) -> ResidentTrainer | GraphTrainer:
        trainer = ResidentTrainer(model, loaders, protocol, device)
        if device.type != "cuda":
            return trainer
        return graphed(trainer)


def _channels_last(split: Split) -> Split:
    return Split(split.images.contiguous(memory_format=torch.channels_last), split.labels)


THREADED_BATCH = 32
"""From this batch size on a step is worth sharing out among threads (docs/performance.md)."""


def threads(batch_size: int) -> int:
    """Torch's threads for the resident pipeline on a CPU: all cores for large batches, one for small ones."""
    return len(cores()) if batch_size >= THREADED_BATCH else 1


COLOUR_WORKERS = 2
"""Loader processes for torchvision's colour images: what the article gave CIFAR-10; MNIST and its like have none."""


class ArticlePipeline:
    """As the article's notebooks have it."""

    name: ClassVar[str] = "article"
    memory_format = "contiguous"

    def contiguous(self) -> ArticlePipeline:
        return self

    def threads(self, batch_size: int) -> int:
        return len(cores())  # torch's own default: the notebooks choose none

    def evaluation_batch(self, batch_size: int, device_type: str) -> int:
        return batch_size

    def loaders(self, data: Data, protocol: Protocol, device: torch.device) -> Loaders:
        from torch.utils.data import DataLoader

        workers = COLOUR_WORKERS if data.name in SOURCES and data.image_shape[0] > 1 else 0
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This DataLoader will create")  # more workers than cores: the article's 2
            return Loaders(
                train=DataLoader(data.per_image(True), protocol.batch_size, shuffle=True, num_workers=workers),
                test=DataLoader(data.per_image(False), protocol.batch_size, shuffle=False, num_workers=workers),
            )

    def place(self, model: nn.Module, device: torch.device) -> nn.Module:
        return model.to(device)

    def trainer(self, model: nn.Module, loaders: Loaders, protocol: Protocol, device: torch.device) -> ArticleTrainer:
        return ArticleTrainer(model, loaders, protocol, device)


PIPELINES: dict[str, Pipeline] = {pipeline.name: pipeline for pipeline in (ResidentPipeline(), ArticlePipeline())}


def pipeline_named(name: str) -> Pipeline:
    """The pipeline `name`. Raises UnknownName."""
    if name not in PIPELINES:
        raise UnknownName("pipeline", name, list(PIPELINES))
    return PIPELINES[name]
