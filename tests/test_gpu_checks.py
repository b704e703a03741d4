"""The checks for a GPU, on a machine without one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.suite import REPOSITORY


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: run the checks themselves")
def test_they_fail_without_a_gpu(tmp_path: Path) -> None:
    """Without a GPU the checks fail, each with the reason; none is skipped, and no benchmark is run."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    command = ["bash", str(REPOSITORY / ".ci" / "gpu-checks"), str(tmp_path / "out")]
    environment["PYTHON"] = sys.executable
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no GPU works here" in done.stdout
    assert "skipped" not in done.stdout
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["checks.txt"]
