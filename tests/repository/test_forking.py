"""A forked Python process is to its caller what a started one is."""

from __future__ import annotations

import os
import signal
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


def test_as_a_side_is_started(forking_process: Forking, tmp_path: Path) -> None:
    """It has the descriptors by their numbers, a session and a folder of its own, its path, and both outputs in one."""
    ours, theirs = os.pipe()
    code = (
        "import os, sys; os.write(int(sys.argv[1]), f'{os.getsid(0) == os.getpid()} {os.getcwd()}'.encode())\n"
        "print(sys.path[1], flush=True); sys.stderr.write('told')"
    )
    with (tmp_path / "log").open("w") as log:
        process = forking_process.popen(
            [sys.executable, "-c", code, str(theirs)], cwd=tmp_path, env={"PYTHONPATH": "/a"}, stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT, pass_fds=[theirs], start_new_session=True,
        )  # fmt: skip
    os.close(theirs)
    with os.fdopen(ours) as told:
        assert told.read() == f"True {tmp_path}"
    assert process.wait(60) == 0
    assert (tmp_path / "log").read_text() == "/a\ntold"


def test_waiting(forking_process: Forking) -> None:
    """Whether it has ended is seen without waiting, a wait may have a limit, and a signal reaches it."""
    process = forking_process.popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == process.poll() == -signal.SIGTERM


def test_other_programs_are_started(forking_process: Forking) -> None:
    """What is no Python process, or is to be talked to as subprocess.run does, is started as ever."""
    with forking_process.popen(["true"]) as process:
        assert isinstance(process, subprocess.Popen)
    with forking_process.popen([sys.executable, "-c", ""], stderr=subprocess.PIPE) as process:
        assert isinstance(process, subprocess.Popen)
