"""The article's three networks: each is a list of layers.

Source: the article's public notebooks; parameters are exact (see `nets.cells.catalog.Expected`). Every builder takes
the shape of one image (C, H, W) and the number of classes, and returns a network from (N, C, H, W) float32 to
(N, n_classes) logits, with torch's default initialisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from torch import nn

from nets.cells.catalog import ImageShape
from nets.networks.build import Builder


def snn500(image: ImageShape, n_classes: int) -> nn.Module:
    """SNN500: one hidden layer of 500 units."""
    channels, height, width = image
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * width, 500),
        nn.ReLU(),
        nn.Linear(500, n_classes),
    )


def cnn3l(image: ImageShape, n_classes: int) -> nn.Module:
    """CNN3L: two convolutions and a fully connected output."""
    channels, height, width = image
    padding = _padding(height)
    features = 32 * _halved(_halved(height, padding), padding) * _halved(_halved(width, padding), padding)
    return nn.Sequential(
        nn.Conv2d(channels, 16, kernel_size=5, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, kernel_size=5, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(features, n_classes),
    )


def lenet5(image: ImageShape, n_classes: int) -> nn.Module:
    """LeNet-5 with ReLU and max pooling: two convolutions, three fully connected layers."""
    channels, height, width = image
    padding = _padding(height)
    features = 16 * _halved(_halved(height, padding), 0) * _halved(_halved(width, padding), 0)
    return nn.Sequential(
        nn.Conv2d(channels, 6, kernel_size=5, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, kernel_size=5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(features, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, n_classes),
    )


def _padding(height: int) -> int:
    """The article pads the 28-pixel images by 2 and the 32-pixel ones not at all."""
    return 2 if height == 28 else 0


def _halved(size: int, padding: int) -> int:
    """Size after a 5×5 convolution and a 2×2 pooling."""
    return (size + 2 * padding - 4) // 2


MODELS: Mapping[str, Builder] = MappingProxyType({"snn500": snn500, "cnn3l": cnn3l, "lenet5": lenet5})
