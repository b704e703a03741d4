"""The checks for a GPU, on a machine without one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.support.suite import REPOSITORY


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: run the checks themselves")
def test_they_fail_without_a_gpu(tmp_path: Path) -> None:
    """Without a GPU they fail at once, with the reason, and no check and no benchmark is run."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    command = ["bash", str(REPOSITORY / ".ci" / "gpu-checks"), str(tmp_path / "out")]
    environment["PYTHON"] = sys.executable
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no GPU works here" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: run the checks themselves")
def test_each_check_fails_without_a_gpu(pytester: pytest.Pytester) -> None:
    """Run by themselves the checks fail too, every one; none is skipped."""
    result = pytester.runpytest_inprocess(str(REPOSITORY / "tests" / "gpu_checks.py"), "--rootdir", str(REPOSITORY))
    outcomes = result.parseoutcomes()
    assert set(outcomes) <= {"errors", "failed"}
    assert sum(outcomes.values()) >= 9
