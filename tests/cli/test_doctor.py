"""`nets doctor`: what there is, what would not work and why, and an exit code for what nothing works without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nets import __version__
from nets.machine.cpu import cpu_name
from nets.measuring import doctor
from tests.support.commands import runner
from tests.support.stub_driver import environment
from tests.support.suite import REPOSITORY

ran = runner("doctor")


def test_what_is_there(folder: Path) -> None:
    """Versions, plug-ins, git, data and disk are told, also as JSON; what is amiss has its reason; nothing is made."""
    done = ran("--json", "x.json")
    assert done.exit_code == 0, done.stderr
    told = {fact["name"]: fact for fact in json.loads(Path("x.json").read_text())["facts"]}
    assert told["torch"]["found"].startswith(torch.__version__.partition("+")[0])
    assert told["drawing of charts"]["found"].startswith("vl-convert ")
    assert "pytest-benchmark" in told["plug-ins of pytest"]["found"]
    assert told["mnist"]["problem"].endswith("is not in data: its cells download it, or are skipped")
    assert told["repository"]["problem"] == "this folder is in none: no nets ab, bisect or init"
    assert "mnist: MNIST/raw/" in done.output
    assert list(folder.iterdir()) == [folder / "x.json"]


def test_what_is_needed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package without which nothing can be measured is named, and the exit code is 1; the other parts are told."""
    monkeypatch.setattr(doctor, "versions", lambda: {"python": "3", "torchvision": None, "scikit-learn": None})
    done = ran()
    assert done.exit_code == 1
    assert "torchvision: it is not installed: nothing can be measured" in done.output
    assert "scikit-learn:" not in done.output
    assert "git " in done.output


def test_a_part_that_breaks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch that can't be imported is a sentence with its reason, and keeps no other part from being told."""
    monkeypatch.setattr(doctor, "choose_device", lambda _: 1 / 0)
    done = ran()
    assert done.exit_code == 1
    assert "torch: ZeroDivisionError: division by zero" in done.output
    assert "embedded" in done.output


def test_no_git(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without git it says which commands don't work."""
    monkeypatch.setenv("PATH", str(folder))
    assert "git: no nets ab, bisect or init: git can't be run" in ran().output


def test_version_without_torch(stub_driver: Path) -> None:
    """`nets --version` says torch's version and what it was built for, GPUs and CPU, and doesn't import torch."""
    code = (
        "import sys\nfrom nets.cli.app import main\nsys.argv = ['nets', '--version']\n"
        "try:\n    main()\nexcept SystemExit:\n    print('torch' in sys.modules)\n"
    )
    built_for = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU"
    for scenario, gpu in (("gpus=2", "2 x Stub H100"), ("init=9", "none that NVML knows")):
        variables = {**os.environ, **environment(stub_driver), "NVML_STUB": scenario}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables)
        first, second = done.stdout.splitlines()
        version = f"torch {torch.__version__.partition('+')[0]} for {built_for}"
        assert first == f"nets {__version__}, {version}; GPU: {gpu}; CPU: {cpu_name()}"
        assert second == "False"


def test_the_issue_template_asks_for_it() -> None:
    """Who reports a fault is asked for what it says."""
    assert "`nets doctor`" in (REPOSITORY / ".github" / "ISSUE_TEMPLATE" / "fault.yml").read_text()
