"""The trainers that run each step directly, operation by operation: the resident pipeline's, and the article's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from nets.records.cell import Protocol
from nets.training.trainer import Loaders, Pass, StepsDone, Trainer

NOTED_STEPS = 64
"""Eager steps whose outputs are kept until they are counted together, in six operations instead of six a step."""


class ResidentTrainer(Trainer):
    """Eager steps; the loss and the correct answers are added up on the device."""

    optimizer: FusedAdam

    def __init__(self, model: nn.Module, loaders: Loaders, protocol: Protocol, device: torch.device) -> None:
        super().__init__(model)
        self.loaders = loaders
        self.device = device
        self.optimizer = FusedAdam([p for p in model.parameters() if p.requires_grad], lr=protocol.lr)
        self.tally = Tally(device)
        self._one = torch.ones((), device=device)  # the gradient of the loss by itself, ready for every step

    def _epoch(self) -> Iterator[StepsDone]:
        self.model.train()
        self.tally.clear()
        for images, labels in self.loaders.train:
            loss, outputs = self.step(images, labels)
            self.tally.add_later(loss, outputs, labels)
            yield StepsDone(1, len(labels))

    def _means(self, n_images: int) -> Pass:
        return self.tally.read(n_images)

    def step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One training step; its mean loss () and outputs (N, classes), detached."""
        outputs = self.model(images)
        loss = F.cross_entropy(outputs, labels)
        self.optimizer.zero_grad()
        if self._one.dtype != loss.dtype:
            self._one = torch.ones_like(loss)
        loss.backward(self._one)
        self.optimizer.step()
        return loss.detach(), outputs.detach()

    @torch.no_grad()
    def evaluate(self) -> Pass:
        self.model.eval()
        self.tally.clear()
        n = 0
        for images, labels in self.loaders.test:
            outputs = self.model(images)
            self.tally.add(F.cross_entropy(outputs, labels), outputs, labels)
            n += len(labels)
        return self.tally.read(n)


