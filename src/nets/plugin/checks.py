"""The checks of a cell's result: the hook for anyone's, the suite's own two, and who asks them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nets.plugin.session import RESULT, SESSION
from nets.plugin.traces import NOT_YET

if TYPE_CHECKING:
    from nets.cells.catalog import Cell
    from nets.gpu.capture import Captured
    from nets.measuring.cell import Setting
    from nets.records.cell import Result
    from nets.training.run import CellRun
    from nets.verdicts.bands import Bands


@pytest.hookspec
def pytest_nets_check(cell: Cell, result: Result) -> Sequence[str] | str | None:
    """Say what is wrong with a cell's result: called once a cell, when its rounds are over.

    Return one sentence an offence, or nothing. An `assert` that fails counts as one, with its message. Every
    implementation is called, and what they say fails the cell and stands in its record's `outcome`. Each is called by
    itself, so that one that raises silences no other: a wrapper sees its own call alone.
    """


class AccuracyInBand:
    """Every loss finite, and the mean accuracy inside the band, where there is one."""

    @pytest.hookimpl
    def pytest_nets_check(self, result: Result) -> list[str]:
        """Name the seeds that diverged, or the side on which the accuracy left its band."""
        diverged = [str(round_.seed) for round_ in result.rounds if round_.diverged]
        if diverged:
            return [f"{result.id}: diverged: a loss was not finite with seed {', '.join(diverged)}"]
        from nets.verdicts.bands import band_failures

        return band_failures(result)


class NetworkAsPublished:
    """Layers, parameters and the classical verdict as the registry expects them."""

    @pytest.hookimpl
    def pytest_nets_check(self, cell: Cell, result: Result) -> list[str]:
        """Name each of the three that differs; what can't be counted doesn't."""
        if cell.expected is None or result.network is None or result.depth is None:
            return []
        pairs = (
            ("layers", result.network.layers, cell.expected.layers),
            ("parameters", result.network.parameters, cell.expected.parameters),
            ("classical depth", result.depth.classical, cell.expected.classical),
        )
        return [
            f"{result.id}: {what}: expected {_grouped(expected)}, found {_grouped(found)}"
            for what, found, expected in pairs
            if expected is not None and found is not None and found != expected
        ]


def _grouped(value: int | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def checked_result(item: pytest.Item, run: CellRun, setting: Setting, observed: Captured, bands_file: Path) -> Result:
    """Make the record of a cell's rounds, with what every `pytest_nets_check` hook says of it; keep it in the stash.

    Raises Unusable for a bands file that can't be read.
    """
    from nets.measuring.cell import finished_result

    known: Bands | str = f"there is no {bands_file.name} beside the test"
    if bands_file.is_file():
        known = _bands(bands_file)
    no_trace = "--no-trace" if not item.config.stash[SESSION].options.trace else setting.gpu_missing_because or NOT_YET
    result = finished_result(run, run.protocol.rounds, setting, observed, known, no_trace_because=no_trace)
    failures = _ask(item, run.cell, result)
    result = result.judged("failed" if failures else "passed", failures)
    item.stash[RESULT] = result
    return result


@lru_cache
def _bands(file: Path) -> Bands:
    from nets.verdicts.bands import read_bands

    return read_bands(file)


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
