"""Python processes that tests start, forked from one that has imported torch, which takes two seconds each time."""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.support.stub_driver import REPOSITORY

IMPORTED = ("pytest", "torch", "nets.measuring.cell", "torch.fx.experimental.symbolic_shapes")
_popen = subprocess.Popen
# for a process that has imported torch by now: what it starts is forked, too
FORKS = """
import os, socket, subprocess, sys
from tests.support import forking
ours, theirs = socket.socketpair()
if os.fork() == 0:
    ours.close()
    forking.serve(theirs.detach())
    sys.exit()
theirs.close()
subprocess.Popen = forking.Forking(ours).popen
"""


class Forked:
    """What subprocess.Popen gives its caller, of a process that was forked."""

    def __init__(self, told: IO[str], stdin: IO[bytes] | None, stdout: IO[bytes] | None) -> None:
        self.stdin, self.stdout = stdin, stdout
        self.pid = int(told.readline())
        self.returncode: int | None = None
        self._told = told

    def wait(self) -> int:
        """Wait for its end; its exit code, or minus the signal that ended it."""
        if self.returncode is None:
            with self._told:
                self.returncode = int(self._told.readline())
        return self.returncode

    def kill(self) -> None:
        """End it at once."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)


class Forking:
    """Asks the process at the other end of a socket, which is in `serve`, to fork others."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests

    def popen(self, arguments: Sequence[str], **options: Any) -> Any:
        """Stand in for subprocess.Popen: fork `python -c CODE` and `python -mMODULE ...`, start anything else."""
        return (self._fork if arguments[0] == sys.executable else _popen)(arguments, **options)

    def _fork(
        self,
        arguments: Sequence[str],
        *,
        stdin: int | None = None,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        env: dict[str, str] | None = None,
    ) -> Forked:
        theirs: list[int] = []
        ours: dict[int, IO[bytes]] = {}
        for i, stream in enumerate((stdin, stdout, stderr)):
            if stream == subprocess.PIPE:
                ends = os.pipe()
                theirs.append(ends[i > 0])
                ours[i] = os.fdopen(ends[i == 0], "rb" if i else "wb")
            else:
                theirs.append(os.dup(i if stream is None else stream if isinstance(stream, int) else stream.fileno()))
        told, tells = os.pipe()
        asked, asks = os.pipe()
        with os.fdopen(asks, "w") as request:
            json.dump([arguments, str(Path.cwd()), dict(os.environ if env is None else env)], request)
        theirs += [tells, asked]
        socket.send_fds(self._requests, [b"."], theirs)
        for descriptor in theirs:
            os.close(descriptor)
        return Forked(os.fdopen(told), ours.get(0), ours.get(1))


@contextmanager
def forking() -> Iterator[Forking]:
    """Start the process that others are forked from; it ends with this one."""
    ours, theirs = socket.socketpair()
    path = os.pathsep.join((str(REPOSITORY / "src"), str(REPOSITORY), os.environ.get("PYTHONPATH", "")))
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", f"from tests.support.forking import *; prepare(); serve({theirs.fileno()})"],
            pass_fds=[theirs.fileno()],
            env=os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},  # one thread: it must be safe to fork
        )
    with ours:
        yield Forking(ours)
    process.wait()


def prepare() -> None:
    """Import what takes long."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()


def serve(descriptor: int) -> None:
    """Fork a process for each request, and do in it what was asked for. The caller has nothing to do after it."""
    with socket.socket(fileno=descriptor) as requests:
        while descriptors := socket.recv_fds(requests, 1, 5)[1]:
            if os.fork() == 0:
                break
            for each in descriptors:
                os.close(each)
    if descriptors:
        *streams, tells, asked = descriptors
        for i, stream in enumerate(streams):
            os.dup2(stream, i)
            os.close(stream)
        _become(tells, asked)


def _become(tells: int, asked: int) -> None:
    """Fork once more: one process does what is asked, the other tells of its number and of how it ended."""
    if pid := os.fork():
        os.closerange(0, 3)
        os.write(tells, b"%d\n" % pid)
        os.write(tells, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        os._exit(0)
    os.close(tells)
    with os.fdopen(asked) as request:
        arguments, folder, environment = json.load(request)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.stdin = os.fdopen(0, closefd=False)
    if "-c" in arguments:
        exec(arguments[-1], {"__name__": "__main__"})
    else:
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1].removeprefix("-m"), run_name="__main__", alter_sys=True)
