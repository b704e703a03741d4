"""Networks as people write them; tests/plugin/test_own_networks.py runs each and says what must come of it."""

# mypy: disable-error-code="no-any-return, assignment"
from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nets import network

CLASSES = 10


def flat(n: int = 784) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(n, CLASSES))


@network(dataset=["digits", "shapes"])
class Viewed(nn.Module):
    """The commonest LeNet idiom."""

    def __init__(self, image: tuple[int, int, int], n_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(image[0], 4, 5, stride=3)
        self.head = nn.Linear(4 * ((image[1] - 5) // 3 + 1) ** 2, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        return self.head(x.view(x.size(0), -1))


@network(dataset="shapes")
class ViewedColour(nn.Module):
    """The image itself is viewed as a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3 * 32 * 32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.view(x.shape[0], -1))


class Standardised(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        rows = self.weight.view(self.weight.size(0), -1)
        rows = (rows - rows.mean(1, keepdim=True)) / (rows.std(1, keepdim=True) + 1e-5)
        return F.conv2d(x, rows.view_as(self.weight), self.bias, self.stride)


@network(dataset="digits")
def standardised() -> nn.Module:
    first, second = Standardised(1, 4, 5, stride=3), Standardised(4, 4, 3)
    return nn.Sequential(first, nn.ReLU(), second, nn.Flatten(), nn.Linear(144, CLASSES))


@network(dataset="digits")
class ComplexFilter(nn.Module):
    """A filter in the spectrum, a parameter of four dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Parameter(torch.randn(1, 1, 28, 15, dtype=torch.cfloat) * 0.02 + 1)
        self.head = flat()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.fft.irfft2(torch.fft.rfft2(x) * self.filter, s=(28, 28)))


@network(dataset="digits")
class Grown(nn.Module):
    """Its head is made by the first image."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU())
        self.head: nn.Linear | None = None

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        if self.head is None:
            self.head = nn.Linear(x.shape[1], CLASSES).to(x.device)
        return self.head(x)


@network(dataset="digits")
class GrownWhole(Grown):
    """All of it is made by the first image."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Flatten()


@network(dataset="digits")
class GrowsOn(nn.Module):
    """Another layer an image."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([flat()])

    def forward(self, x: Tensor) -> Tensor:
        self.layers.append(nn.Linear(1, 1))
        return self.layers[0](x)


@torch.library.custom_op("own_nets::product", mutates_args=())
def product(x: Tensor, weight: Tensor) -> Tensor:
    return x @ weight.T


def _backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
    x, weight = context.saved_tensors
    return gradient @ weight, gradient.T @ x


product.register_autograd(_backward, setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs))


@network(dataset="digits", layers=1, name="Hidden")
@network(dataset="digits", name="HiddenUndeclared")
class Hidden(nn.Module):
    """Its product can't be seen into."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(CLASSES, 784) * 0.01)

    def forward(self, x: Tensor) -> Tensor:
        return product(x.flatten(1), self.weight)


@network(dataset="digits")
class InPlace(nn.Module):
    """It writes into its images, and views what a convolution makes of them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 5, stride=3), nn.Linear(256, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x -= 0.5
        x = F.relu(self.conv(F.relu(x, inplace=True)))
        return self.head(x.view(x.size(0), -1))


@dataclass
class Output:
    logits: Tensor
    loss: Tensor | None = None


@network(dataset="digits")
class ReturnsADataclass(nn.Module):
    """As libraries do."""

    def __init__(self) -> None:
        super().__init__()
        self.head = flat()

    def forward(self, x: Tensor) -> Output:
        return Output(self.head(x))


@network(dataset="digits")
class FailsInTraining(nn.Module):
    """It can be counted, and not be trained."""

    def __init__(self) -> None:
        super().__init__()
        self.head = flat()

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            raise ValueError("not yet")
        return self.head(x)


@network(dataset="digits")
def warns_in_a_transformer() -> nn.Module:
    layer = nn.TransformerEncoderLayer(28, 4, 32, dropout=0.0, batch_first=True, norm_first=True)
    return nn.Sequential(nn.Flatten(1, 2), nn.TransformerEncoder(layer, 2), nn.Flatten(), nn.Linear(784, CLASSES))


@network(dataset="digits")
class WarnsOfADimension(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = flat()

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(self.head(x))


@network(dataset="digits")
def warns_of_weight_norm() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.utils.weight_norm(nn.Linear(784, CLASSES)))


@network(dataset="digits")
def warns_of_jit() -> nn.Module:
    return torch.jit.script(flat())


@network(dataset="digits")
class LeavesAFileOpen(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = flat()
        open(tempfile.gettempdir() + "/own-nets", "w")  # noqa: SIM115, PTH123

    def forward(self, x: Tensor) -> Tensor:
        warnings.warn("as libraries do", DeprecationWarning, stacklevel=1)
        return self.head(x)
