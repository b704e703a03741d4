"""A network -> its layers, hidden layers, parameters and operations, from one forward pass.

Layers are the weight operations (a convolution, or a matrix product with a weight) on the longest path from
input to output. In a weight operation one operand is computed from the input and the other from parameters alone;
`nets.networks.dataflow` follows both through the pass.
"""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_flop_count, shape_wrapper

from nets.cells.catalog import ImageShape
from nets.machine.settings import kept
from nets.networks.dataflow import Dataflow, UnknownStructure, memory

aten = torch.ops.aten


def _trilinear_flops(one: Any, two: Any, three: Any, *expanded: Any, **_: Any) -> int:
    shapes = [list(shape) for shape in (one, two, three)]
    for shape, dimensions in zip(shapes, expanded[:3], strict=True):
        for dimension in sorted(dimensions):
            shape.insert(dimension, 1)
    n_products: int = prod(max(sizes) for sizes in zip(*shapes, strict=True))
    return 2 * n_products


# The weight operations for which torch.utils.flop_counter has no formula: from its operands' shapes, two a
# multiply-accumulate. Of a bilinear layer each weight counts once.
_FLOPS: dict[Any, Any] = {
    **dict.fromkeys((aten.mv, aten.dot, aten.vdot), lambda a, b, **_: 2 * prod(a)),
    aten.addmv: lambda bias, a, b, *_, **__: 2 * prod(a),
    **dict.fromkeys((aten.addbmm, aten._addmm_activation), lambda bias, a, b, *_, **__: 2 * prod(a) * b[-1]),
    aten._int_mm: lambda a, b, *_, **__: 2 * prod(a) * b[-1],
    aten.conv_tbc: lambda a, b, *_, out_shape, **__: 2 * prod(out_shape) * prod(b[:2]),
    aten._trilinear: _trilinear_flops,
    # which torch 2.11 lacks
    aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v),
}


@dataclass(frozen=True, slots=True)
class Structure:
    """A network's size. `macs_per_image`: multiply-accumulates of one image's forward pass."""

    parameters: int
    layers: int
    macs_per_image: int

    @property
    def hidden_layers(self) -> int:
        """All layers but the output."""
        return self.layers - 1


def network_structure(model: nn.Module, image: ImageShape) -> Structure:
    """Examine `model` by passing one image (1, C, H, W) of zeros through it, in evaluation mode.

    The image has the device and the type of the network's parameters; on the meta device nothing is computed. Of
    several outputs the deepest counts. Parameters are the trainable ones. The network's state is restored; of a lazy
    one, which the pass would initialise, a copy is examined. Source of the operations: torch.utils.flop_counter, two
    per multiply-accumulate. Raises UnknownStructure where the pass fails, where an operation could hide a layer, and
    where no weight operation leads from the input to the output.
    """
    if not isinstance(model, nn.Module):
        raise UnknownStructure(f"a network is a torch.nn.Module, and this is a {type(model).__name__}")
    if any(map(is_lazy, [*model.parameters(), *model.buffers()])):
        try:
            model = copy.deepcopy(model)
        except (RuntimeError, ValueError, TypeError):
            because = "the network has lazy parameters and can't be copied: pass an image through it first"
            raise UnknownStructure(because) from None
    told = f"{type(model).__name__}, whose layers are counted,"
    with kept(told), _state_restored(model), _without_fusion(), torch.no_grad():
        layers, flops = _layers(model, image)
    if layers == 0:
        raise UnknownStructure("no convolution or matrix product with a weight leads from the input to the output")
    return Structure(
        parameters=sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        layers=layers,
        macs_per_image=flops // 2,
    )


def _layers(model: nn.Module, image: ImageShape) -> tuple[int, int]:
    """Pass one image through the network; the layers of the deepest output, and the operations of the pass."""
    parameters = _initialised(model.parameters())
    dataflow = Dataflow(parameters, flop_registry | {packet: shape_wrapper(f) for packet, f in _FLOPS.items()})
    try:
        like = next((p for p in parameters if p.is_floating_point()), torch.empty(0, dtype=torch.float32))
        images = torch.zeros((1, *image), device=like.device, dtype=like.dtype)
        dataflow.mark_input(images)
        with _parameters_restored(dataflow), dataflow:
            output = model(images)
    except (UnknownStructure, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if dataflow.refusal is not None:  # TorchScript replaces it by an error of its own
            raise dataflow.refusal from None
        because = str(error).strip().partition("\n")[0]
        raise UnknownStructure(
            f"the forward pass of one image of shape {tuple(image)} raised {type(error).__name__}: {because}"
        ) from error
    outputs = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
    if not outputs:
        raise UnknownStructure(f"the network returned a {type(output).__name__}, in which there is no tensor")
    return max(dataflow.depth(leaf) or 0 for leaf in outputs), dataflow.flops


def _initialised(tensors: Iterable[Tensor]) -> list[Tensor]:
    return [tensor for tensor in tensors if not is_lazy(tensor)]


@contextmanager
def _without_fusion() -> Iterator[None]:
    """Let fused attention and compiled code run operation by operation, without torch's warnings about it."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", UserWarning)
            if "torch._dynamo" in sys.modules:  # else nothing is compiled, and importing it takes seconds
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def _state_restored(model: nn.Module) -> Iterator[None]:
    """Put every submodule in evaluation mode; at the end restore modes, tensors and the random number generators.

    The flags are set one by one, since a network's own train() may do more: fold weights, or keep a part frozen.
    """
    flags = [(module, module.training) for module in model.modules()]
    owned = [(module._buffers, dict(module._buffers)) for module in model.modules() if type(module._buffers) is dict]
    parameters = [(p, p.data, p.grad, p.requires_grad) for p in _initialised(model.parameters())]
    buffers = [(b, b.data, memory(b).clone()) for b in _initialised(model.buffers()) if b.layout == torch.strided]
    device = next((p.device for p in model.parameters() if p.device.type not in ("cpu", "meta")), None)
    with torch.random.fork_rng([device] if device else [], device_type=device.type if device else "cuda"):
        try:
            for module, _ in flags:
                module.training = False
            for parameter, *_ in parameters:
                parameter.requires_grad_(False)  # nothing in the pass needs gradients
            yield
        finally:
            for module, training in flags:
                module.training = training
            for now, names in owned:
                now.clear()
                now.update(names)
            for parameter, data, grad, requires_grad in parameters:
                parameter.data, parameter.grad = data, grad
                parameter.requires_grad_(requires_grad)
            for buffer, data, values in buffers:
                memory(data).copy_(values)
                buffer.data = data


@contextmanager
def _parameters_restored(dataflow: Dataflow) -> Iterator[None]:
    try:
        yield
    finally:
        for written, before in dataflow.overwritten.values():
            written.copy_(before)
