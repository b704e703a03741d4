"""What every tensor of one forward pass is computed from: the input, parameters alone, or neither.

A dispatch mode sees each aten operation below autograd, so a module's name, how often it is used and whether its
weights are trained does not matter. An operation that multiplies a tensor computed from the input by one computed from
parameters alone is a weight operation. An operation that could hide one is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import HigherOrderOperator
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nets.errors import NetsError

# Origins, in an order in which an operation's result has the highest origin of its operands. INPUT + n is computed
# from the input through n weight operations at most.
UNWRITTEN, CONSTANT, WEIGHT, INPUT = range(-1, 3)
# operation -> the positions of the operands that are multiplied
_PRODUCTS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "vdot", "convolution", "_convolution", "conv_tbc"), (0, 1)),
    **dict.fromkeys(("_int_mm", "_scaled_mm"), (0, 1)),
    **dict.fromkeys(("addmm", "addmv", "addbmm", "baddbmm", "_addmm_activation"), (1, 2)),
    "_trilinear": (0, 1, 2),
}
# (queries · keys) · values, in their first three operands
_ATTENTION = """
    _scaled_dot_product_flash_attention _scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_cudnn_attention
    _scaled_dot_product_efficient_attention _flash_attention_forward _efficient_attention_forward
"""
# Operations on activations and weights together that neither multiply matrices nor are tagged elementwise by torch:
# normalisation, lookup and interpolation, and those that only concatenate, select or copy values.
_NO_PRODUCT = """
    native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_functional
    _native_batch_norm_legit_no_training _batch_norm_no_update _batch_norm_with_update
    _batch_norm_with_update_functional cudnn_batch_norm miopen_batch_norm batch_norm_elemt
    native_group_norm native_layer_norm _fused_rms_norm _weight_norm_interface
    _prelu_kernel _masked_softmax _thnn_fused_lstm_cell _thnn_fused_gru_cell
    embedding _embedding_bag _embedding_bag_forward_only
    grid_sampler_2d grid_sampler_3d cudnn_grid_sampler roi_align roi_pool ps_roi_align ps_roi_pool
    cat _chunk_cat stack _stack block_diag copy fill where complex polar rsub floor_divide addr
    masked_fill masked_select masked_scatter gather take put searchsorted bucketize isin
    index index_add index_copy index_fill index_put index_reduce index_select _index_put_impl
    _unsafe_index _unsafe_index_put _unsafe_masked_index _unsafe_masked_index_put_accumulate
    scatter scatter_add scatter_reduce segment_reduce
    select_scatter slice_scatter diagonal_scatter as_strided_scatter
"""
_NAMESPACES = ("aten", "prims", "prim", "torchvision")
_OVERWRITING = ("copy_", "fill_", "zero_", "normal_", "uniform_")  # they don't read what they write to
_SHAPE_ONLY = ("empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like", "randint_like")


class UnknownStructure(NetsError):
    """A network whose layers can't be counted; the message says why."""


