"""What one session's hooks and fixtures share: its state, where its time goes, and which cell a test measures."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from nets.cells.catalog import Cell
from nets.machine.places import DEVICE

if TYPE_CHECKING:
    import torch

    from nets.datasets.data import Data
    from nets.measuring.cell import Setting
    from nets.plugin.hosts import Host
    from nets.plugin.options import Options
    from nets.plugin.terminal import ProgressLine
    from nets.records.cell import Result
    from nets.records.comparisons import Growth, SideBySide
    from nets.records.run import Harness, Part
    from nets.training.run import CellRun

REFUSAL = "NETS_REFUSAL"
"""What the controller tells a worker beside its place: why no cell may be measured."""


@contextmanager
def tolerant() -> Iterator[None]:
    """Show a library's warning, whatever pytest's filters would make of it: none is a reason to lose a measurement."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        yield


class PlannedCell(NamedTuple):
    """The cell that a collected test is to measure."""

    id: str
    dataset: str


class Session:
    """One session's state, on the controller and on each worker.

    `planned`: the tests that measure cells, by their node id. `tests_s`: how long those took that have run, in seconds.
    `notes`: what is said before they run. `is_empty_shard`: there were cells, and --shard left none of them.
    `hosts`: the machines of xdist's workers, on the controller, where some are reached over ssh; `unlike_because`: why
    their records could not be of one run.
    `side_by_side`, `growth`: the records of the benchmarks that compare two things in turns, and that sweep batch and
    set sizes.
    """

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.config = config
        self.options = options
        self.is_worker = hasattr(config, "workerinput")
        self.no_device_because = os.environ.get(REFUSAL) if self.is_worker else None
        self.planned: dict[str, PlannedCell] = {}
        self.tests_s: list[float] = []
        self.side_by_side: list[SideBySide] = []
        self.growth: list[Growth] = []
        self.ledger = Ledger()
        self.notes: list[str] = []
        self.is_empty_shard = False
        self.hosts: tuple[Host, ...] = ()
        self.unlike_because: str | None = None
        self._origins: dict[str, dict[str, str | None]] = {}
        self._loaded: tuple[str, Data] | None = None

    @property
    def has_workers(self) -> bool:
        """Whether this process is the controller of xdist's workers."""
        return not self.is_worker and self.config.getoption("dist", "no") != "no"

    @property
    def n_workers(self) -> int:
        """How many processes measure cells at once."""
        if self.is_worker:
            return int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
        if not self.has_workers:
            return 1
        from xdist.workermanage import parse_tx_spec_config

        return len(parse_tx_spec_config(self.config))

    @property
    def runs_nothing(self) -> bool:
        """Whether tests are collected, or set up, only."""
        names = ("collectonly", "setuponly", "setupplan", "showfixtures", "show_fixtures_per_test")
        return any(self.config.getoption(name, False) for name in names)

    @property
    def benchmarks(self) -> Any:
        """pytest-benchmark's session."""
        return self.config._benchmarksession  # type: ignore[attr-defined]  # its only handle

    @cached_property
    def versions(self) -> dict[str, str | None]:
        """The versions of what decides a figure."""
        from nets.machine.device import versions

        return versions()

    @cached_property
    def device(self) -> torch.device:
        """The device that was asked for; on a worker, the one that the controller chose.

        Where a worker can't have it this is the CPU, for the record's description alone, and `no_device_because` keeps
        cells from running.
        """
        from nets.machine.device import DeviceError, choose_device

        with tolerant():
            import torch  # noqa: F401  # where packages of old warn, as `pynvml` does
        if not self.is_worker:
            return choose_device(self.options.device)
        try:
            return choose_device(os.environ.get(DEVICE, self.options.device))
        except DeviceError as error:
            self.no_device_because = self.no_device_because or str(error)
            return choose_device("cpu")

    @cached_property
    def setting(self) -> Setting:
        """What is the same for every cell of this process; on the controller of other hosts' workers, of theirs."""
        from nets.machine.device import device_facts
        from nets.machine.visible import first_gpu_facts
        from nets.measuring.cell import session_setting

        if self.hosts:
            facts = self.hosts[0].facts
            here = session_setting(self.options.pipeline, facts.device, wanted="cpu")  # not to ask for a GPU here
            return replace(here, gpu_missing_because=facts.gpu_missing_because)
        shared = self.has_workers and self.device.type == "cuda"
        device = first_gpu_facts() if shared else device_facts(self.device)
        return session_setting(self.options.pipeline, device, wanted=self.options.device)

    def machine_info_of_hosts(self) -> dict[str, Any]:
        """What the file says of the machine, where that is not this one: the first host's; nothing else."""
        return self.hosts[0].facts.machine_info if self.hosts else {}

    def machine_facts(self) -> dict[str, object]:
        """What it says beside pytest-benchmark's own facts."""
        from nets.machine.device import machine_facts

        if self.hosts:
            return {**self.machine_info_of_hosts()["nets"], "hosts": sorted(host.name for host in self.hosts)}
        return machine_facts(self.setting.device, self.versions)

    def origin_of(self, cell: Cell) -> dict[str, str | None]:
        """What a cell is measured of and with, as it was when this was asked first."""
        from nets.plugin.resume import origin_of

        if cell.id not in self._origins:
            self._origins[cell.id] = origin_of(self, cell)
        return self._origins[cell.id]

    def load_data(self, name: str) -> Data:
        """A data set; the last one is kept, since cells of one data set follow each other. Raises DataError."""
        from nets.datasets.load import load_data

        if self._loaded is None or self._loaded[0] != name:
            self._loaded = None  # before the next one is there, too
            self._loaded = name, load_data(name, self.options.data_dir)
        return self._loaded[1]

    def captions(self) -> list[str]:
        """How and on what the cells run, said once there is a cell: to know the device is to import torch."""
        device = self.setting.device
        lines = [f"nets: protocol {self.options.protocol}, pipeline {self.options.pipeline}, {device}"]
        if device.type == "cpu":
            lines.append(f"nets: no figure of a GPU: {self.setting.gpu_missing_because}")
        return lines + self.notes


