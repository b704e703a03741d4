"""Runs that a test kills: each has a session of the system to itself, by which its processes are found."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from nets.ab import child
from nets.records import durable
from nets.records.run_file import read_content
from tests.support.forking import FORKS, Forked, Forking

LONGEST_S = 30.0
"""No process may be left so long after a kill."""
RUN = f"""
import os
os.setsid()
{FORKS}
import pytest, pytest_benchmark.plugin
pytest_benchmark.plugin.get_cpu_info = dict
sys.exit(pytest.main({{arguments!r}}))
"""
# for a conftest: which processes are workers
WORKERS = """
import os, pathlib
if "PYTEST_XDIST_WORKER" in os.environ:
    pathlib.Path(f"worker-{os.getpid()}").touch()
"""


def start(forking: Forking, arguments: Sequence[str], log: Path) -> Forked:
    """Start `pytest ARGUMENTS` here; what it prints is added to `log`."""
    with log.open("a") as stream:
        started = forking.popen(
            [sys.executable, "-c", RUN.format(arguments=list(arguments))], stdout=stream, stderr=stream
        )
    assert isinstance(started, Forked)
    return started


def in_session(leader: int) -> list[int]:
    """The processes of a session that run; a dead one may wait for its parent to notice."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            if child._session(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def demand_end(leader: int) -> None:
    """All processes of a session end by themselves, in time."""
    limit = time.monotonic() + LONGEST_S
    while (left := in_session(leader)) and time.monotonic() < limit:
        time.sleep(0.05)  # to look takes a hundredth of a second
    assert not left, [psutil.Process(pid).cmdline() for pid in left]


def killed_within(process: Forked, delay_s: float, victim: Callable[[Forked], int | None]) -> bool:
    """Kill a process of a run (-9) after so long; False where the run, or the one to be killed, has ended before."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(delay_s)
    pid = victim(process)
    if pid is None or not in_run(process.pid):
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def in_run(pid: int) -> bool:
    """Whether a process lives."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def a_worker(folder: Path, rng: random.Random) -> int | None:
    """One of the workers that live, by what WORKERS left."""
    pids = [int(path.name.removeprefix("worker-")) for path in sorted(folder.glob("worker-*"))]
    living = [pid for pid in pids if in_run(pid)]
    return rng.choice(living) if living else None


def finished(out: Path) -> Mapping[str, Any]:
    """The record of each finished cell, by its test, in a run's file or its journal.

    Without the verdict by cost, which is of all cells together.
    """
    journal = out.with_name(f"{out.name}.journal")
    found = {}
    if journal.is_file():
        found = {entry.nodeid: entry.result.to_json() for entry in durable.read_journal(journal)[0]}
    if out.is_file():
        content = read_content(out)
        fullnames = [each["fullname"] for each in content["benchmarks"]]
        assert len(set(fullnames)) == len(fullnames)
        found |= {each["fullname"]: each["extra_info"] for each in content["benchmarks"]}
    return {
        test: record | {"depth": record["depth"] and record["depth"]["classical"]} for test, record in found.items()
    }


def but_times(record: Mapping[str, Any]) -> dict[str, Any]:
    """One of `finished` without what differs from run to run: times, memory, and who did it."""
    without = {"setup_s", "train_s", "eval_s", "others_cpu_s", "disturbed"}
    rounds = [{name: value for name, value in each.items() if name not in without} for each in record["rounds"]]
    return {name: value for name, value in record.items() if name not in ("cpu", "where")} | {"rounds": rounds}


# before everything else in a process: dies (-9) before or after its AT-th operation on a file of a folder
DIES = """
import io, os, signal
AT, AFTER, FOLDER = {at}, {after}, {folder!r}
operations = 0
def counted(function):
    def called(*args, **kwargs):
        global operations
        if not any(named(each) for each in args[:2]):
            return function(*args, **kwargs)
        operations += 1
        mine = operations
        if mine == AT and not AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **kwargs)
        if mine == AT and AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return called
def named(argument):
    if isinstance(argument, bool) or not isinstance(argument, (str, int, os.PathLike)):
        return False
    try:
        path = os.readlink("/proc/self/fd/" + str(argument)) if isinstance(argument, int) else os.fspath(argument)
    except OSError:
        return False
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.abspath(path) == FOLDER or folder == FOLDER and (name.startswith((".nets-", "out.")))
for module, names in ((os, "open fsync replace rename unlink remove truncate chmod"), (io, "open")):
    for name in names.split():
        setattr(module, name, counted(getattr(module, name)))
import atexit
atexit.register(lambda: os.write(2, b"operations: %d\\n" % operations))
"""


def operations_of(forking: Forking, code: str, folder: Path, log: Path) -> int:
    """How many operations on files of a folder some code does, `out.*` and temporary ones."""
    assert dies_in(forking, code, folder, log, at=0, after=False) == 0, log.read_text()
    return int(log.read_text().rpartition("operations: ")[2].split()[0])


def dies_in(forking: Forking, code: str, folder: Path, log: Path, *, at: int, after: bool) -> int:
    """Run code that dies before or after an operation, from 1; how it ended."""
    with log.open("a") as stream:
        prefix = DIES.format(at=at, after=after, folder=str(folder))
        process = forking.popen([sys.executable, "-c", prefix + code], stdout=stream, stderr=stream)
    status: int = process.wait()
    return status
