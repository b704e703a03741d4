"""One side of an A/B: a pytest session in a process of its own, which waits whenever it is not its turn."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nets.ab import child_plugin
from nets.errors import Unusable
from nets.machine.cpu import callers_environment

PLUGIN = "nets_ab_side"
USAGE_ERROR = 4
"""Pytest's exit code for an option that it can't take."""
PATIENCE_S = 30.0
"""How long a side that was interrupted may take to write its file."""


class CellsRefused(Unusable):
    """A side's pytest took --cells for a mistake."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A side is about to begin round `n_done` of a test, from 0; `seconds`: what the round before took."""

    test: str
    n_done: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What a side runs: an interpreter, in a folder, pytest's arguments.

    `json`: the file that its pytest writes; what it prints is added to `log`. `not_from`: a folder of another revision,
    and one of its own, which may lie in it.
    """

    name: str
    python: Path
    folder: Path
    arguments: tuple[str, ...]
    json: Path
    log: Path
    not_from: tuple[Path, Path] | None = None


def child_environment(folder: Path, plugin_folder: Path | None = None) -> dict[str, str]:
    """Our caller's, with the folder's own sources before what is installed; without a hook's git, or xdist's worker."""
    sources = folder / "src"
    first = [plugin_folder, sources if sources.is_dir() else None]
    paths = [str(path) for path in first if path is not None]
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([*paths, *([inherited] if inherited else [])])
    ours = ("GIT_", "PYTEST_XDIST_")
    kept = {name: value for name, value in callers_environment().items() if not name.startswith(ours)}
    return {**kept, "PYTHONPATH": path, "NETS_IDLE_PEERS": "1"}


class Child:
    """A side's process.

    `collected`: its tests, each with its cell's id. `at`: where it waits for its turn, None when it has ended.
    """

    def __init__(self, spec: ChildSpec, plugin_folder: Path) -> None:
        """Start it, with the plug-in of that folder. Raises Unusable if its interpreter can't be run."""
        self.spec = spec
        self.collected: dict[str, str] = {}
        self.at: Waiting | None = None
        ours, theirs = socket.socketpair()
        spec.json.unlink(missing_ok=True)
        command = [str(spec.python), "-m", "pytest", *spec.arguments, "-p", PLUGIN, "--benchmark-json", str(spec.json)]
        variables = {**child_environment(spec.folder, plugin_folder), child_plugin.SOCKET: str(theirs.fileno())}
        variables[child_plugin.NOT_FROM] = os.pathsep.join(map(str, spec.not_from or ()))
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
                    start_new_session=True,  # Ctrl-C is ours to hand on
                )
            except OSError as error:
                ours.close()
                raise Unusable(f"{spec.name}: {spec.python} can't be run: {error.strerror}") from error
        with ours:
            self._lines = ours.makefile("rw", encoding="utf-8", newline="\n")

    def collect(self) -> None:
        """Wait until it has collected its cells. Raises Unusable if it ended before, with its last words, or Refused.

        As `begin` and `say` do, too, if it imported something of another revision.
        """
        said = self._read()
        if said is None:
            words = self._last_words("ended before it had collected a cell")
            is_about_cells = self._process.returncode == USAGE_ERROR and "--cells" in words
            raise CellsRefused(words) if is_about_cells else Unusable(words)
        self.collected = dict(said["collected"])

    def begin(self, order: Sequence[str]) -> None:
        """Have it run these cells in this order, up to where it waits first."""
        self._go_on(list(order))

    def say(self, answer: str) -> None:
        """Let it go on by `go`, `enough` or `skip`, to where it waits next."""
        self._go_on(answer)

    def end(self) -> None:
        """Wait for its end. Raises Unusable if it left no JSON file, or waits for what nobody will say."""
        if self.at is not None:
            raise Unusable(f"{self.spec.name}: it came to {self.at.test} out of turn; does a plug-in reorder tests?")
        self._process.wait()
        if not self.spec.json.is_file():
            raise Unusable(self._last_words("left no JSON file"))

    def interrupt(self) -> None:
        """Have it end now, as by Ctrl-C, its finished rounds kept; by force if it takes too long."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End it, and what it started, at once."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with suppress(OSError):  # what could not be said is of no use now
            self._lines.close()

    def _go_on(self, answer: object) -> None:
        try:
            self._lines.write(json.dumps(answer) + "\n")
            self._lines.flush()
        except OSError:
            self.at = None
            return
        said = self._read()
        if said is None:
            self._process.wait()  # its end, with the GPU's context, is a turn as well
        self.at = None if said is None else Waiting(**said)

    def _read(self) -> dict[str, Any] | None:
        try:
            line = self._lines.readline()
        except OSError:
            line = ""
        said: dict[str, Any] | None = json.loads(line) if line.endswith("\n") else None
        stranger = None if said is None else said.pop("stranger", None)
        if stranger is not None:
            raise Unusable(
                f"{self.spec.name}: it imported {stranger}, which is not of its revision; only what lies in src/ or in "
                f"the folder of the call is imported from a revision: add its folder to `pythonpath` in pytest.ini"
            )
        return said

    def _last_words(self, what: str) -> str:
        status = self._process.wait()
        lines = [line for line in self.spec.log.read_text(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR") and "usage:" not in line]
        told = [*lines, *errors][-1] if lines else "nothing"
        return f"{self.spec.name}: its pytest {what} (exit {status}): {told} (all of it: {self.spec.log})"


def takes(spec: ChildSpec, option: str) -> bool:
    """Whether that side's pytest takes one more option."""
    command = [str(spec.python), "-m", "pytest", *spec.arguments, option, "--collect-only", "-q"]
    done = subprocess.run(command, cwd=spec.folder, env=child_environment(spec.folder), capture_output=True)
    return done.returncode != USAGE_ERROR


def demand_nets(python: Path, folder: Path, option: str) -> None:
    """Refuse an interpreter that can't import what a side needs. Raises Unusable."""
    code = "import pytest, pytest_benchmark, torch, nets.plugin"
    try:
        done = subprocess.run(
            [str(python), "-c", code],
            cwd=folder, env=child_environment(folder), capture_output=True, text=True, errors="replace",
        )  # fmt: skip
    except OSError as error:
        raise Unusable(f"{option}: {python} can't be run: {error.strerror}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise Unusable(f"{option}: {python} can't import what it needs: {lines[-1] if lines else done.returncode}")
