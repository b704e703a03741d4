"""What one of xdist's workers makes for all of them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from nets.report.document import Chart
from nets.report.drawing import svg


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """The folder of this run of the tests, in which the workers have theirs."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` fills, called by whichever worker asks first; the others wait for it."""
    folder = shared_folder(factory) / name
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            half = folder.with_name(f"{name}-half-made")
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir()
            make(half)
            half.rename(folder)
    return folder


def drawn_once(folder: Path, chart: Chart) -> str:
    """What `svg` makes of a chart, kept in a folder: it depends on these three alone."""
    key = json.dumps([chart.title, chart.says, chart.spec], sort_keys=True)
    path = folder / f"{hashlib.sha256(key.encode()).hexdigest()}.svg"
    if not path.is_file():
        half = path.with_suffix(f".{os.getpid()}")
        half.write_bytes(svg(chart).encode())
        half.replace(path)
    return path.read_bytes().decode()
