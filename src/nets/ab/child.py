"""A child process that runs the pytest session of one side, base or head, and waits whenever it is not its turn."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from nets.ab import child_plugin
from nets.errors import Unusable
from nets.machine.cpu import callers_environment

PLUGIN = "nets_ab_side"
USAGE_ERROR = 4
"""Pytest's exit code for an option that it doesn't accept."""
INTERRUPT_TIMEOUT_S = 30.0
"""How long a child that was interrupted may take to write its file."""


class CellsRefused(Unusable):
    """A child's pytest rejected the names in --cells."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A child is about to begin round `n_done` of a test, from 0; `seconds`: what the round before took."""

    test: str
    n_done: int
    seconds: float | None


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
    """Our caller's variables, the folder's `src` first on the path; without those that a git hook or xdist has set."""
    sources = folder / "src"
    paths = [plugin_folder, sources if sources.is_dir() else None, os.environ.get("PYTHONPATH")]
    path = os.pathsep.join(str(each) for each in paths if each)
    removed = ("GIT_", "PYTEST_XDIST_")
    kept = {name: value for name, value in callers_environment().items() if not name.startswith(removed)}
    return {**kept, "PYTHONPATH": path, "NETS_IDLE_PEERS": "1"}


class Child:
    """A child process. `collected`: the id of each test's cell. `at`: where it waits, None when it has ended."""

    def __init__(self, spec: ChildSpec, plugin_folder: Path) -> None:
        """Start it, with the plug-in in that folder. Raises Unusable if its interpreter can't be run."""
        self.spec = spec
        self.collected: dict[str, str] = {}
        self.at: Waiting | None = None
        self._pipe, theirs = Pipe()
        spec.json.unlink(missing_ok=True)
        command = [str(spec.python), "-m", "pytest", *spec.arguments, "-p", PLUGIN, "--benchmark-json", str(spec.json)]
        variables = {**child_environment(spec.folder, plugin_folder), child_plugin.PIPE: str(theirs.fileno())}
        variables[child_plugin.ISOLATED_FROM] = os.pathsep.join(map(str, spec.isolated_from or ()))
        with theirs, spec.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    command,
                    cwd=spec.folder,
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C reaches the parent alone, which passes it on
                )
            except OSError as error:
                self._pipe.close()
                raise Unusable(f"{spec.name}: {spec.python} can't be run: {error.strerror}") from error

    def collect(self) -> None:
        """Wait until it has collected its cells. Raises Unusable, or CellsRefused, with its error if it ended before.

        Like `begin` and `answer`, it also raises Unusable if the child imported something of another revision.
        """
        message = self._read()
        if message is None:
            because = self._why_it_ended("ended before it had collected a cell")
            is_about_cells = self._process.returncode == USAGE_ERROR and "--cells" in because
            raise CellsRefused(because) if is_about_cells else Unusable(because)
        self.collected = dict(message["collected"])

    def begin(self, order: Sequence[str]) -> None:
        """Have it run these tests in this order, up to where it waits first."""
        self._send(list(order))

    def answer(self, step: str) -> None:
        """Let it continue with `go`, `enough` or `skip`, up to where it waits next."""
        self._send(step)

    def waits_in(self, test: str) -> bool:
        """Whether it waits for its turn in this test."""
        return self.at is not None and self.at.test == test

    def end(self) -> None:
        """Wait for its end. Raises Unusable if it left no JSON file, or waits in a test that is not its turn."""
        if self.at is not None:
            raise Unusable(f"{self.spec.name}: it came to {self.at.test} out of turn; does a plug-in reorder tests?")
        self._process.wait()
        if not self.spec.json.is_file():
            raise Unusable(self._why_it_ended("left no JSON file"))

    def interrupt(self) -> None:
        """Have it end now, as by Ctrl-C, its finished rounds kept; by force if it takes too long."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(INTERRUPT_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """Kill it, and the processes that it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._pipe.close()

    def _send(self, message: object) -> None:
        """Answer it, and wait until it asks again or ends."""
        try:
            self._pipe.send(message)
        except OSError:
            self.at = None
            return
        question = self._read()
        if question is None:
            self._process.wait()  # its end, which frees the GPU's context, must not overlap the other's turn
        self.at = None if question is None else Waiting(**question)

    def _read(self) -> dict[str, Any] | None:
        try:
            message: dict[str, Any] = self._pipe.recv()
        except (OSError, EOFError):
            return None
        if (foreign := message.pop("foreign", None)) is not None:
            raise Unusable(
                f"{self.spec.name}: it imported {foreign}, which is not of its revision; only what lies in src/ or in "
                f"the folder of the call is imported from a revision: add its folder to `pythonpath` in pytest.ini"
            )
        return message

    def _why_it_ended(self, what: str) -> str:
        """A sentence with the last error in its log."""
        status = self._process.wait()
        lines = [line for line in self.spec.log.read_text(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR") and "usage:" not in line]
        last = [*lines, *errors][-1] if lines else "nothing"
        return f"{self.spec.name}: its pytest {what} (exit {status}): {last} (all of it: {self.spec.log})"


def accepts_option(spec: ChildSpec, option: str) -> bool:
    """Whether the pytest of that child accepts one more option."""
    command = [str(spec.python), "-m", "pytest", *spec.arguments, option, "--collect-only", "-q"]
    done = subprocess.run(command, cwd=spec.folder, env=child_environment(spec.folder), capture_output=True)
    return done.returncode != USAGE_ERROR


def demand_nets(spec: ChildSpec, option: str) -> None:
    """Refuse an interpreter, given by that option, that can't import what a child needs. Raises Unusable."""
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
        raise Unusable(f"{option}: {spec.python} can't import what it needs: {because}")
