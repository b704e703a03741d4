"""Networks and trainers for the graph path, on the CPU."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from nets.cells.catalog import protocol_for
from nets.datasets.data import Split
from nets.datasets.load import load_data
from nets.networks.builtin import MODELS
from nets.training.eager import ResidentTrainer
from nets.training.trainer import Loaders, ResidentBatches

CPU = torch.device("cpu")
PROTOCOL = protocol_for("quick", "digits")


def batches(n: int, size: int) -> ResidentBatches:
    """Some of the digits."""
    data = load_data("digits", Path())
    images, labels = data.on(CPU)[0].images, data.train.labels
    return ResidentBatches(Split(images[:n], labels[:n]), size, shuffle=True)


def trainer(model: nn.Module, n: int = 330, size: int = 100) -> ResidentTrainer:
    """An eager trainer."""
    train = batches(n, size)
    return ResidentTrainer(model, Loaders(train, train), PROTOCOL, CPU)


def lenet5(seed: int = 0) -> nn.Module:
    """A seeded LeNet-5 in float64, so that a difference would be one of the steps and not of rounding."""
    torch.manual_seed(seed)
    return MODELS["lenet5"]((1, 28, 28), 10)