class Dataflow(TorchDispatchMode):
    """Follows the input and the parameters through every operation, and keeps for each tensor its origin.

    An origin is kept for each storage, which views share; once a part of a storage is written, for each of its bytes.
    `overwritten`: the storages of parameters that the pass has written to, each with a copy of what it held before;
    `refusal`: the error that stopped the pass. `flops`: the sum over operations that have a formula in `formulas`, as
    torch.utils.flop_counter counts them.
    """

    supports_higher_order_operators = True  # else torch refuses them with an error of its own

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled inside; else torch imports its compiler for the first operation, which takes seconds."""
        return False

    def __init__(self, parameters: Iterable[Tensor], formulas: Mapping[Any, Callable[..., int]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch gives it no types
        self.flops = 0
        self._formulas = formulas
        # a weak reference keeps the address from being given out again, but not the memory
        self._origins: dict[StorageWeakRef, int | Tensor] = {}
        self._parameters = {_storage(parameter) for parameter in parameters}
        self._origins.update(dict.fromkeys(self._parameters, WEIGHT))
        self.overwritten: dict[StorageWeakRef, tuple[Tensor, Tensor]] = {}
        self.refusal: UnknownStructure | None = None

    def mark_input(self, images: Tensor) -> None:
        """Make a tensor the input."""
        self._origins[_storage(images)] = INPUT

    def depth(self, tensor: Tensor) -> int | None:
        """Weight operations on the longest path to this tensor; None if it is not computed from the input."""
        origin = self._read(tensor, "the network's output")
        return origin - INPUT if origin >= INPUT else None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        try:
            return self._follow(func, args, kwargs or {})
        except UnknownStructure as refusal:
            self.refusal = refusal
            raise

    def _follow(self, func: Any, args: Any, kwargs: Any) -> Any:
        if isinstance(func, HigherOrderOperator):
            raise UnknownStructure(f"the layers inside the higher-order operation {func} can't be counted")
        if func.namespace != "prim":
            with self:  # inference mode leaves composite operations whole
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        read, written = _operands(func, args, kwargs)
        for tensor in read:
            if isinstance(tensor, nn.Parameter) and _storage(tensor) not in self._parameters:
                self._parameters.add(_storage(tensor))  # not among the modules' parameters, or initialised by the pass
                self._origins[_storage(tensor)] = WEIGHT
        self._save_parameters(written)
        operands = {_storage(tensor) for tensor in _tensors((args, kwargs))}
        out = func(*args, **kwargs)
        if (formula := self._formulas.get(func.overloadpacket)) is not None:
            self.flops += formula(*args, **kwargs, out_val=out)
        fresh = [tensor for tensor in _tensors(out) if _storage(tensor) not in operands]
        if fresh or written:  # else a view, or a query of a property
            origin = self._origin(func, args, read, written)
            for tensor in fresh:
                self._origins[_storage(tensor)] = origin
            for tensor in written:
                self._write(tensor, origin)
        return out

    def _origin(self, func: Any, args: Any, read: list[Tensor], written: list[Tensor]) -> int:
        """Return the origin of an operation's result, by the rule above."""
        name = func.overloadpacket.__name__
        if name.startswith(("empty", "new_empty")):
            return UNWRITTEN
        if name in _SHAPE_ONLY or name.startswith("new_"):
            return CONSTANT
        # filling a part of a new buffer both reads and writes it
        origins = [self._read(tensor, "" if any(tensor is other for other in written) else name) for tensor in read]
        highest = max(origins, default=CONSTANT)
        if highest < INPUT:
            return highest
        if func.namespace not in _NAMESPACES:
            raise UnknownStructure(f"the layers inside the operation {func.namespace}::{name} can't be counted")
        name = name.removesuffix("_")
        if name in _PRODUCTS:
            return max(highest, _product(*(self._read(args[i], name) for i in _PRODUCTS[name])))
        if name in _ATTENTION.split():
            queries, keys, values = (self._read(tensor, name) for tensor in args[:3])
            return max(highest, _product(_product(queries, keys), values))
        if WEIGHT in origins and name not in _NO_PRODUCT.split() and not _elementwise(func, name):
            raise UnknownStructure(f"the layers inside the fused operation {name} can't be counted")
        return highest

    def _read(self, tensor: Tensor, reader: str) -> int:
        """Return the highest origin in the memory that a tensor spans."""
        if tensor.numel() == 0:
            return CONSTANT
        origin = self._origins.get(_storage(tensor), CONSTANT)
        lowest = origin
        if isinstance(origin, Tensor):
            region = _bytes(origin, tensor)
            lowest, origin = int(region.min()), int(region.max())
        if lowest == UNWRITTEN and reader:
            raise UnknownStructure(f"{reader} reads memory that was written outside of torch's operations")
        return origin

    def _write(self, tensor: Tensor, origin: int) -> None:
        """Set the origin of what an operation has written in place."""
        if _storage(tensor) in self._parameters:
            origin = max(origin, WEIGHT)  # a parameter stays a parameter, whatever is written to it
        n_bytes = tensor.untyped_storage().nbytes()
        before = self._origins.get(_storage(tensor), CONSTANT)
        if tensor.numel() * tensor.element_size() >= n_bytes:
            self._origins[_storage(tensor)] = origin
        elif isinstance(before, Tensor) or before != origin:
            if not isinstance(before, Tensor):
                before = torch.full((n_bytes,), before, dtype=torch.int32, device="cpu")
                self._origins[_storage(tensor)] = before
            _bytes(before, tensor).fill_(origin)

    def _save_parameters(self, written: list[Tensor]) -> None:
        """Copy the parameters among the tensors that an operation is about to overwrite."""
        for tensor in written:
            storage = _storage(tensor)
            if storage in self._parameters and storage not in self.overwritten:
                self.overwritten[storage] = memory(tensor), memory(tensor).clone()


def memory(tensor: Tensor) -> Tensor:
    """Return all bytes of a tensor's storage, including those outside of the tensor."""
    return torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(tensor.untyped_storage())


def _product(*origins: int) -> int:
    highest = max(origins)
    return highest + 1 if highest >= INPUT and WEIGHT in origins else highest


def _elementwise(func: Any, name: str) -> bool:
    packet = getattr(torch.ops.aten, name, func.overloadpacket)  # of add_ too: the tag may be on add alone
    overloads = (getattr(packet, overload) for overload in packet.overloads())
    return name.startswith("_foreach_") or any(torch.Tag.pointwise in overload.tags for overload in overloads)


def _operands(func: Any, args: Any, kwargs: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Return the tensors that an operation reads, and those that it writes in place."""
    read: list[Tensor] = []
    written: list[Tensor] = []
    for i, argument in enumerate(func._schema.arguments):
        value = args[i] if i < len(args) else kwargs.get(argument.name)
        writes = argument.alias_info is not None and argument.alias_info.is_write
        if writes:
            written.extend(_tensors(value))
        if not writes or not (argument.kwarg_only or func.overloadpacket.__name__ in _OVERWRITING):
            read.extend(_tensors(value))
    return read, written


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _storage(tensor: Tensor) -> StorageWeakRef:
    try:
        return StorageWeakRef(tensor.untyped_storage())
    except (NotImplementedError, RuntimeError):
        raise UnknownStructure(f"tensors of the layout {tensor.layout} can't be followed") from None


def _bytes(origins: Tensor, tensor: Tensor) -> Tensor:
    """Return the part of a storage's origins (one a byte) that a tensor spans."""
    size = tensor.element_size()
    strides = [stride * size for stride in tensor.stride()]
    return origins.as_strided([*tensor.shape, size], [*strides, 1], tensor.storage_offset() * size)
