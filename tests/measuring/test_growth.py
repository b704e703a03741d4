"""The sweep over batch sizes and set sizes: its figures worked out, and a run of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from statistics import median

import pytest
import torch
from typer.testing import CliRunner

from nets.cells.catalog import CELLS, protocol_for
from nets.cli.app import app
from nets.datasets.load import load_data
from nets.measuring import comparisons
from nets.measuring.comparisons import block
from nets.records.cell import CellFacts, Device, Where
from nets.records.comparisons import Growth, ThroughputPoint
from nets.records.run_file import read_run
from nets.training.pipelines import PIPELINES
from tests.support.suite import REPOSITORY, Suite


def point(batch_size: int, n_train: int, *step_s: float) -> ThroughputPoint:
    """A point of eager steps."""
    return ThroughputPoint(batch_size=batch_size, n_train=n_train, mode="eager", threads=1, step_s=step_s)


def test_throughput_worked_out() -> None:
    """Ten images in batches of four are three steps, so 10/3 images a step; the share is of the matrix product's."""
    some = point(4, 10, 0.1, 0.5, 0.2)
    assert some.images_per_s == pytest.approx(10 / 3 / 0.2)
    record = Growth(
        cell=CellFacts(model="lenet5", dataset="digits"),
        protocol=protocol_for("quick", "digits"),
        pipeline="resident",
        device=Device(type="cpu", name="a CPU"),
        where=Where(host="a host", worker=None, n_workers=1, n_cores=2),
        training_flop_per_image=1_000,
        matmul_flop_per_s=(1e6, 4e6, 2e6),
        matmul_tf32=False,
        by_batch_size=(some,),
        by_set_size=(),
    )
    assert record.ceiling_images_per_s == 2_000
    assert record.share(some) == pytest.approx(10 / 3 / 0.2 / 2_000)


@pytest.fixture
def small_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the matrix product that the points are held against be a small one."""
    monkeypatch.setitem(comparisons.MATRIX, "cpu", 256)


@pytest.mark.usefixtures("small_matrix")
def test_operations_of_a_training_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """SNN500's step costs what its matrices say: forward, and backward to the weights and the hidden layer."""
    monkeypatch.setattr(comparisons, "BATCH_SIZES", (1_024,))
    cell, data, device = CELLS[5], load_data("digits", Path()), torch.device("cpu")
    with comparisons.size_sweep(cell, protocol_for("quick", "digits"), PIPELINES["resident"], data, device) as found:
        assert found.training_flop_per_image == 2 * (2 * 784 * 500 + 3 * 500 * 10)


@pytest.fixture
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a block of the sweep be four steps at every batch size."""
    monkeypatch.setattr(comparisons, "block", lambda run, n_steps: block(run, 4))


@pytest.mark.usefixtures("small_matrix", "short_blocks")
def test_a_sweep(suite: Suite) -> None:
    """Batch sizes up to the set's, sets up to the whole, a second for each turn, in file, terminal and report."""
    shutil.copy(REPOSITORY / "benchmarks" / "test_growth.py", suite.path / "benchmarks")
    result = suite.run("--cells", "digits-snn500", "--rounds", "2", "-m", "nets_growth")
    result.assert_outcomes(passed=1, deselected=1)
    (record,) = read_run(suite.out).growth
    assert [each.batch_size for each in record.by_batch_size] == [4, 16, 64, 256, 1024]
    assert [(each.batch_size, each.n_train) for each in record.by_set_size] == [(100, 1_000), (100, 1_437)]
    assert all(len(each.step_s) == 2 for each in (*record.by_batch_size, *record.by_set_size))
    assert len(record.matmul_flop_per_s) == 2
    told = CliRunner().invoke(app, ["report", str(suite.out)])
    for text in (result.stdout.str(), told.stdout):
        rows = [line.split() for line in text.splitlines() if line.split()[1:2] in (["1,437"], ["1,000"])]
        assert [row[0] for row in rows] == ["4", "16", "64", "256", "1,024", "100", "100"]
        assert rows[0][4] == f"{median(record.by_batch_size[0].step_s) * 1e3:.3f}"


def test_a_network_that_a_batch_size_doesn_t_suit(suite: Suite) -> None:
    """Where a batch size of the sweep leaves one image over, a network with batch norm fails with one sentence."""
    shutil.copy(REPOSITORY / "benchmarks" / "test_growth.py", suite.path / "benchmarks")
    (suite.path / "own.py").write_text(
        "from torch import nn\nfrom nets import network\n"
        '@network(dataset="digits")\n'
        "def normed(): return nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.BatchNorm1d(10))\n"
    )
    result = suite.run("--nets", "own.py", "--cells", "digits-normed", "--rounds", "1", "-m", "nets_growth")
    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(["digits-normed: training on 1 image, the last batch of 1,437 at batch size 4 *"])
    for text in ("Traceback", "not used"):
        assert text not in result.stdout.str()
