"""The suite's own pytest hooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from nets.cells.catalog import Cell
    from nets.records.cell import Result


@pytest.hookspec
def pytest_nets_check(cell: Cell, result: Result) -> Sequence[str] | str | None:
    """Say what is wrong with a cell's result: called once a cell, when its rounds are over.

    Return one sentence an offence, or nothing. An `assert` that fails counts as one, with its message. Every
    implementation is called, and what they say fails the cell and stands in its record's `outcome`. Each is called by
    itself, so that one that raises silences no other: a wrapper sees its own call alone.
    """
