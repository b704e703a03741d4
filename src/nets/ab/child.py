"""A child process that runs the pytest session of one side, base or head, and waits whenever it is not its turn."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import psutil

from nets.ab import child_plugin
from nets.errors import Unusable
from nets.machine.cpu import callers_environment
from nets.records.git import outside_variables

PLUGIN = "nets_ab_side"
USAGE_ERROR = 4
"""Pytest's exit code for an option that it doesn't accept."""
MAX_MESSAGE = 10_000_000
"""Bytes of a message; the longest one has a line for each cell."""
INTERRUPT_TIMEOUT_S = 5.0
"""How long children that were interrupted may take to write their files."""


class SideFailed(Unusable):
    """A revision's own pytest could not be run to its end; `side`: base or head."""

    def __init__(self, side: str, because: str) -> None:
        super().__init__(f"{side}: {because}")
        self.side = side


class CellsRefused(SideFailed):
    """A child's pytest rejected the names in --cells."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A child is about to begin round `n_done` of a test, from 0; `seconds`: what the round before took.

    `on_gpu`: whether its process has begun to use a GPU, told before the first round.
    """

    test: str
    n_done: int
    seconds: float | None
    on_gpu: bool = False


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What runs as base or head: an interpreter, the folder to run it in, pytest's arguments.

    `json`: the file for its rounds; what its pytest prints is added to `log`. `isolated_from`: a folder from which
    nothing may be imported, and the child's own worktree, which may lie in that folder.
    """

    name: str
    python: Path
    folder: Path
    arguments: tuple[str, ...]
    json: Path
    log: Path
    isolated_from: tuple[Path, Path] | None = None


def child_environment(folder: Path, plugin_folder: Path | None = None) -> dict[str, str]:
    """Our caller's variables, the folder's `src` first on the path; without those that a git hook or xdist has set.

    Raises Unusable for a folder that the path can't hold.
    """
    sources = folder / "src"
    ours = [str(each) for each in (plugin_folder, sources if sources.is_dir() else None) if each]
    for each in ours:
        if os.pathsep in each:
            raise Unusable(
                f"{each}: PYTHONPATH can't hold a folder with {os.pathsep!r} in its path: rename it, or for temporary "
                f"files set TMPDIR"
            )
    path = os.pathsep.join([*ours, *filter(None, [os.environ.get("PYTHONPATH")])])
    callers = outside_variables(callers_environment())
    kept = {name: value for name, value in callers.items() if not name.startswith("PYTEST_XDIST_")}
    return {**kept, "PYTHONPATH": path, "NETS_IDLE_PEERS": "1"}


class Child:
    """A child process. `collected`: the id of each test's cell. `at`: where it waits, None when it has ended.

    `on_gpu`: whether it has said that it uses one.
    """

    def __init__(self, spec: ChildSpec, plugin_folder: Path) -> None:
        """Start it, with the plug-in in that folder. Raises Unusable if its interpreter can't be run."""
        self.spec = spec
        self.collected: dict[str, str] = {}
        self.at: Waiting | None = None
        self.on_gpu = False
        self._has_ended = self._is_told = False
        self._pipe, theirs = Pipe()
        ending, self._alive = Pipe(duplex=False)  # nothing is sent by it; it closes when this process ends
        timed = ("--benchmark-enable", "--benchmark-only")  # whatever a revision's ini file says
        # plug-ins whose search for what was never closed takes half a second at a process's end
        fast = ("-p", "no:unraisableexception", "-p", "no:threadexception")
        ours = ("-p", PLUGIN, *timed, *fast, "--benchmark-json", str(spec.json))
        command = [str(spec.python), "-m", "pytest", *spec.arguments, *ours]
        variables = child_environment(spec.folder, plugin_folder)
        if spec.isolated_from is not None:  # a folder of our own, in which each sitting may find what is compiled
            variables.pop("PYTHONDONTWRITEBYTECODE", None)
        variables |= {child_plugin.PIPE: str(theirs.fileno()), child_plugin.PARENT: str(ending.fileno())}
        if spec.isolated_from is not None:
            variables[child_plugin.ISOLATED_FROM] = json.dumps([str(folder) for folder in spec.isolated_from])
        with theirs, ending, spec.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    command,
                    cwd=spec.folder,
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=[theirs.fileno(), ending.fileno()],
                    start_new_session=True,  # Ctrl-C reaches the parent alone, which passes it on
                )
            except OSError as error:
                self._pipe.close()
                self._alive.close()
                raise Unusable(f"{spec.name}: {spec.python} can't be run: {error.strerror}") from error

    def collect(self) -> None:
        """Wait until it has collected its cells. Raises Unusable, or CellsRefused, with its error if it ended before.

        Like `begin` and `answer`, it also raises Unusable if the child imported something of another revision.
        """
        message = self._read()
        if message is None:
            because = self._why_it_ended("ended before it had collected a cell")
            is_about_cells = self._process.returncode == USAGE_ERROR and "--cells" in because
            raise (CellsRefused if is_about_cells else SideFailed)(self.spec.name, because)
        self.collected = dict(message["collected"])

    def begin(self, order: Sequence[str]) -> None:
        """Have it run these tests in this order; `hear` waits for where it waits first."""
        self.tell(list(order))

    def answer(self, step: str) -> None:
        """Let it continue with `set up`, `go`, `enough` or `skip`, up to where it waits next."""
        self.tell(step)
        self.hear()

    def waits_in(self, test: str) -> bool:
        """Whether it waits for its turn in this test."""
        return self.at is not None and self.at.test == test

    def end(self) -> None:
        """Wait for its end. Raises Unusable if it left no JSON file, or waits in a test that is not its turn."""
        self.hear()
        if self.at is not None:
            because = f"it came to {self.at.test} out of turn; does a plug-in reorder tests?"
            raise SideFailed(self.spec.name, because)
        self._wait()
        self.kill()  # it has ended, and only its pipes are closed
        if not self.spec.json.is_file():
            raise SideFailed(self.spec.name, self._why_it_ended("left no JSON file"))

    def interrupt(self) -> None:
        """Ask it to end now, as by Ctrl-C, its finished rounds kept."""
        self._process.send_signal(signal.SIGINT)

    def end_by(self, deadline: float) -> None:
        """Wait for its end until `time.monotonic()` is so far, then end it by force."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """Kill it unless it has ended, and the processes that it started; close its pipes."""
        if self._process.poll() is None:
            _kill_session(self._process.pid)
        self._wait()
        self._pipe.close()
        self._alive.close()

    def _wait(self) -> int:
        """Wait for its end, and kill what it has left running."""
        status = self._process.wait()
        if not self._has_ended:  # later its number may be another's
            _kill_session(self._process.pid)
            self._has_ended = True
        return status

    def tell(self, message: object) -> None:
        """Answer it, and don't wait for what it does; `hear` does."""
        with suppress(OSError):  # it has ended, as `hear` finds
            self._pipe.send_bytes(json.dumps(message).encode())
        self._is_told = True

    def hear(self) -> None:
        """Wait until it asks again or has ended, where it was told to go on."""
        if not self._is_told:
            return
        self._is_told = False
        question = self._read()
        if question is None:
            self.at = None
            self._wait()  # its end, which frees the GPU's context, must not overlap the other's turn
        else:
            self.at = Waiting(**question)
            self.on_gpu |= self.at.on_gpu

    def _read(self) -> dict[str, Any] | None:
        """What the child sent, as JSON: it runs the code of a revision, of which nothing may be unpickled here."""
        try:
            message = json.loads(self._pipe.recv_bytes(MAX_MESSAGE))
        except (OSError, EOFError):
            return None
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise SideFailed(self.spec.name, "its process sent what nets ab does not send: its code has the pipe")
        if (foreign := message.pop("foreign", None)) is not None:
            raise SideFailed(
                self.spec.name,
                f"it imported {foreign}, which is not of its revision; only what lies in src/ or in the folder of the "
                f"call is imported from a revision: add its folder to `pythonpath` in pytest.ini",
            )
        return message

    def _why_it_ended(self, what: str) -> str:
        """A sentence with the last error in its log."""
        status = self._wait()
        lines = [line for line in self.spec.log.read_text(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if re.match(r"ERROR(?!: usage:)|(\S+ )*\S+: error: ", line)]
        last = [*lines, *errors][-1] if lines else "nothing"
        return f"its pytest {what} (exit {status}): {last} (all of it: {self.spec.log})"


def _kill_session(leader: int) -> None:
    """Kill all processes of a session, in whatever process group they are, and wait until none of them runs.

    One that left the session is not found.
    """
    killed: set[int] = set()
    while found := {pid for pid in psutil.pids() if _session(pid) == leader} - killed:
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed |= found
    deadline = time.monotonic() + INTERRUPT_TIMEOUT_S
    while any(map(_runs, killed)) and time.monotonic() < deadline:
        time.sleep(0.001)


def _runs(pid: int) -> bool:
    """Whether it is more than an entry that waits for its parent to notice."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def accepts_option(spec: ChildSpec, option: str) -> bool:
    """Whether the pytest of that child accepts one more option."""
    command = [str(spec.python), "-m", "pytest", *spec.arguments, option, "--collect-only", "-q"]
    done = subprocess.run(command, cwd=spec.folder, env=child_environment(spec.folder), capture_output=True)
    return done.returncode != USAGE_ERROR


def demand_nets(spec: ChildSpec, option: str) -> None:
    """Refuse an interpreter, given by that option, that can't import what a child needs.

    Raises SideFailed, since what can't be imported may be the revision's own; Unusable where it can't be run at all.
    """
    command = [str(spec.python), "-c", "import pytest, pytest_benchmark, torch, nets.plugin"]
    environment = child_environment(spec.folder)
    try:
        done = subprocess.run(
            command, cwd=spec.folder, env=environment, capture_output=True, text=True, errors="replace"
        )
    except OSError as error:
        raise Unusable(f"{option}: {spec.python} can't be run: {error.strerror}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        because = lines[-1] if lines else done.returncode
        raise SideFailed(spec.name, f"{option}: {spec.python} can't import what it needs: {because}")
