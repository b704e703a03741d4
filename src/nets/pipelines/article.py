"""The article's pipeline: a DataLoader, one transform an image, the loss read back to the host at every step."""

from __future__ import annotations

import warnings
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Adam

from nets.cells import Protocol
from nets.datasets import Data
from nets.pipelines.batches import GoOn, Loaders, Pass, epochs


class ArticlePipeline:
    """As the article's notebooks have it."""

    name: ClassVar[str] = "article"
    memory_format: ClassVar[str] = "contiguous"

    def loaders(self, data: Data, protocol: Protocol, device: torch.device) -> Loaders:
        from torch.utils.data import DataLoader

        workers = 2 if data.name == "cifar10" else 0  # ARTICLE.md, protocol
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


class ArticleTrainer:
    """The article's loops."""

    mode = "eager"
    fallback_because: str | None = None

    def __init__(self, model: nn.Module, loaders: Loaders, protocol: Protocol, device: torch.device) -> None:
        self._model = model
        self._loaders = loaders
        self._device = device
        self._optimizer = Adam([p for p in model.parameters() if p.requires_grad], lr=protocol.lr)

    def train(self, go_on: GoOn | None = None) -> Pass:
        self._model.train()
        loss_sum, correct, n = 0.0, 0, 0
        for cpu_images, cpu_labels in epochs(self._loaders.train, go_on):
            images, labels = cpu_images.to(self._device), cpu_labels.to(self._device)
            outputs = self._model(images)
            loss = F.cross_entropy(outputs, labels)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            loss_sum += loss.item() * len(labels)
            correct += int((outputs.argmax(1) == labels).sum().item())
            n += len(labels)
        return Pass(loss_sum / n, correct / n)

    @torch.no_grad()
    def evaluate(self) -> Pass:
        self._model.eval()
        loss_sum, correct, n = 0.0, 0, 0
        for cpu_images, cpu_labels in self._loaders.test:
            images, labels = cpu_images.to(self._device), cpu_labels.to(self._device)
            outputs = self._model(images)
            loss_sum += F.cross_entropy(outputs, labels, reduction="sum").item()
            correct += int((outputs.argmax(1) == labels).sum().item())
            n += len(labels)
        return Pass(loss_sum / n, correct / n)
