"""A network -> its layers, hidden layers, parameters and operations, from one forward pass.

Layers are the weight operations (a convolution, or a matrix product with a weight) on the longest path from
input to output. An operation is one where one operand descends from the input and the other from parameters
alone; every aten operation of the pass is seen, so what a module is called or how often it is used does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from nets.models import ImageShape

aten = torch.ops.aten

# operation -> the positions of the two operands that are multiplied
_PRODUCTS: dict[Any, tuple[int, int]] = {
    aten.mm: (0, 1),
    aten.bmm: (0, 1),
    aten.mv: (0, 1),
    aten.dot: (0, 1),
    aten.addmm: (1, 2),
    aten.addmv: (1, 2),
    aten.baddbmm: (1, 2),
    aten.convolution: (0, 1),
    aten._trilinear: (0, 1),
}


class UnknownStructure(Exception):
    """A network whose layers can't be counted; the message says what stands in the way."""


# blocks with weights inside, which can't be seen through
_FUSED = frozenset(
    {
        "mkldnn_rnn_layer",
        "_cudnn_rnn",
        "miopen_rnn",
        "_thnn_fused_lstm_cell",
        "_thnn_fused_gru_cell",
        "_transformer_encoder_layer_fwd",
        "_native_multi_head_attention",
    }
)


@dataclass(frozen=True, slots=True)
class Structure:
    """What a network is made of. `macs_per_image`: multiply-accumulates of one image's forward pass."""

    parameters: int
    layers: int
    macs_per_image: int

    @property
    def hidden_layers(self) -> int:
        """Every layer but the output's."""
        return self.layers - 1


def structure(model: nn.Module, image: ImageShape) -> Structure:
    """Look at `model` by passing one image (1, C, H, W) of zeros through it, in evaluation mode.

    Parameters are the trainable ones. Source of the operations: torch.utils.flop_counter, two per multiply-accumulate.
    Raises UnknownStructure for a fused block, and where no weight operation leads from the input to the output.
    """
    parameter = next(model.parameters(), None)
    device = parameter.device if parameter is not None else torch.device("cpu")
    images = torch.zeros((1, *image), device=device)
    training = model.training
    model.eval()
    flops = FlopCounterMode(display=False)
    tracker = _Layers(images)
    try:
        with torch.no_grad(), flops, tracker:
            output = model(images)
    finally:
        model.train(training)
    layers = max((tracker.depth(leaf) or 0 for leaf in tree_leaves(output) if isinstance(leaf, Tensor)), default=0)
    if layers == 0:
        raise UnknownStructure("no convolution or matrix product with a weight leads from the input to the output")
    return Structure(
        parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        layers=layers,
        macs_per_image=flops.get_total_flops() // 2,
    )


class _Layers(TorchDispatchMode):
    """Follows the input through every operation; keeps, for each storage, the weight operations behind it."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch gives it no types
        self._depth: dict[int, int] = {_storage(images): 0}
        self._kept: list[Tensor] = [images]  # a freed storage's address would be given out again

    def depth(self, tensor: Tensor) -> int | None:
        """Weight operations on the longest path to this tensor; None if it does not descend from the input."""
        return self._depth.get(_storage(tensor))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in _FUSED:
            raise UnknownStructure(f"the layers inside the fused operation {name} can't be counted")
        out = func(*args, **(kwargs or {}))
        depths = [self.depth(tensor) for tensor in _tensors((args, kwargs))]
        reached = max((depth for depth in depths if depth is not None), default=None)
        if reached is not None:
            operands = _PRODUCTS.get(func.overloadpacket)
            if operands is not None and sum(self.depth(args[i]) is not None for i in operands) == 1:
                reached += 1
            for tensor in _tensors(out):
                self._kept.append(tensor)
                self._depth[_storage(tensor)] = max(reached, self.depth(tensor) or 0)
        return out


def _tensors(tree: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


def _storage(tensor: Tensor) -> int:
    address: int = tensor.untyped_storage()._cdata
    return address
