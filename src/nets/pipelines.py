"""How a cell is run: the article's loop, and the resident one.

Both give the same numbers in distribution: same initialisation, a fresh uniform permutation each epoch, the last
short batch trained, Adam, float32. They differ in where the images lie and in how often the host waits.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from nets.cells import Protocol as TrainingProtocol
from nets.cells import UnknownName
from nets.datasets import Data, Split

Batch = tuple[Tensor, Tensor]

EVALUATION_BATCH = 1_000


class Batches(Protocol):
    """What hands out batches: iterates and has a length, as a DataLoader does."""

    def __iter__(self) -> Iterator[Batch]: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Loaders:
    """Training and test batches of one cell: images (N, C, H, W) float32, labels (N,) int64."""

    train: Batches
    test: Batches


@dataclass(frozen=True, slots=True)
class Pass:
    """Means over the images of one pass over a set: cross-entropy, and the fraction classified correctly."""

    loss: float
    accuracy: float


class ResidentBatches:
    """Batches of a set that lies on the device whole; shuffled there, with torch's default generator."""

    def __init__(self, split: Split, batch_size: int, *, shuffle: bool) -> None:
        self._split = split
        self._batch_size = batch_size
        self._shuffle = shuffle

    def __len__(self) -> int:
        return -(-len(self._split) // self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        images, labels = self._split.images, self._split.labels
        if not self._shuffle:
            yield from zip(images.split(self._batch_size), labels.split(self._batch_size), strict=True)
            return
        order = torch.randperm(len(labels), device=labels.device)
        for chosen in order.split(self._batch_size):
            yield images[chosen], labels[chosen]


class Pipeline(Protocol):
    """One way to train and evaluate a cell."""

    name: ClassVar[str]

    def loaders(self, data: Data, protocol: TrainingProtocol, device: torch.device) -> Loaders:
        """The cell's batches. Untimed."""

    def place(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The network on its device, in the memory format of this pipeline. Untimed."""

    def optimizer(self, model: nn.Module, protocol: TrainingProtocol) -> Optimizer:
        """The protocol's optimiser over the network's parameters that want a gradient. Untimed."""

    def train_epoch(self, model: nn.Module, batches: Batches, optimizer: Optimizer, device: torch.device) -> Pass:
        """Train once over the batches."""

    def evaluate(self, model: nn.Module, batches: Batches, device: torch.device) -> Pass:
        """Classify every image once, without training."""


class ArticlePipeline:
    """The article's: a DataLoader, one transform an image, the loss read back to the host at every step."""

    name: ClassVar[str] = "article"

    def loaders(self, data: Data, protocol: TrainingProtocol, device: torch.device) -> Loaders:
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

    def optimizer(self, model: nn.Module, protocol: TrainingProtocol) -> Optimizer:
        return Adam(_trained(model), lr=protocol.lr)

    def train_epoch(self, model: nn.Module, batches: Batches, optimizer: Optimizer, device: torch.device) -> Pass:
        model.train()
        loss_sum, correct, n = 0.0, 0, 0
        for cpu_images, cpu_labels in batches:
            images, labels = cpu_images.to(device), cpu_labels.to(device)
            outputs = model(images)
            loss = F.cross_entropy(outputs, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(labels)
            correct += int((outputs.argmax(1) == labels).sum().item())
            n += len(labels)
        return Pass(loss_sum / n, correct / n)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, batches: Batches, device: torch.device) -> Pass:
        model.eval()
        loss_sum, correct, n = 0.0, 0, 0
        for cpu_images, cpu_labels in batches:
            images, labels = cpu_images.to(device), cpu_labels.to(device)
            outputs = model(images)
            loss_sum += F.cross_entropy(outputs, labels, reduction="sum").item()
            correct += int((outputs.argmax(1) == labels).sum().item())
            n += len(labels)
        return Pass(loss_sum / n, correct / n)


class ResidentPipeline:
    """Images and labels on the device, batches gathered there, nothing read back until the epoch ends."""

    name: ClassVar[str] = "resident"

    def loaders(self, data: Data, protocol: TrainingProtocol, device: torch.device) -> Loaders:
        train, test = data.on(device)
        if data.image_shape[0] > 1:  # with one channel both formats are the same bytes
            train, test = _channels_last(train), _channels_last(test)
        return Loaders(
            train=ResidentBatches(train, protocol.batch_size, shuffle=True),
            test=ResidentBatches(test, EVALUATION_BATCH, shuffle=False),
        )

    def place(self, model: nn.Module, device: torch.device) -> nn.Module:
        # measured on the CPU: up to 1.4 times faster for the article's convolutions, never slower
        return model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]  # torch's stub lacks it

    def optimizer(self, model: nn.Module, protocol: TrainingProtocol) -> Optimizer:
        return Adam(_trained(model), lr=protocol.lr, fused=True)

    def train_epoch(self, model: nn.Module, batches: Batches, optimizer: Optimizer, device: torch.device) -> Pass:
        model.train()
        totals = _Totals(device)
        for images, labels in batches:
            outputs = model(images)
            loss = F.cross_entropy(outputs, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            totals.add(loss.detach() * len(labels), outputs.detach(), labels)
        return totals.read()

    @torch.no_grad()
    def evaluate(self, model: nn.Module, batches: Batches, device: torch.device) -> Pass:
        model.eval()
        totals = _Totals(device)
        for images, labels in batches:
            outputs = model(images)
            totals.add(F.cross_entropy(outputs, labels, reduction="sum"), outputs, labels)
        return totals.read()


class _Totals:
    """Loss and correct counts of a pass, kept on the device until they are read."""

    def __init__(self, device: torch.device) -> None:
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._correct = torch.zeros((), dtype=torch.int64, device=device)
        self._n = 0

    def add(self, loss_sum: Tensor, outputs: Tensor, labels: Tensor) -> None:
        self._loss += loss_sum
        self._correct += (outputs.argmax(1) == labels).sum()
        self._n += len(labels)

    def read(self) -> Pass:
        return Pass(self._loss.item() / self._n, self._correct.item() / self._n)


def _trained(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _channels_last(split: Split) -> Split:
    return Split(split.images.contiguous(memory_format=torch.channels_last), split.labels)


PIPELINES: dict[str, Pipeline] = {pipeline.name: pipeline for pipeline in (ResidentPipeline(), ArticlePipeline())}


def pipeline(name: str) -> Pipeline:
    """The pipeline `name`. Raises UnknownName."""
    if name not in PIPELINES:
        raise UnknownName("pipeline", name, list(PIPELINES))
    return PIPELINES[name]
