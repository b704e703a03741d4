"""A cell in PyTorch Lightning: its Trainer over a plain DataLoader of the data set and its transforms.

https://lightning.ai/docs/pytorch/stable/starter/introduction.html
"""

from __future__ import annotations

import logging
import warnings
from time import perf_counter
from typing import Any

import lightning
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from nets.measuring.comparisons import Turn
from nets.training.run import CellRun

NAME = f"lightning {lightning.__version__}"

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Classifier(lightning.LightningModule):
    """A network with the loss and optimiser of the protocol."""

    def __init__(self, network: nn.Module, lr: float) -> None:
        super().__init__()
        self.network = network
        self.lr = lr

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """The loss of a batch."""
        images, labels = batch
        return F.cross_entropy(self.network(images), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class Clock(lightning.Callback):
    """The time from the first batch's end to the last one's, on the device too."""

    def __init__(self, run: CellRun, n_batches: int) -> None:
        self._run = run
        self._n_batches = n_batches
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """Note it."""
        if len(self.ends) in (0, self._n_batches - 1):
            self._run.synchronise()
        self.ends.append(perf_counter())


class LightningSteps(Turn):
    """Blocks of steps, each a `fit` of its own, timed from its first batch on: its start is not in it."""

    per = "step"
    is_peer = True

    def __init__(self, run: CellRun, n_steps: int) -> None:
        super().__init__(run)
        self._n_steps = n_steps
        self._module = Classifier(run.build(), run.protocol.lr)
        self._loader = DataLoader(run.data.per_image(True), run.protocol.batch_size, shuffle=True)
        self.seconds()

    def seconds(self) -> float:
        """Do the next block."""
        clock = Clock(self.run, self._n_steps + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its advice on workers and logging
            trainer = lightning.Trainer(
                max_steps=self._n_steps + 1,
                accelerator="gpu" if self.run.device.type == "cuda" else "cpu",
                devices=1,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                callbacks=[clock],
            )
            trainer.fit(self._module, self._loader)
        return (clock.ends[-1] - clock.ends[0]) / (len(clock.ends) - 1)
