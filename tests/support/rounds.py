"""Rounds of a network that does what a test has it do, on some of the digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from nets.cells.catalog import Cell, protocol_for
from nets.datasets.data import Split
from nets.datasets.load import load_data
from nets.records.cell import Round
from nets.training.pipelines import PIPELINES
from nets.training.run import CellRun

CPU = torch.device("cpu")
PROTOCOL = protocol_for("quick", "digits").changed(epochs=1)


class Own(nn.Module):
    """A linear layer, and what a test has it do beside: when it is built, set to training, and called."""

    def __init__(
        self,
        built: Callable[[], object] = int,
        set_to_train: Callable[[], object] = int,
        called: Callable[[], object] = int,
    ) -> None:
        super().__init__()
        built()
        self.out = nn.Linear(784, 10)
        self.called, self.set_to_train = called, set_to_train

    def train(self, mode: bool = True) -> Own:
        """Do what it is to do, then as ever."""
        self.set_to_train()
        return super().train(mode)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, 1, 28, 28) to logits (N, 10)."""
        self.called()
        outputs: torch.Tensor = self.out(images.flatten(1))
        return outputs


def run_of(build: Callable[[], nn.Module], *, seed: int = 0, pipeline: str = "resident") -> CellRun:
    """A run of a network on some of the digits."""
    whole, way, protocol = load_data("digits", Path()), PIPELINES[pipeline], PROTOCOL.repeated(seed=seed)
    data = replace(whole, train=Split(whole.train.images[:300], whole.train.labels[:300]))
    return CellRun(Cell("digits", "own", build=build), protocol, way, data, way.loaders(data, protocol, CPU), CPU)


def results(round_: Round) -> tuple[object, ...]:
    """What must differ from round to round."""
    return round_.loss, round_.accuracy, round_.train_loss, round_.train_accuracy
