"""Asks everyone who has an expectation of a cell, and writes what they say into its record."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest

from nets import assemble, bands
from nets.assemble import Setting
from nets.bands import Bands
from nets.cells import Cell
from nets.gpu import GpuMonitor
from nets.measure import CellRun
from nets.results import Result

RESULT: pytest.StashKey[Result] = pytest.StashKey()


def judge(item: pytest.Item, run: CellRun, setting: Setting, monitor: GpuMonitor | None, bands_file: Path) -> Result:
    """Make the record of a cell's rounds, with what every `pytest_nets_check` hook says of it; keep it in the stash.

    Raises Unusable for a bands file that can't be read, UnknownStructure for a network that can't be counted.
    """
    known: Bands | str = f"there is no {bands_file.name} beside the test"
    if bands_file.is_file():
        known = _read(bands_file)
    result = assemble.result(run, run.protocol.rounds, setting, monitor, known)
    failures = _ask(item, run.cell, result)
    result = result.judged("failed" if failures else "passed", failures)
    item.stash[RESULT] = result
    return result


_read = lru_cache(bands.read)


def _ask(item: pytest.Item, cell: Cell, result: Result) -> list[str]:
    """Call every plug-in's hook by itself, so that one that asserts doesn't silence the others."""
    manager = item.config.pluginmanager
    askers = [impl.plugin for impl in item.ihook.pytest_nets_check.get_hookimpls()]
    failures: list[str] = []
    for asker in reversed(askers):
        hook = manager.subset_hook_caller("pytest_nets_check", [other for other in askers if other is not asker])
        try:
            answers = hook(cell=cell, result=result)
        except AssertionError as error:
            answers = [f"{cell.id}: {error}"]
        for answer in answers:
            failures += [answer] if isinstance(answer, str) else list(answer or ())
    return failures
