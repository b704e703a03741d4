"""Python processes that tests start, forked from one that has imported torch, which takes two seconds each time."""

from __future__ import annotations

import atexit
import fcntl
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO, Any, NoReturn

from tests.support import packages
from tests.support.stub_driver import REPOSITORY

IMPORTED = ("torch", "torch.fx.experimental.symbolic_shapes")
MAX_DESCRIPTORS = 16
_popen = subprocess.Popen
# for a process that has imported torch by now: what it starts is forked, too
FORKS = """
import os, socket, subprocess, sys
from tests.support import forking
ours, theirs = socket.socketpair()
if os.fork() == 0:
    ours.close()
    forking.serve(theirs.detach())
    os._exit(0)
theirs.close()
subprocess.Popen = forking.Forking(ours).popen
"""
PIPE = subprocess.PIPE
OPTIONS = {"stdin", "stdout", "stderr", "env", "cwd", "pass_fds", "start_new_session"}
ENDED = "ended "


class Forked:
    """What subprocess.Popen gives its caller, of a process that was forked."""

    def __init__(self, told: IO[str], stdin: IO[bytes] | None, stdout: IO[bytes] | None) -> None:
        self.stdin, self.stdout = stdin, stdout
        self.pid = int(told.readline())
        self.returncode: int | None = None
        self._told = told

    def poll(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""
        return self.wait() if self.returncode is None and wait([self._told.fileno()], 0) else self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; its exit code, or minus the signal that ended it."""
        if self.returncode is None:
            if not wait([self._told.fileno()], timeout):
                raise subprocess.TimeoutExpired("a forked process", timeout or 0)
            with self._told:
                self.returncode = int(self._told.readline().removeprefix(ENDED))
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class Forking:
    """Asks the process at the other end of a socket, which is in `serve`, to fork others."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests

    def popen(self, arguments: Sequence[str], **options: Any) -> Any:
        """Stand in for subprocess.Popen: fork `python -c CODE` and `python -m MODULE ...`, start anything else.

        What has more options than `_fork`, as by subprocess.run, is started, too.
        """
        can_fork = arguments[0] == sys.executable and options.keys() <= OPTIONS and options.get("stderr") != PIPE
        return (self._fork if can_fork else _popen)(arguments, **options)

    def _fork(
        self,
        arguments: Sequence[str],
        *,
        stdin: int | None = None,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        env: dict[str, str] | None = None,
        cwd: Path | str | None = None,
        pass_fds: Sequence[int] = (),
        start_new_session: bool = False,
    ) -> Forked:
        theirs: list[int] = []
        ours: dict[int, IO[bytes]] = {}
        for i, stream in enumerate((stdin, stdout, stderr)):
            if stream == PIPE:
                ends = os.pipe()
                theirs.append(ends[i > 0])
                ours[i] = os.fdopen(ends[i == 0], "rb" if i else "wb")
            elif stream == subprocess.DEVNULL:
                theirs.append(os.open(os.devnull, os.O_RDWR))
            elif stream == subprocess.STDOUT:
                theirs.append(os.dup(theirs[1]))
            else:
                theirs.append(os.dup(i if stream is None else stream if isinstance(stream, int) else stream.fileno()))
        told, tells = os.pipe()
        asked, asks = os.pipe()
        environment = dict(os.environ if env is None else env)
        with os.fdopen(asks, "w") as request:
            json.dump(
                [list(arguments), str(cwd or Path.cwd()), environment, list(pass_fds), start_new_session], request
            )
        theirs += [*map(os.dup, pass_fds), tells, asked]
        socket.send_fds(self._requests, [b"."], theirs)
        for descriptor in theirs:
            os.close(descriptor)
        return Forked(os.fdopen(told), ours.get(0), ours.get(1))


@contextmanager
def forking(*, with_torch: bool = True) -> Iterator[Forking]:
    """Start the process that others are forked from; it ends with this one. `with_torch`: else with pytest alone."""
    ours, theirs = socket.socketpair()
    path = os.pathsep.join((str(REPOSITORY / "src"), str(REPOSITORY), os.environ.get("PYTHONPATH", "")))
    code = f"from tests.support.forking import *; prepare({with_torch}); serve({theirs.fileno()}); os._exit(0)"
    with theirs:
        process = _popen(
            [sys.executable, "-c", code],
            pass_fds=[theirs.fileno()],
            env=os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},  # one thread: it must be safe to fork
        )
    with ours:
        yield Forking(ours)
    process.wait()


