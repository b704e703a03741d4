"""Layers, parameters and operations, and the networks that the article counted them for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nets.cells import CELLS, Cell
from nets.models import MODELS
from nets.structure import UnknownStructure, structure

SHAPES = {"mnist": (1, 28, 28), "digits": (1, 28, 28), "cifar10": (3, 32, 32), "shapes": (3, 32, 32)}
MACS = {
    "mnist-snn500": 397_000,
    "mnist-cnn3l": 2_838_080,
    "mnist-lenet5": 416_520,
    "cifar10-cnn3l": 2_228_800,
    "cifar10-lenet5": 651_720,
}


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.id)
def test_the_suite_s_networks(cell: Cell) -> None:
    """Each network has the article's layers, and its parameters exactly."""
    found = structure(MODELS[cell.model](SHAPES[cell.dataset], 10), SHAPES[cell.dataset])
    assert cell.expected is not None
    assert (found.parameters, found.layers) == (cell.expected.parameters, cell.expected.layers)
    if cell.id in MACS:
        assert found.macs_per_image == MACS[cell.id]


@pytest.mark.parametrize(("name", "layers"), [("resnet18", 18), ("vgg11", 11), ("densenet121", 121)])
def test_torchvision_s_networks(name: str, layers: int) -> None:
    """The longest path gives the number in the name, across skip connections and concatenations."""
    import torchvision

    assert structure(getattr(torchvision.models, name)(), (3, 64, 64)).layers == layers


class _Odd(nn.Module):
    """Weights times weights, activations times activations, a reshaped weight, and one weight used three times."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Parameter(torch.randn(16, 2))
        self.right = nn.Parameter(torch.randn(2, 16))

    def forward(self, images: Tensor) -> Tensor:
        weight = (self.left @ self.right).t()
        hidden = images.flatten(1)
        for _ in range(3):
            hidden = hidden @ weight
        scores = hidden @ hidden.t()
        return scores @ hidden


def test_only_input_times_weight_counts() -> None:
    """A low-rank weight is no layer, nor are scores between activations; a weight applied three times is three."""
    assert structure(_Odd(), (1, 4, 4)).layers == 3


def test_frozen_weights_count_as_layers_only() -> None:
    """A frozen layer is a layer, but not a trainable parameter."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Linear(8, 4))
    model[1].requires_grad_(False)
    found = structure(model, (1, 4, 4))
    assert (found.layers, found.hidden_layers, found.parameters) == (2, 1, 36)


def test_no_weight_is_refused() -> None:
    """A network without a weight operation is refused by name, never counted as 0."""
    with pytest.raises(UnknownStructure, match="no convolution or matrix product"):
        structure(nn.Flatten(), (1, 4, 4))


def test_the_network_is_left_as_it_was() -> None:
    """Looking changes neither the mode nor a running mean."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    structure(model, (1, 4, 4))
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