class Ledger:
    """Seconds that this process spent, by part."""

    def __init__(self) -> None:
        self._seconds: dict[Part, float] = {}
        self._timed_s = 0.0

    def add(self, part: Part, seconds: float) -> None:
        """Add to a part."""
        self._seconds[part] = self._seconds.get(part, 0.0) + seconds

    @contextmanager
    def spent(self, part: Part) -> Iterator[None]:
        """Add what the block takes, even where it raises."""
        started = perf_counter()
        try:
            yield
        finally:
            self.add(part, perf_counter() - started)

    def tests_start(self) -> None:
        """The first test is about to run: all so far was import."""
        self._seconds["import"] = _process_age_s()

    def count_rounds(self, result: Result) -> None:
        """Count a cell's rounds."""
        self._timed_s += sum(round_.time_s for round_ in result.rounds)
        self.add("setup", sum(round_.setup_s for round_ in result.rounds))

    def summary(self) -> Harness:
        """The whole up to now."""
        from nets.records.run import Harness

        wall_s = _process_age_s()
        parts = {f"{part}_s": self._seconds.get(part, 0.0) for part in ("import", "data", "setup", "soak", "trace")}
        other_s = wall_s - self._timed_s - sum(parts.values())
        return Harness(wall_s=wall_s, timed_s=self._timed_s, other_s=other_s, **parts)


def _process_age_s() -> float:
    import psutil

    # the system keeps a process's start by the wall clock alone
    return max(0.0, time.time() - psutil.Process().create_time())


def cell_of(item: pytest.Item) -> Cell | None:
    """The cell that a test measures; None for any other test."""
    if "cell_run" not in getattr(item, "fixturenames", ()):
        return None
    cell = item.callspec.params.get("cell") if hasattr(item, "callspec") else None
    return cell if isinstance(cell, Cell) else None


SESSION: pytest.StashKey[Session] = pytest.StashKey()
"""In the configuration's stash."""
RUN: pytest.StashKey[CellRun] = pytest.StashKey()
"""In a test's stash, while its cell is run."""
PROGRESS: pytest.StashKey[ProgressLine] = pytest.StashKey()
"""In a test's stash, where somebody is watching."""
RESULT: pytest.StashKey[Result] = pytest.StashKey()
"""In a test's stash, once its cell was judged."""
