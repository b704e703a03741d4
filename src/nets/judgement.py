"""Asks everyone who has an expectation of a cell, and writes what they say into its record."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest

from nets.cells.catalog import Cell
from nets.gpu.capture import Captured
from nets.measuring.cell import Setting, finished_result
from nets.records.cell import Result
from nets.stash import RESULT
from nets.training.run import CellRun
from nets.verdicts import bands
from nets.verdicts.bands import Bands


def judge(item: pytest.Item, run: CellRun, setting: Setting, observed: Captured, bands_file: Path) -> Result:
    """Make the record of a cell's rounds, with what every `pytest_nets_check` hook says of it; keep it in the stash.

    Raises Unusable for a bands file that can't be read, UnknownStructure for a network that can't be counted.
    """
    known: Bands | str = f"there is no {bands_file.name} beside the test"
    if bands_file.is_file():
        known = _read(bands_file)
    result = finished_result(run, run.protocol.rounds, setting, observed, known)
    failures = _ask(item, run.cell, result)
    result = result.judged("failed" if failures else "passed", failures)
    item.stash[RESULT] = result
    return result


_read = lru_cache(bands.read_bands)


def _ask(item: pytest.Item, cell: Cell, result: Result) -> list[str]:
    """Call every plug-in's hook by itself, so that one that asserts doesn't silence the others."""
    manager = item.config.pluginmanager
    everyone = [impl.plugin for impl in manager.hook.pytest_nets_check.get_hookimpls()]
    here = [impl.plugin for impl in item.ihook.pytest_nets_check.get_hookimpls()]  # not other folders' conftests
    failures: list[str] = []
    for asker in reversed(here):
        hook = manager.subset_hook_caller("pytest_nets_check", [other for other in everyone if other is not asker])
        try:
            answers = hook(cell=cell, result=result)
        except AssertionError as error:
            failures.append(f"{cell.id}: {error}")
        except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:
            failures.append(f"{cell.id}: a check raised {type(error).__name__}: {error}")
        else:
            failures += [sentence for answer in answers for sentence in _sentences(cell, answer)]
    return failures


def _sentences(cell: Cell, answer: object) -> list[str]:
    """What a check returned, as sentences."""
    if isinstance(answer, str):
        return [answer] if answer else []
    if isinstance(answer, (list, tuple)) and all(isinstance(each, str) for each in answer):
        return list(answer)
    return [f"{cell.id}: a check returned {answer!r}, neither a sentence nor a list of them"]
