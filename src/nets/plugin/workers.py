"""Who runs where under pytest-xdist: each worker gets a GPU or a share of the cores, and whole data sets.

The controller puts what a worker gets into its environment when it is started, before any code of it could start CUDA.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
from execnet import XSpec
from xdist.scheduler import LoadFileScheduling, LoadGroupScheduling, LoadScopeScheduling

from nets.cells.catalog import Cell
from nets.machine.device import DeviceError
from nets.machine.places import keep_to_cores, places
from nets.plugin.session import REFUSAL, PlannedCell, Session, cell_of


class Workers:
    """Starts and feeds xdist's workers; registered on the controller and on each worker.

    xdist tells the controller a test's node id alone. So a worker adds to the id of each test that measures a cell
    which one, and the controller takes that off again before anybody else reads it.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    # --- on the controller

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, specs: list[XSpec]) -> None:
        """Give each worker its environment, of its own machine; one that replaces it gets the same."""
        if any(spec.via or not spec.popen for spec in specs):
            from nets.plugin.over_hosts import prepare  # no part of other starts

            specs = prepare(self._session, specs)
        if not specs:
            return
        try:
            for spec, environment in zip(specs, places(len(specs), self._session.options.device), strict=True):
                spec.env.update(environment)
        except DeviceError as error:
            for spec in specs:
                spec.env[REFUSAL] = str(error)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
        """Keep a data set's cells together, where xdist would deal out single tests."""
        dist = config.getoption("dist")
        if dist in ("load", "worksteal", "loadgroup"):
            return Together(config, log, self._session.planned)
        return ByFile(config, log) if dist == "loadfile" else ByScope(config, log) if dist == "loadscope" else None

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Note which tests measure which cells; say, once, on what they run."""
        planned = self._session.planned
        is_first = not planned
        for i, told in enumerate(ids):
            nodeid, *cell = told.split(_SEPARATOR)
            if cell:
                ids[i], planned[nodeid] = nodeid, PlannedCell(*cell)
        if len(planned) == len(ids):
            self._session.benchmarks.xdist_benchmark_found = False
        reporter = self._session.config.pluginmanager.get_plugin("terminalreporter")
        if is_first and planned and reporter is not None:
            reporter.write_line("")
            for line in self._session.captions():
                reporter.write_line(line)

    # --- on a worker

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Keep to this worker's cores once there is a cell to measure, and tell the controller of the cells."""
        cells = {item.nodeid: cell for item in session.items if (cell := cell_of(item)) is not None}
        if not cells or not self._session.is_worker:
            return
        keep_to_cores()
        for plugin in self._session.config.pluginmanager.get_plugins():
            if hasattr(plugin, "sendevent"):  # xdist's end of the line to the controller
                plugin.sendevent = partial(_send, plugin.sendevent, cells)


_SEPARATOR = "\x1f"


def _send(send: Callable[..., None], cells: Mapping[str, Cell], event: str, **values: Any) -> None:
    """Send an event to the controller; with the ids of collected tests go the cells that they measure."""
    if event == "collectionfinish":
        values["ids"] = [
            _SEPARATOR.join((nodeid, cells[nodeid].id, cells[nodeid].dataset)) if nodeid in cells else nodeid
            for nodeid in values["ids"]
        ]
    send(event, **values)


class ByScope(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """`--dist loadscope` as it is, but for a test that crashes its worker."""

    def remove_node(self, node: Any) -> str | None:
        """Leave what a crashed worker had not begun to another; the test that crashed it is not run again.

        xdist 3.8 would repeat it until it had taken all workers along.
        """
        work = self.assigned_work[node]
        left = [nodeid for unit in work.values() for nodeid, done in unit.items() if not done]
        if not left:
            del self.assigned_work[node]
            return None
        for scope, unit in list(work.items()):
            unit.pop(left[0], None)
            if all(unit.values()):
                del work[scope]
        super().remove_node(node)
        crashed: str = left[0]
        return crashed


class ByFile(ByScope, LoadFileScheduling):  # type: ignore[misc]
    """`--dist loadfile`, likewise."""


class Together(ByScope, LoadGroupScheduling):  # type: ignore[misc]
    """The cells of a data set, its depth reference among them, on one worker; other tests as with `--dist loadgroup`.

    They share the loaded data, and the cost-aware verdict compares times of one worker.
    """

    def __init__(self, config: pytest.Config, log: Any, planned: Mapping[str, PlannedCell]) -> None:
        super().__init__(config, log)
        self._planned = planned

    def _split_scope(self, nodeid: str) -> str:
        cell = self._planned.get(nodeid)
        return super()._split_scope(nodeid) if cell is None else f"data set {cell.dataset}"

    def _reschedule(self, node: Any) -> None:
        """Hand out the next data set when the last cell of one begins, not, as xdist does, while two are left."""
        if node.shutting_down or (self.workqueue and self._pending_of(self.assigned_work[node]) > 1):
            return
        if self.workqueue:
            self._assign_work_unit(node)
        else:
            node.shutdown()