def import_nets() -> None:
    """Import every module of the package."""
    import nets

    for module in pkgutil.walk_packages(nets.__path__, "nets."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def prepare(with_torch: bool = True) -> None:
    """Import what takes long: pytest and its plug-ins; with torch also the suite, whose digits are read."""
    packages.read_once()
    plugins = [each.value for each in entry_points(group="pytest11") if each.name not in ("hypothesispytest", "anyio")]
    if with_torch:
        for name in IMPORTED:
            importlib.import_module(name)
        import_nets()
        plugins += ["nets.plugin", "nets.plugin.hooks", "nets.plugin.fixtures"]
    for name in plugins:
        importlib.import_module(name)
        for module in (sys.modules[name], sys.modules[name.partition(".")[0]]):
            module.__doc__ = f"{module.__doc__} PYTEST_DONT_REWRITE"  # else pytest warns that it is imported already
    if with_torch:
        from nets.datasets import digits

        digits.digits = functools.cache(digits.digits)
        digits.digits()
    gc.freeze()


def serve(descriptor: int) -> None:
    """Fork a process for each request, and do in it what was asked for. The caller has nothing to do after it."""
    with socket.socket(fileno=descriptor) as requests:
        while descriptors := socket.recv_fds(requests, 1, MAX_DESCRIPTORS)[1]:
            if os.fork() == 0:
                break
            for each in descriptors:
                os.close(each)
    if descriptors:
        for i, stream in enumerate(descriptors[:3]):
            os.dup2(stream, i)
            os.close(stream)
        *passed, tells, asked = descriptors[3:]
        _become(passed, tells, asked)


def _become(passed: list[int], tells: int, asked: int) -> NoReturn:
    """Fork once more: one process tells of its number and does what is asked, the other tells how it ended."""
    if pid := os.fork():
        for each in (0, 1, 2, asked, *passed):
            os.close(each)
        os.write(tells, b"%s%d\n" % (ENDED.encode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
        os._exit(0)
    with os.fdopen(asked) as request:
        arguments, folder, environment, numbers, is_session = json.load(request)
    apart = [fcntl.fcntl(each, fcntl.F_DUPFD, 500) for each in passed]  # from the numbers that they are to have
    for each in passed:
        os.close(each)
    for each, number in zip(apart, numbers, strict=True):
        os.dup2(each, number)
        os.close(each)
    if is_session:
        os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    path = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.path[:] = [*path, *(each for each in sys.path if each not in path)]
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    encoding, _, errors = environment.get("PYTHONIOENCODING", sys.stdout.encoding).partition(":")
    sys.stdin = os.fdopen(0, encoding=encoding, closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding=encoding, errors=errors or None, closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding=encoding, errors="backslashreplace", closefd=False)
    vars(sys).update(__stdout__=sys.stdout, __stderr__=sys.stderr)
    os.write(tells, b"%d\n" % os.getpid())
    os.close(tells)
    _end(_status_of(arguments))


def _status_of(arguments: list[str]) -> int:
    """Run `python ARGUMENTS` here; the exit code that it asks for."""
    how, *rest = arguments[next(i for i, word in enumerate(arguments) if word[:2] in ("-c", "-m")) :]
    try:
        if how == "-c":
            sys.argv = ["-c", *rest[1:]]
            exec(rest[0], {"__name__": "__main__"})
        else:
            sys.argv = [how.removeprefix("-m"), *rest] if how != "-m" else rest
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _end(status: int) -> NoReturn:
    """End as Python does, but for the taking apart of what torch has made, which takes 0.4 s."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
