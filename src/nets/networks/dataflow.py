"""What every tensor of one forward pass is computed from: the input, parameters alone, or neither.

A dispatch mode sees each aten operation below autograd, so a module's name, how often it is used and whether its
weights are trained does not matter. An operation that multiplies a tensor computed from the input by one computed from
parameters alone is a weight operation. An operation that could hide one is refused by name, and so is memory that no
operation of the pass has written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import HigherOrderOperator
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from nets.errors import NetsError
from nets.networks.disguised import Disguised
from nets.networks.operations import ATTENTION, PRODUCTS, hides_no_product, n_macs, only_shape, operands, tensors
from nets.networks.table import ModuleLog

# Origins, in an order in which an operation's result has the highest origin of its operands. INPUT + n is computed
# from the input through n weight operations at most.
UNWRITTEN, CONSTANT, WEIGHT, INPUT = range(-1, 3)
_NAMESPACES = ("aten", "prims", "prim", "torchvision")


class UnknownStructure(NetsError):
    """A network whose layers can't be counted; the message says why."""


class Dataflow(TorchDispatchMode):
    """Follows the input and the parameters through every operation, and keeps for each tensor its origin.

    An origin is kept for each storage, which views share; once a part of a storage is written, for each of its bytes.
    Other tensors than `weights` and `constants` that no operation of the pass has made are `foreign`, and taken for
    constants, or refused if `strict`. `overwritten`: the storages of
    parameters that the pass has written to, each with a copy of what it held before; `refusal`: the error that stopped
    the pass. `image_macs` and `independent_macs`: the multiply-accumulates of operations that depend on the input, and
    of those that don't. `log`: is told of each of the former.
    """

    supports_higher_order_operators = True  # else torch refuses them with an error of its own

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled inside; else torch imports its compiler for the first operation, which takes seconds."""
        return False

    def __init__(self, weights: Iterable[Tensor], constants: Iterable[Tensor], strict: bool, log: ModuleLog) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch gives it no types
        self.image_macs = self.independent_macs = 0
        self.disguised = Disguised()
        # a weak reference keeps the address from being given out again, but not the memory
        self._origins: dict[StorageWeakRef, int | Tensor] = {_storage(tensor): CONSTANT for tensor in constants}
        self._parameters = {_storage(parameter) for parameter in weights}
        self._origins.update(dict.fromkeys(self._parameters, WEIGHT))
        self.overwritten: dict[StorageWeakRef, tuple[Tensor, Tensor]] = {}
        self.refusal: UnknownStructure | None = None
        self.foreign: list[Tensor] = []
        self._strict, self._log = strict, log
        self._python_has_read = False

    def mark_input(self, images: Tensor) -> None:
        """Make a tensor the input."""
        self._origins[_storage(images)] = INPUT

    def depth(self, tensor: Tensor) -> int | None:
        """Weight operations on the longest path to this tensor; None if it is not computed from the input."""
        origin = self._read(tensor, "the network's output")
        return origin - INPUT if origin >= INPUT else None

    def leave(self, tensor: Tensor, by: str) -> None:
        """Refuse that values of the input or of weights leave torch; whole numbers, as of indices and sizes, may."""
        if (tensor.is_floating_point() or tensor.is_complex()) and self._read(tensor, "") >= WEIGHT:
            because = f"values of the input or of weights leave torch by {by}"
            self.refuse(UnknownStructure(f"{because} and can't be followed: compute by torch's operations alone"))

    def refuse(self, refusal: UnknownStructure) -> None:
        """Stop the pass, even where the network's code catches the error."""
        self.refusal = self.refusal or refusal
        raise refusal

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        try:
            return self._follow(func, args, kwargs or {})
        except UnknownStructure as refusal:
            self.refuse(refusal)

    def _follow(self, func: Any, args: Any, kwargs: Any) -> Any:
        if isinstance(func, HigherOrderOperator):
            because = f"the layers inside the higher-order operation {func} can't be counted"
            raise UnknownStructure(f"{because}; call what it is given by Python's own means")
        if func.namespace != "prim":
            with self:  # inference mode leaves composite operations whole
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        read, written = operands(func, args, kwargs)
        for tensor in read:
            if isinstance(tensor, nn.Parameter) and _storage(tensor) not in self._parameters:
                self._parameters.add(_storage(tensor))  # not among the modules' parameters, or initialised by the pass
                self._origins[_storage(tensor)] = WEIGHT
        self._save_parameters(written)
        given = {_storage(tensor) for tensor in tensors((args, kwargs))}
        out = func(*args, **kwargs)
        if func.overloadpacket.__name__.startswith("lift"):
            self._lift(args[0])
        fresh = [tensor for tensor in tensors(out) if _storage(tensor) not in given]
        if fresh or written:  # else a view, or a query of a property
            self._follow_result(func, args, kwargs, out, (read, written, fresh))
        elif func.overloadpacket.__name__ == "_local_scalar_dense" and args[0].is_floating_point():
            self._python_has_read |= self._read(args[0], "") >= INPUT
        return out

    def _lift(self, tensor: Tensor) -> None:
        """Take what Python's numbers have been made, for which alone torch has memory of its own, for a constant."""
        if _storage(tensor) in self._origins or not tensor.untyped_storage().resizable():
            return
        if self._python_has_read and tensor.is_floating_point():
            because = "numbers that Python has read from what the input gave may be in a new tensor"
            raise UnknownStructure(f"{because}: make it by torch's operations, as torch.stack")
        self._origins[_storage(tensor)] = CONSTANT

    def _follow_result(
        self, func: Any, args: Any, kwargs: Any, out: Any, used: tuple[list[Tensor], list[Tensor], list[Tensor]]
    ) -> None:
        """Keep the origin of what an operation has made (fresh) or written in place, and count the operation."""
        read, written, fresh = used
        name = func.overloadpacket.__name__.removesuffix("_")
        if name == "copy" and written:
            self._copy(args[1], written[0])
            return
        origin = self._origin(func, args, read, written)
        macs = n_macs(func, name, args, kwargs, out)
        if macs:
            self.image_macs += macs * (origin >= INPUT)
            self.independent_macs += macs * (origin < INPUT)
        if origin >= INPUT:
            depths = [(_storage(tensor), self._read(tensor, "") - INPUT) for tensor in read]
            self._log.operation(depths, [*map(_storage, (*fresh, *written))], origin - INPUT, macs)
            self.disguised.watch(func, name, args, kwargs, out, lambda tensor: self._read(tensor, "") == WEIGHT)
        for tensor in fresh:
            self._origins[_storage(tensor)] = origin
        for tensor in written:
            self._write(tensor, self._of_parameter(read) if _storage(tensor) in self._parameters else origin)

    def _origin(self, func: Any, args: Any, read: list[Tensor], written: list[Tensor]) -> int:
        """Return the origin of an operation's result, by the rule above."""
        name = func.overloadpacket.__name__
        if name.startswith(("empty", "new_empty")):
            return UNWRITTEN
        if only_shape(name):
            return CONSTANT
        # filling a part of a new buffer both reads and writes it
        origins = [self._read(tensor, "" if any(tensor is other for other in written) else name) for tensor in read]
        highest = max(origins, default=CONSTANT)
        if highest < INPUT:
            return highest
        if func.namespace not in _NAMESPACES:
            because = f"the layers inside the operation {func.namespace}::{name} can't be counted"
            raise UnknownStructure(f"{because}; count a network that is written with torch's own operations")
        name = name.removesuffix("_")
        if name in PRODUCTS:
            return max(highest, _product(*(self._read(args[i], name) for i in PRODUCTS[name])))
        if name in ATTENTION:
            queries, keys, values = (self._read(tensor, name) for tensor in args[:3])
            return max(highest, _product(_product(queries, keys), values))
        if WEIGHT in origins and not hides_no_product(func, name):
            because = f"the layers inside the fused operation {name} can't be counted"
            raise UnknownStructure(f"{because}; write it as its separate products")
        return highest

    def _of_parameter(self, read: list[Tensor]) -> int:
        """Return the origin of what is written to a parameter: it stays one, wherever indices say it is written."""
        values = (tensor for tensor in read if tensor.is_floating_point() or tensor.is_complex())
        return max((self._read(tensor, "") for tensor in values), default=WEIGHT)

    def _read(self, tensor: Tensor, reader: str) -> int:
        """Return the highest origin in the memory that a tensor spans."""
        if tensor.numel() == 0:
            return CONSTANT
        lowest = origin = self._known(tensor)
        if isinstance(origin, Tensor):
            region = _bytes(origin, tensor)
            lowest, origin = int(region.min()), int(region.max())
        if lowest == UNWRITTEN and reader:
            because = "reads memory that was left empty, or written outside of torch's operations"
            raise UnknownStructure(f"{reader} {because}: write it by torch's operations")
        return int(origin)

    def _known(self, tensor: Tensor) -> int | Tensor:
        """Return what is known of the origin of a tensor's storage."""
        if _storage(tensor) not in self._origins:
            if self._strict:
                raise UnknownStructure(
                    f"a tensor of shape {tuple(tensor.shape)} appears in the pass that no operation of the pass has "
                    "made, as by numpy or in another thread: make it by torch's operations, or before the pass"
                )
            self.foreign.append(tensor)
            self._origins[_storage(tensor)] = CONSTANT
        origin = self._origins[_storage(tensor)]
        n_bytes = tensor.untyped_storage().nbytes()
        if isinstance(origin, Tensor) and len(origin) < n_bytes:  # it was resized
            origin = nn.functional.pad(origin, (0, n_bytes - len(origin)), value=UNWRITTEN)
            self._origins[_storage(tensor)] = origin
        return origin

    def _write(self, tensor: Tensor, origin: int) -> None:
        """Set the origin of what an operation has written in place."""
        if _storage(tensor) in self._parameters:
            origin = max(origin, WEIGHT)  # a parameter stays a parameter, whatever is written to it
        if tensor.numel() * tensor.element_size() >= tensor.untyped_storage().nbytes():
            self._origins[_storage(tensor)] = origin
        elif isinstance(before := self._known(tensor), Tensor) or before != origin:
            _bytes(self._map(tensor), tensor).fill_(origin)

    def _copy(self, source: Tensor, target: Tensor) -> None:
        """Set the origin of what was copied from another tensor, value by value where its parts differ."""
        origin = self._known(source) if source.numel() else CONSTANT
        if isinstance(origin, Tensor) and _storage(target) not in self._parameters:
            values = _bytes(origin, source).amin(-1, keepdim=True).clone()
            _bytes(self._map(target), target).copy_(values)
        else:
            self._write(target, self._read(source, "copy_"))

    def _map(self, tensor: Tensor) -> Tensor:
        """Return the origin of each byte of a tensor's storage, to be written to."""
        origin = self._known(tensor)
        if not isinstance(origin, Tensor):
            n_bytes = tensor.untyped_storage().nbytes()
            origin = torch.full((n_bytes,), origin, dtype=torch.int32, device="cpu")
            self._origins[_storage(tensor)] = origin
        return origin

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


def _storage(tensor: Tensor) -> StorageWeakRef:
    if tensor.is_nested:
        raise UnknownStructure("nested tensors can't be followed: pad the sequences to one length, and mask")
    try:
        return StorageWeakRef(tensor.untyped_storage())
    except (NotImplementedError, RuntimeError):
        dense = "; make it dense by .to_dense()" if "sparse" in str(tensor.layout) else ""
        raise UnknownStructure(f"tensors of the layout {tensor.layout} can't be followed{dense}") from None


def _bytes(origins: Tensor, tensor: Tensor) -> Tensor:
    """Return the part of a storage's origins (one a byte) that a tensor spans."""
    size = tensor.element_size()
    strides = [stride * size for stride in tensor.stride()]
    return origins.as_strided([*tensor.shape, size], [*strides, 1], tensor.storage_offset() * size)
