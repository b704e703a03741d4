"""A repository whose one cell adds up numbers in Python, for live series of `nets ab` and `nets bisect`.

It needs no torch, so that a start takes half a second; what is measured, and by which noise, is real.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.without_torch import without_torch

CELL = "mnist-lenet5"
SLEEPS = "time.sleep(SECONDS)"


def init(folder: Path) -> None:
    """Make the folder an empty repository."""
    git(folder, "init", "--quiet", "-b", "main")


def commit(folder: Path, subject: str, work: int) -> str:
    """Commit a cell that does `work` additions a round, and something that no other commit has; its hash."""
    files = {name: text.replace("('a',)", f"({CELL!r},)") for name, text in without_torch(0.0).items()}
    files["benchmarks/test_cells.py"] = files["benchmarks/test_cells.py"].replace(
        SLEEPS, f"total = 0\n        for i in range({work}):\n            total += i"
    )
    for name, text in {**files, "notes.txt": subject}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", subject)
    return git(folder, "rev-parse", "HEAD")


def git(folder: Path, *arguments: str) -> str:
    """What git prints."""
    who = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()
