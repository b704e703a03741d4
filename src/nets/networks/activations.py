"""How much memory a network's intermediate results take while one image is evaluated."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Live(TorchDispatchMode):
    """Adds up the memory that operations allocate, as long as anything refers to it; `peak_bytes`: the most at once."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled inside; else torch imports its compiler for the first operation, which takes seconds."""
        return False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch gives it no types
        self.peak_bytes = 0
        self._live: dict[StorageWeakRef, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        operands = {StorageWeakRef(each.untyped_storage()) for each in _tensors((args, kwargs))}
        for tensor in _tensors(out):
            storage = StorageWeakRef(tensor.untyped_storage())
            if storage not in operands:
                self._live[storage] = tensor.untyped_storage().nbytes()
        self._live = {storage: n_bytes for storage, n_bytes in self._live.items() if not storage.expired()}
        self.peak_bytes = max(self.peak_bytes, sum(self._live.values()))
        return out


def activation_bytes(network: nn.Module, images: Tensor) -> int | None:
    """The peak over a forward pass of these images, an image; None where an operation can't be looked into.

    What a library allocates inside of an operation is not in it.
    """
    live = _Live()
    with suppress(Exception):  # of any kind; the network's own is raised where it is evaluated
        with torch.no_grad(), live:
            network(images)
        return live.peak_bytes // len(images)
    return None


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
