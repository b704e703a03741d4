"""Small networks for the tests, each written in a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nets.networks.layers import Structure, network_structure


class Net(nn.Module):
    """A forward pass of (N, 16), written as a function of the network and its input, with what it is made of."""

    def __init__(self, forward: Callable[[Any, Tensor], Any], **parts: Any) -> None:
        super().__init__()
        self.function = forward
        for name, part in parts.items():
            if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, images: Tensor) -> Any:
        return self.function(self, images.flatten(1))


def weight(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape))


def linear(n_out: int = 16) -> nn.Linear:
    return nn.Linear(16, n_out)


def layers(model: nn.Module) -> int:
    return network_structure(model, (1, 4, 4)).layers


def demand_table_adds_up(found: Structure) -> None:
    """The modules, one by one, have the network's parameters and operations, and its layers lie on the longest path."""
    assert sum(layer.on_longest_path for layer in found.table) == found.layers
    assert sum(layer.parameters for layer in found.table) == found.parameters
    once = found.macs_per_image - sum(layer.macs_per_image for layer in found.table)
    assert once >= 0  # work on weights that is done again for each image is no module's
    names = [layer.name for layer in found.table]
    assert len(set(names)) == len(names)
