"""Products of input and weight that no product operation computes: found, so that a record can name them.

They are neither layers nor multiply-accumulates: a cosine or radial basis head written with broadcasting, a Fourier or
wavelet series with learned coefficients, a learned filter that is applied in the spectrum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from nets.networks.operations import DISTANCES, elementwise, tensors

_SUMS = ("sum", "mean", "linalg_vector_norm", "norm")
_WHAT = {"mul": "product", "div": "product", "sub": "difference"}


class _Combined(NamedTuple):
    """An elementwise result of input and weight: by which operation, and the strides along which both vary."""

    name: str
    strides: tuple[int, ...]


class Disguised:
    """Watches operations for elementwise products of input and weight that are summed along what both vary along.

    A scale of channels, a gate or a bias is none: the input is not summed over what the weight varies along. The
    difference of two counts where each value of the input meets several weights, as in a distance. `found` are short
    sentences, each once.
    """

    def __init__(self) -> None:
        self.found: dict[str, None] = {}
        self._combined: dict[StorageWeakRef, _Combined] = {}
        self._transform = ""

    def watch(
        self, func: Any, name: str, args: Any, kwargs: Any, out: Any, is_weight: Callable[[Tensor], bool]
    ) -> None:
        """Look at an operation whose result depends on the input; `is_weight` says whether an operand is a weight."""
        operands = tensors(args)
        if not operands or not isinstance(out, Tensor):
            return
        if name.startswith("_fft_"):
            self._transform = name
        elif name in DISTANCES and any(map(is_weight, operands)):
            self.found[f"distances between input and weights: {name}"] = None
        elif name in _WHAT and len(operands) == 2 and is_weight(operands[0]) != is_weight(operands[1]):
            weight, other = sorted(operands, key=is_weight, reverse=True)
            self._combine(name, weight, other, out)
        elif (before := self._combined.get(_key(operands[0]))) is not None:
            if name in _SUMS:
                self._sum(name, before, operands[0], _dimensions(func, args, kwargs))
            elif before.name == "sub" and len(operands) == 1 and elementwise(func, name):
                self._combined[_key(out)] = before  # of the same strides: a square, an absolute value

    def _combine(self, name: str, weight: Tensor, other: Tensor, out: Tensor) -> None:
        if other.is_complex() and self._transform:
            self.found[f"a product of input and weight in the spectrum: {self._transform}, {name}"] = None
            return
        both = [each.expand(out.shape).stride() for each in (weight, other)]
        varying = [[size > 1 and stride > 0 for size, stride in zip(out.shape, s, strict=True)] for s in both]
        broadcast = any(by_weight and not by_other for by_weight, by_other in zip(*varying, strict=True))
        if name != "sub" or broadcast:
            strides = (s for s, one, two in zip(out.stride(), *varying, strict=True) if one and two)
            self._combined[_key(out)] = _Combined(name, tuple(strides))

    def _sum(self, name: str, before: _Combined, operand: Tensor, dimensions: list[int]) -> None:
        reduced = [(operand.stride(d), operand.stride(d) * operand.shape[d]) for d in dimensions]
        if any(low <= stride < high for low, high in reduced for stride in before.strides):
            what = f"a {_WHAT[before.name]} of input and weight that is summed afterwards"
            self.found[f"{what}: {before.name}, {name}"] = None


def _key(tensor: Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())


def _dimensions(func: Any, args: Any, kwargs: Any) -> list[int]:
    """The dimensions that an operation reduces: those of its argument `dim`, or all."""
    names = [argument.name for argument in func._schema.arguments]
    given = dict(zip(names, args, strict=False)) | kwargs
    dim = given.get("dim")
    dim = [dim] if isinstance(dim, int) else dim
    return list(dim) if dim else list(range(args[0].dim()))
