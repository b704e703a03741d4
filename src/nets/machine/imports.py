"""Imports of large libraries, without what takes long in them and is not needed here."""

from __future__ import annotations

import atexit
import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo.utils"


@contextmanager
def without_collecting() -> Iterator[None]:
    """Import without Python's garbage collector, which takes a fifth of the time of importing torch."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()  # what is imported stays, and need not be searched later
            atexit.unregister(gc.unfreeze)
            atexit.register(gc.unfreeze)  # libraries complain at the end of what is never collected
            gc.enable()


@contextmanager
def without_compiler() -> Iterator[None]:
    """Spare an import of torchvision torch's compiler, which takes as long as torch itself.

    torchvision.ops.roi_align imports it for one function, which it calls on a GPU alone. The function stands in for
    its module during the block; whoever asks for something else gets the real module.
    """
    if _COMPILER in sys.modules:
        yield
        return
    stand_in = ModuleType(_COMPILER)

    def real(attribute: str) -> Any:
        if attribute.startswith("__"):  # inspect asks every module for its file
            raise AttributeError(attribute)
        if sys.modules.get(_COMPILER) is stand_in:
            del sys.modules[_COMPILER]
        return getattr(importlib.import_module(_COMPILER), attribute)

    stand_in.__getattr__ = real  # type: ignore[method-assign]
    stand_in.is_compile_supported = lambda kind: real("is_compile_supported")(kind)  # type: ignore[attr-defined]
    sys.modules[_COMPILER] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(_COMPILER) is stand_in:
            del sys.modules[_COMPILER]
