"""What hands out batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from nets.datasets.data import Split

Batch = tuple[Tensor, Tensor]


class Batches(Protocol):
    """What hands out batches: iterates and has a length, as a DataLoader does."""

    def __iter__(self) -> Iterator[Batch]: ...

    def __len__(self) -> int: ...


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
