"""The rooms' borders, as pyproject.toml has them for import-linter, and what a start of the plug-in loads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.suite import REPOSITORY


def linted(folder: Path) -> str:
    """What import-linter says of the copy in a folder."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True).stdout


# what is added to a file, by which contract, and in which words of it, it is refused
PLANTED = {
    "records/base.py": ("import nets.gate.judge", "Imports go down", "nets.records.base -> nets.gate.judge"),
    "gate/findings.py": ("import nets.gate.judge", "No circle, at any depth", ".findings -> .judge"),
    "history/series.py": (
        "def f():\n    import torch",
        "The judging wing and the ground know neither torch nor pytest nor the driver",
        "nets.history.series -> torch",
    ),
    "gpu/window.py": ("import pynvml", "machine.nvml alone imports pynvml", "nets.gpu.window -> pynvml"),
    "attic.py": ("import json", "Imports go down", "- nets.attic"),
}


def test_the_rules_hold(tmp_path: Path) -> None:
    """import-linter passes the tree as it is, and refuses each of what is planted in a copy."""
    pytest.importorskip("importlinter", reason="import-linter is not among the oldest dependencies")
    shutil.copytree(REPOSITORY / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    assert "0 broken" in linted(tmp_path)
    for file, (line, _, _) in PLANTED.items():
        with (tmp_path / "src" / "nets" / file).open("a") as stream:
            stream.write(f"\n{line}\n")
    kept, _, broken = linted(tmp_path).partition("Broken contracts")
    for _, contract, told in PLANTED.values():
        assert f"{contract} BROKEN" in kept
        of_contract = broken.split(f"\n{contract}\n---")[1].split("\n---")[0]
        assert told in of_contract, contract


@pytest.mark.parametrize(
    ("start", "heavy"),
    [
        (
            "import nets.plugin.hooks, nets.plugin.fixtures",
            ("torch", "torchvision", "scipy", "sklearn", "numpy", "rich", "tomlkit", "filelock"),
        ),
        ("import nets.cli.app, nets.records.run, nets.report.run", ("torch", "scipy", "numpy", "pytest", "tomlkit")),
    ],
    ids=["plugin", "report"],
)
def test_a_start_loads_nothing_heavy(start: str, heavy: tuple[str, ...]) -> None:
    """The plug-in's start imports neither torch nor scipy nor what comes with them; `nets report` not even numpy."""
    code = f"import sys; {start}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_few_entries() -> None:
    """A stranger sees fewer than twenty rooms and files on the top floor."""
    entries = [path.name for path in (REPOSITORY / "src" / "nets").iterdir() if not path.name.startswith("__")]
    assert len(entries) < 20
