"""The rooms' borders: what a pure room must not import, and who may import the driver's library."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.suite import REPOSITORY

PURE = (
    "bandrates", "bands", "depth", "gate.accuracy", "gate.comparable", "gate.findings", "gate.figures", "gate.judge",
    "gate.significance", "gate.time", "growth", "harness", "history.changepoints", "history.lines", "history.metrics",
    "history.rates", "history.records", "kineto", "occupancy", "sidebyside", "trace", "windows",
)  # fmt: skip


def test_pure_rooms() -> None:
    """The pure rooms import neither torch nor pytest, nor anything that does."""
    imports = ", ".join(f"nets.{room}" for room in PURE)
    code = f"import sys, {imports}; print([m for m in ('torch', 'pytest', 'pynvml') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_one_importer_of_pynvml() -> None:
    """`nets.gpu` alone imports pynvml."""
    sources = (REPOSITORY / "src").rglob("*.py")
    importers = [p.name for p in sources if re.search(r"^\s*(import|from) pynvml", p.read_text(), re.MULTILINE)]
    assert importers == ["gpu.py"]
