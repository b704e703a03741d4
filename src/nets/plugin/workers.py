"""Who runs where under pytest-xdist: each worker gets a GPU or a share of the cores, and whole data sets.

The controller puts what a worker gets into its environment when it is started, before any code of it could start CUDA.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest
from execnet import XSpec
from xdist.scheduler import LoadScopeScheduling

from nets.cells.catalog import CELLS
from nets.machine.cpu import cores
from nets.machine.device import choose_device
from nets.machine.visible import VISIBLE, usable_gpus
from nets.plugin.session import CORES, DEVICE, REFUSAL, cell_of

DATASET_OF = {cell.id: cell.dataset for cell in CELLS}


def shares(n_workers: int, of: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Deal the cores out in adjoining runs, no core twice; with more workers than cores each gets one, in turn."""
    if n_workers > len(of):
        return tuple((of[i % len(of)],) for i in range(n_workers))
    bounds = [i * len(of) // n_workers for i in range(n_workers + 1)]
    return tuple(tuple(of[bounds[i] : bounds[i + 1]]) for i in range(n_workers))


def refusal(n_workers: int, wanted: str, gpus: Sequence[str]) -> str | None:
    """Why so many workers can't measure cells on the GPUs that there are; None if they can."""
    if ":" in wanted and n_workers > 1:
        return f"--device {wanted} names one GPU, and -n {n_workers} wants one for each worker"
    if n_workers > len(gpus):
        known = f"{len(gpus)} GPU{'' if len(gpus) == 1 else 's'} ({', '.join(gpus)})"
        return f"-n {n_workers}: {n_workers} workers, but {known}: each worker has one to itself"
    return None


class Workers:
    """Starts and feeds xdist's workers; registered on the controller and on each worker."""

    def __init__(self, config: pytest.Config, device: str) -> None:
        self._config = config
        self._device = device

    # --- on the controller

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, specs: list[XSpec]) -> None:
        """Give each worker on this machine its environment; one that replaces it gets the same."""
        local = [spec for spec in specs if spec.popen]
        device = choose_device(self._device)
        _give(local, DEVICE, [device.type if self._device == "auto" else self._device] * len(local))
        if device.type == "cpu":
            _give(local, CORES, [",".join(map(str, share)) for share in shares(len(local), cores())])
            return
        gpus = usable_gpus()
        if because := refusal(len(local), self._device, gpus):
            _give(local, REFUSAL, [because] * len(local))
        elif ":" not in self._device:
            _give(local, VISIBLE, gpus)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
        """Keep a data set's cells together, where xdist would deal out single tests."""
        return Together(config, log) if config.getoption("dist") in ("load", "worksteal", "loadgroup") else None

    # --- on a worker

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Keep to this worker's cores once there is a cell to measure."""
        share = os.environ.get(CORES)
        if not share or not hasattr(self._config, "workerinput") or not hasattr(os, "sched_setaffinity"):
            return
        if any(cell_of(item) for item in session.items):
            os.sched_setaffinity(0, {int(core) for core in share.split(",")})


class Together(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """The cells of a data set, its depth reference among them, on one worker; every other test by itself.

    They share the loaded data, and the cost-aware verdict compares times of one worker.
    """

    def _split_scope(self, nodeid: str) -> str:
        parameter = nodeid.partition("[")[2].removesuffix("]")
        dataset = next((dataset for cell, dataset in DATASET_OF.items() if f"-{cell}-" in f"-{parameter}-"), None)
        return nodeid if dataset is None else f"{nodeid.partition('[')[0]}[{dataset}]"

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

    def _reschedule(self, node: Any) -> None:
        """Hand out the next data set when the last cell of one begins, not, as xdist does, while two are left."""
        if node.shutting_down or (self.workqueue and self._pending_of(self.assigned_work[node]) > 1):
            return
        if self.workqueue:
            self._assign_work_unit(node)
        else:
            node.shutdown()


def _give(specs: Sequence[XSpec], name: str, values: Sequence[str]) -> None:
    """Set an environment variable for each worker."""
    for spec, value in zip(specs, values, strict=False):
        spec.env[name] = value
