"""Accuracy that was really lost, by training that was really broken: the gate must name the cell and the metric."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from nets.gate.findings import Finding
from nets.gate.judge import judge_runs
from nets.gate.limits import Limits
from nets.records.run_file import read_run
from nets.training import eager
from nets.training.trainer import ResidentBatches
from tests.support.suite import REPOSITORY, Suite

Break = Callable[[pytest.MonkeyPatch], None]


def faster_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    """A learning rate ten times too high."""
    adam = eager.FusedAdam
    monkeypatch.setattr(eager, "FusedAdam", lambda parameters, lr: adam(parameters, lr=10 * lr))


def no_relu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ReLU removed: layers and parameters stay as they were."""
    monkeypatch.setattr(nn.ReLU, "forward", lambda _relu, values: values)


def no_shuffling(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same order in every epoch."""
    monkeypatch.setattr(ResidentBatches, "order", lambda batches: torch.arange(len(batches.split)))


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Suite:
    """A repository that uses the suite."""
    return Suite(pytester)


def accuracy(suite: Suite, broken: Break, cell: str, *options: str) -> Finding:
    """What the gate says of head's accuracy, broken, against base's."""
    assert suite.run("--cells", cell, *options).ret == 0
    base = suite.path / "base.json"
    shutil.move(suite.out, base)
    with pytest.MonkeyPatch.context() as monkeypatch:
        broken(monkeypatch)
        suite.run("--cells", cell, *options)
    return finding(base, suite.out, cell)


def finding(base: Path, head: Path, cell: str) -> Finding:
    """The gate's on a cell's accuracy."""
    found = judge_runs(read_run(base), read_run(head), Limits())
    (of_accuracy,) = (each for each in found.findings if (each.cell, each.metric) == (cell, "accuracy"))
    return of_accuracy


def test_learning_rate(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A learning rate ten times too high leaves the band of `shapes`, whatever base was."""
    shutil.copy(REPOSITORY / "benchmarks" / "bands.toml", suite.path / "benchmarks" / "bands.toml")
    faster_learning(monkeypatch)
    assert suite.run("--cells", "shapes-lenet5", "--rounds", "1").ret == 1
    found = finding(suite.out, suite.out, "shapes-lenet5")
    assert found.status == "regressed"
    assert "below its band" in str(found.because)


def test_removed_relu(suite: Suite) -> None:
    """Without its ReLU a network with a hidden layer is a linear classifier, which eight rounds show without a band."""
    own = suite.path / "own.py"
    own.write_text(
        "from torch import nn\nimport nets\n\n@nets.network(dataset='shapes')\ndef mlp():\n"
        "    return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(192, 64), nn.ReLU(), nn.Linear(64, 10))\n"
    )
    options = ("--nets", str(own), "--rounds", "8", "--epochs", "2", "--batch-size", "50", "--lr", "1e-2")
    found = accuracy(suite, no_relu, "shapes-mlp", *options)
    assert found.status == "regressed", found


def test_lost_shuffling(suite: Suite) -> None:
    """Without shuffling the classes of a folder of images come one after the other, and only the last is learnt."""
    rng = np.random.default_rng(0)
    for part, n in (("train", 200), ("val", 25)):
        for label, colour in enumerate(((132, 126, 126), (126, 132, 126), (126, 126, 132), (130, 130, 124))):
            folder = suite.path / "squares" / part / str(label)
            folder.mkdir(parents=True)
            for i in range(n):
                pixels = np.clip(rng.normal(colour, 60, size=(64, 64, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    own = suite.path / "own.py"
    own.write_text(
        f"from torch import nn\nimport nets\n\n@nets.network(dataset='folder:{suite.path / 'squares'}')\n"
        "def small(image, n_classes):\n"
        "    return nn.Sequential(nn.AvgPool2d(16), nn.Flatten(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 4))\n"
    )
    cell = f"folder:{suite.path / 'squares'}-small"
    options = ("--nets", str(own), "--rounds", "10", "--epochs", "1", "--batch-size", "10", "--lr", "1e-2")
    found = accuracy(suite, no_shuffling, cell, *options)
    assert found.status == "regressed", found