class FusedAdam:
    """Adam (Kingma & Ba, 2015) by torch's own fused kernel, without the per-step bookkeeping of `torch.optim.Adam`.

    That bookkeeping is a twentieth of a step at batch size 4. Its state is allocated at construction, so that a CUDA
    graph can be captured. As torch's, it skips a parameter without a gradient, and treats a complex one as two real.

    `piece`: the kernel gives each 65,536 elements of a tensor one block, which leaves most SMs of a GPU idle. Tensors
    of more than so many elements are handed to it in pieces, flat views of the same memory; None for as they are.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], *, lr: float, piece: int | None = None) -> None:
        self._parameters: list[Tensor] = list(parameters)
        self._lr = lr
        real = [_real(p.detach()) for p in parameters]
        self._means = [torch.zeros_like(p, memory_format=torch.preserve_format) for p in real]
        self._squares = [torch.zeros_like(p, memory_format=torch.preserve_format) for p in real]
        dtypes = [p.dtype for p in real]
        # the kernel takes real numbers of one type
        self._groups = [[i for i, each in enumerate(dtypes) if each == dtype] for dtype in dict.fromkeys(dtypes)]
        self._as_they_are = len(self._groups) == 1 and not any(p.is_complex() for p in parameters)
        self._counts = torch.zeros(len(self._parameters), device=parameters[0].device)
        self._steps = list(self._counts.unbind())  # views: counting all of them is one operation
        self._ahead: list[Tensor] = []
        self._n_ahead = 0
        self._piece = _piece(real) if piece is None and real[0].device.type == "cuda" else piece
        self._pieces = [self._in_pieces(these) for these in (real, self._means, self._squares)]

    @property
    def state(self) -> list[Tensor]:
        """Every tensor that a step changes, beside the parameters."""
        return [*self._means, *self._squares, self._counts]

    def zero_grad(self) -> None:
        """Drop the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @contextmanager
    def counted_together(self, n_steps: int) -> Iterator[None]:
        """Count up to `n_steps` steps in the block at once, as long as every parameter has a gradient in each."""
        ahead = torch.arange(1, n_steps + 1, device=self._counts.device, dtype=self._counts.dtype)
        self._ahead = list((ahead[:, None] + self._counts).unbind())
        try:
            yield
        finally:
            self._settle()

    def _settle(self) -> None:
        """Note what was counted ahead."""
        if self._n_ahead:
            self._counts += self._n_ahead
        self._ahead, self._n_ahead = [], 0

    @torch.no_grad()
    def step(self) -> None:
        """Apply the gradients."""
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        if self._as_they_are and len(gradients) == len(self._parameters):
            steps = self._counted()
            if self._piece is None or any(
                g.stride() != p.stride() for g, p in zip(gradients, self._parameters, strict=True)
            ):
                self._apply(self._parameters, gradients, self._means, self._squares, steps)
                return
            parameters, means, squares = self._pieces
            pieces = self._in_pieces(gradients)
            of_each = [step for step, g in zip(steps, gradients, strict=True) for _ in range(self._n_pieces(g))]
            self._apply(parameters, pieces, means, squares, of_each)
            return
        self._settle()
        for group in self._groups:
            with_one = [i for i in group if self._parameters[i].grad is not None]
            if not with_one:
                continue
            parameters, means, squares, steps = (
                [these[i] for i in with_one] for these in (self._parameters, self._means, self._squares, self._steps)
            )
            torch._foreach_add_(steps, 1)
            gradients = [_real(p.grad) for p in parameters if p.grad is not None]
            self._apply([_real(p) for p in parameters], gradients, means, squares, steps)

    def _counted(self) -> list[Tensor]:
        """Each parameter's number of this step."""
        if self._n_ahead < len(self._ahead):
            self._n_ahead += 1
            return list(self._ahead[self._n_ahead - 1].unbind())
        self._settle()
        self._counts += 1
        return self._steps

    def _n_pieces(self, tensor: Tensor) -> int:
        return 1 if self._piece is None else max(1, -(-tensor.numel() // self._piece))

    def _in_pieces(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Flat views of at most a piece each, in the order of the memory."""
        if self._piece is None:
            return list(tensors)
        return [
            part
            for each in tensors
            for part in each.as_strided((each.numel(),), (1,)).tensor_split(self._n_pieces(each))
        ]

    def _apply(self, parameters: list[Tensor], gradients: list[Tensor], *state: list[Tensor]) -> None:
        means, squares, steps = state
        torch._fused_adam_(
            parameters, gradients, means, squares, [], steps,
            lr=self._lr, beta1=0.9, beta2=0.999, weight_decay=0.0, eps=1e-8, amsgrad=False, maximize=False,
        )  # fmt: skip


MAX_TENSORS = 36
"""Tensors that one launch of the fused kernel takes; with more pieces there would be more launches."""
PIECE = 12_000


def _piece(tensors: Sequence[Tensor]) -> int | None:
    """How large pieces are to be, so that one launch takes all; None where they don't help, or a tensor has gaps."""
    if not all(_is_dense(each) for each in tensors):
        return None
    spare = MAX_TENSORS - len(tensors)
    if spare <= 0:
        return None
    return max(PIECE, -(-sum(each.numel() for each in tensors) // spare))


def _is_dense(tensor: Tensor) -> bool:
    """Whether its elements fill their memory without gaps, in whatever order."""
    order = sorted(range(tensor.dim()), key=tensor.stride)
    return tensor.permute(order[::-1]).is_contiguous()


class Tally:
    """Loss and correct answers of a pass, kept on the device until they are read."""

    def __init__(self, device: torch.device) -> None:
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._correct = torch.zeros((), dtype=torch.int64, device=device)
        self._noted: list[tuple[Tensor, Tensor, Tensor]] = []

    @property
    def state(self) -> list[Tensor]:
        """What it keeps."""
        return [self._loss, self._correct]

    def clear(self) -> None:
        """Begin a pass."""
        self._noted.clear()
        self._loss.zero_()
        self._correct.zero_()

    def add(self, loss: Tensor, outputs: Tensor, labels: Tensor) -> None:
        """Count a batch: its mean loss (), outputs (N, classes) and labels (N,)."""
        self._loss.add_(loss, alpha=len(labels))
        self._correct += (outputs.argmax(1) == labels).sum()

    def add_later(self, loss: Tensor, outputs: Tensor, labels: Tensor) -> None:
        """Count a batch later, together with others of its size."""
        if self._noted and (len(self._noted) == NOTED_STEPS or len(labels) != len(self._noted[0][2])):
            self.count()
        self._noted.append((loss, outputs, labels))

    def read(self, n: int) -> Pass:
        """Means over `n` images; waits for the device."""
        self.count()
        return Pass(self._loss.item() / n, self._correct.item() / n)

    def count(self) -> None:
        """Count what was noted."""
        if not self._noted:
            return
        losses, outputs, labels = zip(*self._noted, strict=True)
        self._loss.add_(torch.stack(losses).sum(dtype=torch.float64), alpha=len(labels[0]))
        self._correct += (torch.cat(outputs).argmax(1) == torch.cat(labels)).sum()
        self._noted.clear()


def _real(tensor: Tensor) -> Tensor:
    """The tensor itself; of a complex one its real and imaginary parts, in the same memory."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


class ArticleTrainer(Trainer):
    """The article's loops."""

    def __init__(self, model: nn.Module, loaders: Loaders, protocol: Protocol, device: torch.device) -> None:
        super().__init__(model)
        self._loaders = loaders
        self._device = device
        self.optimizer = Adam([p for p in model.parameters() if p.requires_grad], lr=protocol.lr)
        self._loss_sum, self._correct = 0.0, 0

    def _epoch(self) -> Iterator[StepsDone]:
        self.model.train()
        self._loss_sum, self._correct = 0.0, 0
        for cpu_images, cpu_labels in self._loaders.train:
            images, labels = cpu_images.to(self._device), cpu_labels.to(self._device)
            outputs = self.model(images)
            loss = F.cross_entropy(outputs, labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self._loss_sum += loss.item() * len(labels)
            self._correct += int((outputs.argmax(1) == labels).sum().item())
            yield StepsDone(1, len(labels))

    def _means(self, n_images: int) -> Pass:
        return Pass(self._loss_sum / n_images, self._correct / n_images)

    @torch.no_grad()
    def evaluate(self) -> Pass:
        self.model.eval()
        self._loss_sum, self._correct = 0.0, 0
        n_images = 0
        for cpu_images, cpu_labels in self._loaders.test:
            images, labels = cpu_images.to(self._device), cpu_labels.to(self._device)
            outputs = self.model(images)
            self._loss_sum += F.cross_entropy(outputs, labels, reduction="sum").item()
            self._correct += int((outputs.argmax(1) == labels).sum().item())
            n_images += len(labels)
        return self._means(n_images)
