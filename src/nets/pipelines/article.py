"""The article's pipeline: a DataLoader, one transform an image, the loss read back to the host at every step."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Adam

from nets.datasets.data import Data
from nets.datasets.torchvision_sets import SOURCES
from nets.machine.cpu import cores
from nets.pipelines.batches import Loaders
from nets.pipelines.stepwise import Done, Pass, Stepwise
from nets.records.cell import Protocol

COLOUR_WORKERS = 2
"""Loader processes for torchvision's colour images: what the article gave CIFAR-10; MNIST and its like have none."""


class ArticlePipeline:
    """As the article's notebooks have it."""

    name: ClassVar[str] = "article"
    memory_format: ClassVar[str] = "contiguous"

    def threads(self, batch_size: int) -> int:
        return len(cores())  # torch's own default: the notebooks choose none

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


class ArticleTrainer(Stepwise):
    """The article's loops."""

    def __init__(self, model: nn.Module, loaders: Loaders, protocol: Protocol, device: torch.device) -> None:
        super().__init__()
        self._model = model
        self._loaders = loaders
        self._device = device
        self._optimizer = Adam([p for p in model.parameters() if p.requires_grad], lr=protocol.lr)
        self._loss_sum, self._correct = 0.0, 0

    def _epoch(self) -> Iterator[Done]:
        self._model.train()
        self._loss_sum, self._correct = 0.0, 0
        for cpu_images, cpu_labels in self._loaders.train:
            images, labels = cpu_images.to(self._device), cpu_labels.to(self._device)
            outputs = self._model(images)
            loss = F.cross_entropy(outputs, labels)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            self._loss_sum += loss.item() * len(labels)
            self._correct += int((outputs.argmax(1) == labels).sum().item())
            yield Done(1, len(labels))

    def _means(self, n_images: int) -> Pass:
        return Pass(self._loss_sum / n_images, self._correct / n_images)

    @torch.no_grad()
    def evaluate(self) -> Pass:
        self._model.eval()
        self._loss_sum, self._correct = 0.0, 0
        n_images = 0
        for cpu_images, cpu_labels in self._loaders.test:
            images, labels = cpu_images.to(self._device), cpu_labels.to(self._device)
            outputs = self._model(images)
            self._loss_sum += F.cross_entropy(outputs, labels, reduction="sum").item()
            self._correct += int((outputs.argmax(1) == labels).sum().item())
            n_images += len(labels)
        return self._means(n_images)
