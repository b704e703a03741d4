"""One forward pass that leaves no trace: its surroundings, and the network's state, which it restores."""

from __future__ import annotations

import sys
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from nets.networks.dataflow import Dataflow, UnknownStructure, memory
from nets.networks.operations import tensors

# methods of a tensor that hand its values, or its memory, to others than torch's operations
_LEAVING = ("numpy", "__array__", "tolist", "__dlpack__", "data_ptr", "map_", "map2_")
# functions that read the values of tensors in a list, by no operation
_READING = ("tensor", "as_tensor", "asarray", "new_tensor")


class _Leaving(TorchFunctionMode):
    """Tells a Dataflow of the tensors whose values leave torch, which no operation says."""

    def __init__(self, dataflow: Dataflow) -> None:
        super().__init__()
        self._dataflow = dataflow

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [*args, *(kwargs or {}).values()]
        if (name := getattr(func, "__name__", "")) in _READING:
            given = [each for each in given if isinstance(each, list | tuple)]
        if name in _LEAVING + _READING:
            for tensor in tensors(given):
                self._dataflow.leave(tensor, f"Tensor.{name}" if name in _LEAVING else f"torch.{name}")
        return func(*args, **(kwargs or {}))


@contextmanager
def followed(dataflow: Dataflow) -> Iterator[None]:
    """Let a Dataflow follow the block, refuse threads that it starts, and restore the parameters that it writes to."""
    start, this = threading.Thread.start, threading.get_ident()

    def started(self: threading.Thread) -> None:
        if threading.get_ident() == this:
            because = "the forward pass starts a thread, in which torch's operations can't be followed"
            dataflow.refuse(UnknownStructure(f"{because}; run them one after another"))
        start(self)

    threading.Thread.start = started  # type: ignore[method-assign]
    try:
        with _Leaving(dataflow), dataflow:
            yield
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]
        for written, before in dataflow.overwritten.values():
            written.copy_(before)


@contextmanager
def without_fusion() -> Iterator[None]:
    """Let fused attention, fused recurrence and compiled code run operation by operation, without torch's warnings."""
    mha, cudnn, mkldnn = torch.backends.mha, torch.backends.cudnn, torch.backends.mkldnn
    before = mha.get_fastpath_enabled(), cudnn.enabled, mkldnn.enabled
    try:
        mha.set_fastpath_enabled(False)
        cudnn.enabled = False
        mkldnn.enabled = False  # type: ignore[assignment]  # torch's types name the descriptor
        with ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", UserWarning)
            if "torch._dynamo" in sys.modules:  # else nothing is compiled, and importing it takes seconds
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            yield
    finally:
        mha.set_fastpath_enabled(before[0])
        cudnn.enabled, mkldnn.enabled = before[1:]


@contextmanager
def state_restored(model: nn.Module, gradients: bool) -> Iterator[None]:
    """Put every submodule in evaluation mode; at the end restore modes, attributes, tensors and random numbers.

    The flags are set one by one, since a network's own train() may do more: fold weights, or keep a part frozen.
    What modules keep from a pass to the next, as folded weights, is forgotten. Without `gradients` no parameter asks
    for them.
    """
    # a frozen ScriptModule has no mode
    flags = [(module, module.training) for module in model.modules() if hasattr(module, "training")]
    attributes = [(container, container.copy()) for module in model.modules() for container in _containers(module)]
    parameters = [(p, p.data, p.grad, p.requires_grad) for p in initialised(model.parameters())]
    buffers = [(b, b.data, memory(b).clone()) for b in initialised(model.buffers()) if b.layout == torch.strided]
    device = next((p.device for p in model.parameters() if p.device.type not in ("cpu", "meta")), None)
    with torch.random.fork_rng([device] if device else [], device_type=device.type if device else "cuda"):
        try:
            for module, _ in flags:
                module.training = False
            for parameter, *_ in parameters:
                parameter.grad = None
                if not gradients:
                    parameter.requires_grad_(False)
            with torch.set_grad_enabled(gradients):
                yield
        finally:
            for module, training in flags:
                module.training = training
            for container, before in attributes:
                container.clear()
                container.extend(before) if isinstance(container, list) else container.update(before)
            for parameter, data, grad, requires_grad in parameters:
                parameter.data, parameter.grad = data, grad
                parameter.requires_grad_(requires_grad)
            for buffer, data, values in buffers:
                data.untyped_storage().resize_(len(values))
                memory(data).copy_(values)
                buffer.data = data


def _containers(module: nn.Module) -> list[Any]:
    """Return the dictionary of a module's attributes, and the plain dictionaries and lists among them."""
    return [vars(module), *(value for value in vars(module).values() if type(value) in (dict, OrderedDict, list))]


def weights_of(model: nn.Module) -> list[Tensor]:
    """Return a network's parameters that are initialised, and the weights in the graphs of its frozen ScriptModules."""
    frozen = (module for module in model.modules() if not hasattr(module, "training"))
    return [*initialised(model.parameters()), *(weight for module in frozen for weight in _graph_weights(module))]


def initialised(owned: Iterable[Tensor]) -> list[Tensor]:
    """Return the tensors that are not lazy."""
    return [tensor for tensor in owned if not is_lazy(tensor)]


def _graph_weights(module: Any) -> list[Tensor]:
    """Return the floating-point constants of a TorchScript graph, where freezing puts the parameters."""
    graph = module.inlined_graph  # kept, since its nodes die with it
    nodes = graph.findAllNodes("prim::Constant")
    values = [node.t("value") for node in nodes if node.hasAttribute("value") and node.kindOf("value") == "t"]
    return [value for value in values if value.is_floating_point()]
