"""A forked Python process is to its caller what a started one is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.forking import Forking


def ended(popen: Any, code: str) -> tuple[bytes, int]:
    """What a process writes that is sent a line, and how it ends."""
    process = popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(b"a line\n")
    process.stdin.close()
    with process.stdout:
        return process.stdout.read(), process.wait()


@pytest.mark.parametrize(
    "code",
    [
        "import os, sys; print(sys.stdin.read(), os.getcwd(), os.environ['OWN'], __name__)",
        "raise SystemExit(3)",
        "import atexit, sys; atexit.register(print, 'at exit'); sys.exit()",
        "import os; os.kill(os.getpid(), 9)",
    ],
)
def test_as_if_started(forking_process: Forking, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads, writes and ends as `python -c` does, in the folder and under the variables of its caller."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OWN", str(os.getpid()))
    forked = ended(forking_process.popen, code)
    assert forked == ended(subprocess.Popen, code)
    assert forked[0] or forked[1]


def test_kill(forking_process: Forking) -> None:
    """A killed process says so, and one that has ended by then is left alone."""
    process = forking_process.popen([sys.executable, "-c", "import time; time.sleep(60)"])
    process.kill()
    assert process.wait() == -9
    process.kill()


def test_other_programs_are_started(forking_process: Forking) -> None:
    """What is no Python process is started as ever."""
    with forking_process.popen(["true"]) as process:
        assert isinstance(process, subprocess.Popen)
