"""`pytest benchmarks/ --shard 2/8`: leaves out the cells of the other shards."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import pytest

from nets.cells.catalog import Cell
from nets.cells.shards import Shard
from nets.plugin.session import Session

_EMPTY = "nets_empty_shard"
"""In what a worker hands over at its end."""


class Shards:
    """One a session, on the controller and on each worker."""

    def __init__(self, session: Session, shard: Shard) -> None:
        self._session = session
        self._shard = shard

    @pytest.hookimpl(wrapper=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None]:
        """Deselect the others' cells, after -k, -m and --resume: where those leave none at all, it is no empty shard.

        Nor is it one where --resume has left out what the shard had measured already.
        """
        cells_here = {cell.id for cell in self._session.options.cells_here}
        resumed = self._session.options.resume and not cells_here.isdisjoint(_measured(items).values())
        yield
        measuring = _measured(items)
        others = [item for item in items if measuring.get(item.nodeid, "") not in cells_here | {""}]
        self._session.is_empty_shard = bool(measuring) and len(others) == len(measuring) and not resumed
        if others:
            self._session.config.hook.pytest_deselected(items=others)
            left_out = {item.nodeid for item in others}
            items[:] = [item for item in items if item.nodeid not in left_out]

    def pytest_sessionstart(self) -> None:
        """Say what this shard is of."""
        options = self._session.options
        if not self._session.is_worker and options.cells_here:
            ids = ", ".join(cell.id for cell in options.cells_here)
            n_here, n = len(options.cells_here), len(options.cells)
            self._session.notes.append(f"nets: shard {self._shard}, {n_here} of {n} cells: {ids}")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """The workers alone have collected."""
        self._session.is_empty_shard |= bool(getattr(node, "workeroutput", {}).get(_EMPTY))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """An empty shard has done all that it had to: a job of a matrix must not fail for that."""
        if self._session.is_worker:
            session.config.workeroutput[_EMPTY] = self._session.is_empty_shard  # type: ignore[attr-defined]  # xdist's
        elif self._session.is_empty_shard and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Why nothing was measured."""
        if self._session.is_empty_shard:
            terminalreporter.write_line(f"nets: shard {self._shard} is empty: none of the cells to measure falls to it")


def _measured(items: Sequence[pytest.Item]) -> dict[str, str]:
    """The cell that a test measures, by itself or side by side with another, by its node id."""
    found = {item.nodeid: item.callspec.params.get("cell") for item in items if hasattr(item, "callspec")}
    return {nodeid: cell.id for nodeid, cell in found.items() if isinstance(cell, Cell)}
