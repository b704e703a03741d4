"""Lean imports: what they leave out is there when it is asked for, and the process is what it was."""

from __future__ import annotations

import gc

from nets.machine.imports import without_collecting


def test_imports_without_collecting() -> None:
    """Python's garbage collector rests during the block and is afterwards what it was, on or off."""
    with without_collecting():
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with without_collecting():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
