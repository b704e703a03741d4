"""A side's process: what it leaves running, how it is ended, and why it could not begin."""

from __future__ import annotations

import json
import os
import pickle
import signal
import time
from contextlib import nullcontext
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import psutil
import pytest

from nets.ab import child
from nets.ab.child import Child, ChildSpec, child_environment
from nets.errors import Unusable
from tests.ab.test_interleave import Repository

pytestmark = pytest.mark.usefixtures("forked_sides")
LEAVES = """
import subprocess
def leave(then):
    if os.fork() == 0:
        time.sleep(600)
    shell = subprocess.Popen(["sleep", "600"], process_group=0, close_fds=False)
    event("left", shell.pid, os.getpid(), 0)
    then()
"""
DEAF = "lambda: (signal.signal(signal.SIGINT, signal.SIG_IGN), event('deaf', 0, 0, 0), time.sleep(600))"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """In a folder of its own."""
    return Repository(tmp_path)


def until_event(repository: Repository, side: Child, what: str) -> list[str]:
    """Let a side begin its first round, and wait for an event in it."""
    side.collect()
    side._pipe.send_bytes(json.dumps(list(side.collected)).encode())
    side._pipe.recv_bytes()
    side._pipe.send_bytes(b'"go"')
    while True:
        lines = repository.events_file.read_text().splitlines() if repository.events_file.is_file() else []
        found = [line.split() for line in lines if line.startswith(what)]
        if found:
            return found[0]
        time.sleep(0.01)


def in_session(leader: int) -> list[int]:
    """The processes of a session that run; a dead one may wait for its parent to notice."""
    found = []
    for process in psutil.process_iter():
        try:
            if child._session(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.parametrize("then", ["lambda: None", "lambda: os._exit(7)"])
def test_what_a_side_leaves_running(repository: Repository, then: str) -> None:
    """Processes that a side started end with it, in whatever group they are, and its end is seen though they live."""
    base = repository.side("base", fault=f"('a', 2, lambda: leave({then}))", more=LEAVES)
    head = repository.side("head")
    with pytest.raises(Unusable, match="exit 7") if "7" in then else nullcontext():
        repository.run(base, head)
    seen = [line for line in repository.events if line[0] == "left"]
    assert len(seen) == 1
    assert in_session(base._process.pid) == []


class Intruder:
    """Makes a file where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[object, ...]:
        """What pickle would call."""
        return Path.touch, (self._file,)


@pytest.mark.parametrize("sent", ["a pickle", b"[1]", b"[" * 100_000, b"\xff"])
def test_what_a_side_sends_is_data(tmp_path: Path, sent: str | bytes) -> None:
    """A side runs the code of a revision: what it sends is never unpickled, and refused if it is no message."""
    file = tmp_path / "made"
    side = object.__new__(Child)
    side.spec = cast("ChildSpec", SimpleNamespace(name="head"))
    side._pipe, theirs = Pipe()
    with theirs, side._pipe:
        theirs.send_bytes(pickle.dumps(Intruder(file)) if isinstance(sent, str) else sent)
        with pytest.raises(Unusable, match="head: its process sent what nets ab does not send"):
            side._read()
    assert not file.exists()


def test_nets_ab_is_killed(repository: Repository) -> None:
    """A side amid a long round ends, with what it started in its group, when its parent is gone without a farewell."""
    pid = os.fork()
    if pid == 0:
        grouped = LEAVES.replace(", process_group=0", "")
        side = repository.side("base", fault="('a', 1, lambda: leave(lambda: time.sleep(600)))", more=grouped)
        until_event(repository, side, "left")
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    leader = next(int(line[2]) for line in repository.events if line[0] == "left")
    limit = time.monotonic() + 20
    while in_session(leader) and time.monotonic() < limit:
        time.sleep(0.01)
    assert in_session(leader) == []


def test_a_side_that_ignores_ctrl_c(repository: Repository) -> None:
    """It is ended by force as soon as its time is up."""
    side = repository.side("base", fault=f"('a', 1, {DEAF})", more="import signal\n")
    until_event(repository, side, "deaf")
    side.interrupt()
    side.end_by(time.monotonic())
    assert side._process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("argument", "because"),
    [("--new-option=1", r"unrecognized arguments: --new-option=1 \("), ("nosuch", r"not found: nosuch \(")],
)
def test_what_base_has_not(repository: Repository, argument: str, because: str) -> None:
    """Why base's pytest refused an option or a folder is told, not where its configuration lies."""
    base = repository.side("base", arguments=(argument,))
    try:
        with pytest.raises(Unusable, match=f"base: .*{because}"):
            base.collect()
    finally:
        base.kill()


def test_a_path_that_pythonpath_cannot_hold(tmp_path: Path) -> None:
    """A folder with a colon in its path is named before anything is started."""
    (tmp_path / "a:b" / "src").mkdir(parents=True)
    with pytest.raises(Unusable, match=r"a:b/src: PYTHONPATH can't hold a folder with ':'"):
        child_environment(tmp_path / "a:b")
    with pytest.raises(Unusable, match=r"a:b: PYTHONPATH can't .* set TMPDIR"):
        child_environment(tmp_path, tmp_path / "a:b")
