"""A network's modules, one by one, while a forward pass is followed: which multiply, and which lie on the longest path.

An operation belongs to the innermost module that runs. Each weight operation remembers the one that its input came
from, so that the longest path can be followed back from the output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from nets.networks.operations import tensors
from nets.records.cell import Layer


@dataclass(slots=True)
class _Seen:
    """What a module did in the pass."""

    output: tuple[int, ...] | None = None
    macs: int = 0


@dataclass(frozen=True, slots=True)
class _Weighted:
    """A weight operation: the module that did it, its depth, and the one before it on its longest path."""

    module: int
    depth: int
    before: int | None


@dataclass(slots=True)
class ModuleLog:
    """Is told of a pass's operations by `nets.networks.dataflow`, and of its modules by hooks."""

    model: nn.Module
    _running: list[int] = field(default_factory=list)
    _seen: dict[int, _Seen] = field(default_factory=dict)
    _weighted: list[_Weighted] = field(default_factory=list)
    _made_by: dict[StorageWeakRef, int] = field(default_factory=dict)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Know which module runs."""
        known = {id(module) for module in self.model.modules()}

        def begins(module: nn.Module, _given: Any) -> None:
            if id(module) in known:
                self._running.append(id(module))
                self._seen.setdefault(id(module), _Seen())

        def ends(module: nn.Module, _given: Any, output: Any) -> None:
            if id(module) in known and self._running:
                found = tensors(output) if isinstance(output, Tensor | tuple | list) else []
                self._seen[id(module)].output = tuple(found[0].shape[1:]) if found else None
                self._running.pop()

        handles = [register_module_forward_pre_hook(begins), register_module_forward_hook(ends, always_call=True)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def operation(
        self, read: Sequence[tuple[StorageWeakRef, int]], made: Sequence[StorageWeakRef], depth: int, macs: int
    ) -> None:
        """An operation on what descends from the input; `depth`: weight operations up to and with it.

        `read`: the storages that it read, with the depth of each; `made`: those that it filled; `macs`: its own.
        """
        module = self._running[-1] if self._running else id(self.model)
        self._seen.setdefault(module, _Seen()).macs += macs
        storage, before = max(read, key=lambda each: each[1])
        event = self._at_depth(self._made_by.get(storage), before)
        if depth > before:
            self._weighted.append(_Weighted(module, depth, event))
            event = len(self._weighted) - 1
        if event is not None:
            for each in made:
                self._made_by[each] = event

    def _at_depth(self, event: int | None, depth: int) -> int | None:
        """That operation, or, where it filled another part of a storage, the last one of that depth; None at 0."""
        if event is not None and self._weighted[event].depth == depth:
            return event
        return next((i for i in reversed(range(len(self._weighted))) if self._weighted[i].depth == depth), None)

    def layers(self, output: Tensor, depth: int, n_images: int) -> tuple[Layer, ...]:
        """The modules in the order in which they ran; `output`: the deepest output, of that depth."""
        event = self._at_depth(self._made_by.get(StorageWeakRef(output.untyped_storage())), depth)
        on_path: dict[int, int] = {}
        while event is not None:
            weighted = self._weighted[event]
            on_path[weighted.module] = on_path.get(weighted.module, 0) + 1
            event = weighted.before
        modules = {id(module): (name, module) for name, module in self.model.named_modules()}
        counted: set[int] = set()
        found = []
        for key in dict.fromkeys([*self._seen, *modules]):
            name, module = modules[key]
            own = [p for p in module.parameters(recurse=False) if p.requires_grad and id(p) not in counted]
            counted |= {id(parameter) for parameter in own}
            seen, n_parameters = self._seen.get(key, _Seen()), sum(parameter.numel() for parameter in own)
            if n_parameters or seen.macs or key in on_path:
                kind = type(module).__name__
                n_on_path = on_path.get(key, 0)
                found.append(
                    Layer(
                        name=name,
                        kind=kind,
                        output=seen.output,
                        parameters=n_parameters,
                        macs_per_image=seen.macs // n_images,
                        on_longest_path=n_on_path,
                    )
                )
        return tuple(found)
