"""The resident pipeline: images and labels on the device, batches gathered there, nothing read back within an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.adam import adam

from nets.cells import Protocol
from nets.datasets import Data, Split
from nets.pipelines.batches import Loaders, ResidentBatches
from nets.pipelines.stepwise import Done, Pass, Stepwise

if TYPE_CHECKING:
    from nets.pipelines.graph import GraphTrainer

EVALUATION_BATCH = {"cpu": 1_000, "cuda": 10_000}
"""Images at once; more than 1,000 leave a CPU's cache."""


class ResidentPipeline:
    """Everything on the device; on a GPU the steps are replayed from a CUDA graph."""

    name: ClassVar[str] = "resident"
    memory_format: ClassVar[str] = "channels_last"

    def loaders(self, data: Data, protocol: Protocol, device: torch.device) -> Loaders:
        train, test = data.on(device)
        if data.image_shape[0] > 1:  # with one channel both formats are the same bytes
            train, test = _channels_last(train), _channels_last(test)
        return Loaders(
            train=ResidentBatches(train, protocol.batch_size, shuffle=True),
            test=ResidentBatches(test, EVALUATION_BATCH[device.type], shuffle=False),
        )

    def place(self, model: nn.Module, device: torch.device) -> nn.Module:
        # measured on the CPU: up to 1.4 times faster for the article's convolutions, never slower
        return model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]  # torch's stub lacks it

    def trainer(
        self, model: nn.Module, loaders: Loaders, protocol: Protocol, device: torch.device
    ) -> ResidentTrainer | GraphTrainer:
        trainer = ResidentTrainer(model, loaders, protocol, device)
        if device.type != "cuda":
            return trainer
        from nets.pipelines.graph import graphed

        return graphed(trainer)


class ResidentTrainer(Stepwise):
    """Eager steps; the loss and the correct answers are added up on the device."""

    def __init__(self, model: nn.Module, loaders: Loaders, protocol: Protocol, device: torch.device) -> None:
        super().__init__()
        self.model = model
        self.loaders = loaders
        self.device = device
        self.optimizer = FusedAdam([p for p in model.parameters() if p.requires_grad], lr=protocol.lr)
        self.tally = Tally(device)

    def _epoch(self) -> Iterator[Done]:
        self.model.train()
        self.tally.clear()
        for images, labels in self.loaders.train:
            self.step(images, labels)
            yield Done(1, len(labels))

    def _means(self, n_images: int) -> Pass:
        return self.tally.read(n_images)

    def step(self, images: Tensor, labels: Tensor) -> None:
        """One training step, counted in the tally."""
        outputs = self.model(images)
        loss = F.cross_entropy(outputs, labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.tally.add(loss.detach() * len(labels), outputs.detach(), labels)

    @torch.no_grad()
    def evaluate(self) -> Pass:
        self.model.eval()
        self.tally.clear()
        n = 0
        for images, labels in self.loaders.test:
            outputs = self.model(images)
            self.tally.add(F.cross_entropy(outputs, labels, reduction="sum"), outputs, labels)
            n += len(labels)
        return self.tally.read(n)


class FusedAdam:
    """Adam (Kingma & Ba, 2015) by torch's own fused kernel, without the per-step bookkeeping of `torch.optim.Adam`.

    That bookkeeping is a twentieth of a step at batch size 4. Its state lives from the start, so that a CUDA graph can
    be captured of it. As torch's, it passes over a parameter without a gradient.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], *, lr: float) -> None:
        self._parameters: list[Tensor] = list(parameters)
        self._lr = lr
        self._means = [torch.zeros_like(p, memory_format=torch.preserve_format) for p in parameters]
        self._squares = [torch.zeros_like(p, memory_format=torch.preserve_format) for p in parameters]
        self._steps = [torch.zeros((), device=p.device) for p in parameters]

    @property
    def state(self) -> list[Tensor]:
        """Every tensor that a step changes, beside the parameters."""
        return [*self._means, *self._squares, *self._steps]

    def zero_grad(self) -> None:
        """Drop the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Apply the gradients."""
        parameters, means, squares, steps = self._parameters, self._means, self._squares, self._steps
        gradients = [p.grad for p in parameters if p.grad is not None]
        if len(gradients) < len(parameters):
            with_one = [i for i, p in enumerate(parameters) if p.grad is not None]
            parameters, means, squares, steps = (
                [these[i] for i in with_one] for these in (parameters, means, squares, steps)
            )
        adam(
            parameters, gradients, means, squares, [], steps,
            fused=True, foreach=False, capturable=True, differentiable=False, has_complex=False,
            amsgrad=False, beta1=0.9, beta2=0.999, lr=self._lr, weight_decay=0.0, eps=1e-8, maximize=False,
        )  # fmt: skip


class Tally:
    """Loss and correct answers of a pass, kept on the device until they are read."""

    def __init__(self, device: torch.device) -> None:
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._correct = torch.zeros((), dtype=torch.int64, device=device)

    @property
    def state(self) -> list[Tensor]:
        """What it keeps."""
        return [self._loss, self._correct]

    def clear(self) -> None:
        """Begin a pass."""
        self._loss.zero_()
        self._correct.zero_()

    def add(self, loss_sum: Tensor, outputs: Tensor, labels: Tensor) -> None:
        """Count a batch."""
        self._loss += loss_sum
        self._correct += (outputs.argmax(1) == labels).sum()

    def read(self, n: int) -> Pass:
        """Means over `n` images; waits for the device."""
        return Pass(self._loss.item() / n, self._correct.item() / n)


def _channels_last(split: Split) -> Split:
    return Split(split.images.contiguous(memory_format=torch.channels_last), split.labels)
