"""One data set as loaded: uint8 images and labels, and their two ways to a network.

`Data.on` puts the whole of it on a device as float32; `Data.per_image` transforms one image at a time, as the article
does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nets.errors import NetsError
from nets.machine.device import free_bytes

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from nets.cells.catalog import ImageShape


class DataError(NetsError):
    """Data that must not be trained on: altered, truncated or unreadable. The message names the file and the remedy."""


class DoesNotFit(DataError):
    """A data set that is larger than what its device has free; the message names both sizes."""


class DataMissing(DataError):
    """Data that is not there and could not be downloaded."""


@dataclass(frozen=True, slots=True)
class Split:
    """Images (N, C, H, W) with their labels (N,), int64. Raises ValueError where their lengths differ."""

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise ValueError(f"{len(self.images)} images, but {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Data:
    """One data set as loaded: images uint8 (N, C, H, W).

    `centred`: pixels go to [-1, 1], (x - 0.5) / 0.5, as the article has it for CIFAR-10; else to [0, 1].
    `per_image`: True -> the training set, False -> the test set, as a torch Dataset of (float32 (C, H, W), label)
    whose items are transformed when they are asked for. `class_names`: None where the data set has none.
    """

    name: str
    train: Split
    test: Split
    n_classes: int
    centred: bool
    sha256: str
    per_image: Callable[[bool], Dataset[tuple[Tensor, int]]]
    class_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for part, split in (("training", self.train), ("test", self.test)):
            if not len(split):
                raise DataError(f"{self.name}: the {part} set is empty")
            low, high = int(split.labels.min()), int(split.labels.max())
            if low < 0 or high >= self.n_classes:
                wrong = f"labels from {low} to {high}, but {self.n_classes} classes"
                raise DataError(f"{self.name}: the {part} set has {wrong}")

    @property
    def image_shape(self) -> ImageShape:
        """(C, H, W) of one image."""
        _, channels, height, width = self.train.images.shape
        return channels, height, width

    def on(self, device: torch.device) -> tuple[Split, Split]:
        """Training and test set on `device`, float32 and scaled: the same values as the per-image transforms give.

        Raises DoesNotFit, before anything is moved.
        """
        n_train, n_test = self.train.images.numel(), self.test.images.numel()
        needed = 4 * (n_train + n_test) + 5 * n_train  # to scale a set and order it anew, its bytes and a copy are held
        free = free_bytes(device)
        if needed > free:
            raise DoesNotFit(
                f"{self.name}: putting it on {device} takes {needed / 2**20:,.0f} MiB as float32, and "
                f"{free / 2**20:,.0f} MiB are free there; --pipeline article loads it batch by batch"
            )
        return self._scaled(self.train, device), self._scaled(self.test, device)

    def scaled(self, images: Tensor, device: torch.device) -> Tensor:
        """Some of its images, uint8 (N, C, H, W), on `device` as float32: what `on` makes of all."""
        scaled = images.to(device).to(torch.float32).div_(255)
        return scaled.sub_(0.5).div_(0.5) if self.centred else scaled

    def _scaled(self, split: Split, device: torch.device) -> Split:
        return Split(self.scaled(split.images, device), split.labels.to(device))


def transform(centred: bool) -> Callable[[Any], Tensor]:
    """The article's per-image transform: PIL image -> float32 (C, H, W)."""
    from torchvision import transforms

    steps: list[Callable[[Any], Any]] = [transforms.ToTensor()]
    if centred:
        steps.append(transforms.Normalize((0.5,), (0.5,)))
    composed: Callable[[Any], Tensor] = transforms.Compose(steps)
    return composed


class PerImage(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """An embedded data set with torchvision's ways: each item passes through PIL and the transform when asked for."""

    def __init__(self, split: Split, centred: bool) -> None:
        # (N, H, W) for one channel, else (N, H, W, C): what PIL takes
        self._pixels = split.images.permute(0, 2, 3, 1).squeeze(-1).numpy()
        self._labels = split.labels.tolist()
        self._transform = transform(centred)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image

        return self._transform(Image.fromarray(self._pixels[index])), self._labels[index]


def embedded(name: str, train: Split, test: Split, *, class_names: Sequence[str], centred: bool) -> Data:
    """A `Data` of images that the package makes itself."""
    return Data(
        name=name,
        train=train,
        test=test,
        n_classes=len(class_names),
        centred=centred,
        sha256=fingerprint(train, test),
        per_image=lambda training: PerImage(train if training else test, centred),
        class_names=tuple(class_names),
    )


def fingerprint(train: Split, test: Split) -> str:
    """SHA-256 over the bytes of the training images, their labels, the test images, their labels."""
    digest = hashlib.sha256()
    for split in (train, test):
        for tensor in (split.images, split.labels):
            digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()
