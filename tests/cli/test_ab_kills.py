"""`nets ab` and its sides killed (-9) at random moments: finished sittings stay, processes end, worktrees are swept.

`NETS_KILLS=40 pytest tests/cli/test_ab_kills.py` is the long form, with so many kills.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from nets.ab import worktree
from tests.support.killing import demand_end
from tests.support.repositories import commit, git, made, nothing_left
from tests.support.without_torch import without_torch

KILLS = int(os.environ.get("NETS_KILLS", "1"))
COMMAND = (sys.executable, "-m", "nets", "ab", "HEAD", "HEAD", "--restart-every", "1", "--max-sittings", "12")
LONGEST_S = 30.0 if KILLS > 1 else 3.0
"""About as long as a whole comparison takes; once alone, a few sittings."""
FINISHED = re.compile(r"sitting (\d+):")


def n_rounds(side: str) -> int:
    """How many rounds are in a side's file, which is whole or not there."""
    file = Path("nets-ab", f"{side}.json")
    return len(json.loads(file.read_bytes())["benchmarks"][0]["extra_info"]["rounds"]) if file.exists() else 0


def killed_once(rng: random.Random) -> tuple[str, int]:
    """One run, which is killed, or whose side is; whose kill it was, and how many sittings were kept."""
    for side in ("base", "head"):
        Path("nets-ab", f"{side}.json").unlink(missing_ok=True)
    log = Path("nets-ab.log")
    with log.open("w") as stream, subprocess.Popen(COMMAND, stdout=stream, stderr=stream) as process:
        while "looks after" not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.01)
        # what earlier ones left was swept
        assert len(git("worktree", "list").splitlines()) == 3
        assert len(list(Path(tempfile.gettempdir()).glob("nets-ab-run-*"))) == 2, "one for worktrees, one for files"
        time.sleep(rng.uniform(0, 3 if KILLS > 1 else 1.5))
        sides = psutil.Process(process.pid).children() if process.poll() is None else []
        whose = rng.choice(["nets ab", "a side"]) if sides else "nets ab"
        with suppress(ProcessLookupError):
            os.kill(process.pid if whose == "nets ab" else rng.choice(sides).pid, signal.SIGKILL)
        process.wait(timeout=60)
    for each in sides:
        demand_end(each.pid)
    said = len(FINISHED.findall(log.read_text()))
    kept = min(n_rounds("base"), n_rounds("head"))
    assert kept >= said, log.read_text()
    assert "Traceback" not in log.read_text()
    return whose, kept


def test_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is killed, and however often: the next run finds nothing in its way, and nothing is left in the end."""
    repository = made(tmp_path, monkeypatch)
    commit({**without_torch(0.05), ".gitignore": "__pycache__\nnets-ab*\n"})
    rng = random.Random(int(os.environ.get("NETS_KILLS_SEED", "0")))
    found = [killed_once(rng) for _ in range(KILLS)]
    with worktree.checked_out("HEAD", "."):
        pass
    nothing_left(repository)
    print(f"{[whose for whose, _ in found].count('nets ab')} kills of nets ab, of {len(found)}; kept: {found}")


def interrupted_once(command: tuple[str, ...], rng: random.Random) -> tuple[int, float]:
    """One run that gets Ctrl-C at some moment, once or twice; its exit code, and the moment."""
    log = Path("nets-ab.log")
    with log.open("w") as stream, subprocess.Popen(command, stdout=stream, stderr=stream) as process:
        moment, n_times = rng.uniform(0.3, LONGEST_S), rng.choice((1, 2))
        for after in (moment, 0.2)[:n_times]:
            with suppress(subprocess.TimeoutExpired):
                process.wait(after)
            sides = psutil.Process(process.pid).children() if process.poll() is None else []
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGINT)
        process.wait(timeout=60)
    for each in sides:
        demand_end(each.pid)
    assert "Traceback" not in log.read_text(), log.read_text()
    assert process.returncode in (-signal.SIGINT, 0, 1, 130), log.read_text()
    return process.returncode, moment


@pytest.mark.parametrize("command", ["ab", "bisect"])
def test_interrupted_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """Ctrl-C in whatever phase, the confirmation too: no worktree, no process is left, and every file is whole."""
    repository = made(tmp_path, monkeypatch)
    commit({**without_torch(0.02), ".gitignore": "__pycache__\nnets-*\n"})
    commit(without_torch(0.05) | {".gitignore": "__pycache__\nnets-*\n"})
    rng = random.Random(int(os.environ.get("NETS_KILLS_SEED", "0")))
    called = (sys.executable, "-m", "nets", command, "HEAD~1", "HEAD", "--restart-every", "1")
    found = []
    for _ in range(KILLS):
        found.append(interrupted_once(called, rng))
        nothing_left(repository)
        for file in Path().glob("nets-*/*.json"):
            assert json.loads(file.read_bytes()), file
    print(f"{command}: {found}")
