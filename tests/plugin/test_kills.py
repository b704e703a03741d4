"""Runs killed (-9) at random moments, again and again: no finished cell is lost, measured twice or changed.

`NETS_KILLS=100 pytest tests/plugin/test_kills.py` is the long form, with so many kills in each test.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nets.records.run_file import read_content
from tests.support.forking import Forked, Forking
from tests.support.killing import WORKERS, a_worker, but_times, demand_end, finished, in_run, killed_within, start
from tests.support.suite import Suite

KILLS = int(os.environ.get("NETS_KILLS", "1"))
DIGITS = ("--cells", "digits-snn500,digits-cnn3l,digits-lenet5", "--epochs", "1", "--rounds", "1")
BOTH = ("--cells", "digits-snn500,digits-lenet5,shapes-lenet5", "--epochs", "1", "--rounds", "1")


class Chain:
    """A run that is killed and resumed until it comes to its end, over and over, until there were kills enough."""

    def __init__(self, suite: Suite, forking: Forking, arguments: tuple[str, ...], seed: int) -> None:
        suite.conftest(WORKERS)
        self.suite = suite
        self.rng = random.Random(seed)
        self.kills = self.kills_resumed = self.in_a_row = 0
        self._forking = forking
        self._arguments = ("benchmarks", "--device", "cpu", "--benchmark-json", str(suite.out), *arguments)
        started = time.monotonic()
        assert self.run().wait() == 0
        self.length_s = time.monotonic() - started
        self.undisturbed = self.cells()

    def __str__(self) -> str:
        return f"{self.kills} kills, {self.kills_resumed} of them of resumed runs, up to {self.in_a_row} in a row"

    def run(self, *more: str) -> Forked:
        """Start it."""
        return start(self._forking, [*self._arguments, *more], self.suite.path / "log")

    def cells(self) -> dict[str, Any]:
        """What the finished file says of each cell, but for times; nothing else is left in the folder."""
        content = read_content(self.suite.out)
        assert content["nets"]["not_run"] == content["nets"]["unfinished"] == []
        assert not content["nets"]["interrupted"]
        assert not [path for path in self.suite.path.iterdir() if re.search(r"journal|^\.nets-", path.name)]
        return {test: but_times(record) for test, record in finished(self.suite.out).items()}

    def wait_for_the_last_cell(self, process: Forked) -> None:
        """Until every cell is in the journal, and the file about to be written."""
        journal = self.suite.out.with_name("out.json.journal")
        while in_run(process.pid):
            if journal.is_file() and journal.read_bytes().count(b"\n") >= len(self.undisturbed):
                return
            time.sleep(0.002)

    def go(self, victim: Callable[[Forked], int | None]) -> None:
        """Kill one run after the other, and look after each kill at what is finished."""
        before: dict[str, Any] = {}
        self.suite.out.unlink(missing_ok=True)
        row = 0
        while True:
            process = self.run(*(["--resume"] if row else []))
            if row == 0 or self.rng.random() < 0.6:
                if self.rng.random() < 0.2:
                    self.wait_for_the_last_cell(process)
                    delay_s = self.rng.uniform(0, 0.3)
                else:
                    delay_s = self.rng.uniform(0, 1.1 * self.length_s)
                was_killed = killed_within(process, delay_s, victim)
                self.kills += was_killed
                self.kills_resumed += was_killed and row > 0
            status = process.wait()
            demand_end(process.pid)
            now = finished(self.suite.out)
            assert {nodeid: now.get(nodeid) for nodeid in before} == before, (
                "a finished cell was lost, or measured again"
            )
            before = dict(now)
            row += 1
            if status == 0:
                break
            if self.suite.out.is_file() and not self.suite.out.with_name("out.json.journal").exists():
                break  # it came to its end without the worker, or was killed after its last step
        self.in_a_row = max(self.in_a_row, row - 1)
        if status == 0:
            assert self.cells() == self.undisturbed
        else:
            content = read_content(self.suite.out)
            assert all(but_times(record) == self.undisturbed[test] for test, record in before.items())
            lost = {each["cell"] for each in content["nets"]["not_run"]}
            assert len(before) + len(lost) == len(self.undisturbed)


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Another one each day would be no test; the long form names its own."""
    return int(os.environ.get("NETS_KILLS_SEED", "0"))


def test_alone(suite: Suite, forking_process: Forking, seed: int) -> None:
    """The run itself, also while it resumes and while it writes its file."""
    chain = Chain(suite, forking_process, DIGITS, seed)
    while chain.kills < KILLS:
        chain.go(lambda process: process.pid)
    print(chain)


def test_with_workers(suite: Suite, forking_process: Forking, seed: int) -> None:
    """Under -n 2, its controller or a worker: of the latter the cell that it was at is missing, and is said to be."""
    cells = BOTH if KILLS > 1 else DIGITS  # whose cells one worker takes all
    chain = Chain(suite, forking_process, (*cells, "-n", "2", "--batch-size", "500"), seed)

    def victim(process: Forked) -> int | None:
        return process.pid if chain.rng.random() < 0.5 else a_worker(Path(suite.path), chain.rng)

    while chain.kills < KILLS:
        chain.go(victim)
    print(chain)
