"""The settings that a cell is trained under: the suite's, not a builder's; recorded where the network sets others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from nets.measuring import comparisons
from nets.measuring.cell import Setting, execution
from nets.records.cell import Device, Where
from nets.training.pipelines import PIPELINES
from tests.support.rounds import CPU, PROTOCOL, Own, run_of
from tests.support.suite import Suite


def setting(device: Device) -> Setting:
    """Of a process that works on the device."""
    return Setting("resident", device, Where(host="a host", worker=None, n_workers=1, n_cores=2), None)


ON_CPU = setting(Device(type="cpu", name="a CPU"))
ON_GPU = setting(Device(type="cuda", name="a GPU", compute_capability="9.0"))


def test_settings_of_a_builder_are_put_back_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network trains under the suite's settings, as the record says, and a warning names the builder."""
    monkeypatch.chdir(tmp_path)
    seen: set[tuple[int, torch.dtype, Path]] = set()

    def careless() -> nn.Module:
        network = Own(called=lambda: seen.add((torch.get_num_threads(), torch.get_default_dtype(), Path.cwd())))
        torch.set_num_threads(7)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        monkeypatch.chdir("/")
        return network

    before = torch.get_num_threads()
    run = run_of(careless)
    names = "torch's number of threads, the default dtype, grad mode, the working folder"
    with pytest.warns(UserWarning, match=f"^careless, which builds a network, changed {names} for the whole process"):
        run.round()
    expected = PIPELINES["resident"].threads(PROTOCOL.batch_size)
    assert seen - {(before, torch.float32, tmp_path)} <= {(expected, torch.float32, tmp_path)}  # the structure's too
    assert execution(run, ON_CPU).threads == expected
    assert torch.get_num_threads() == before


def test_settings_of_a_forward_pass_are_recorded() -> None:
    """What the network sets while it is trained is in the record, and the caller's again after the round."""
    before = torch.get_num_threads()

    def called() -> None:
        torch.set_num_threads(5)
        torch.set_float32_matmul_precision("high")

    run = run_of(lambda: Own(called=called))
    with pytest.warns(UserWarning, match="changed torch's number of threads, the precision of float32 for") as told:
        run.round()
    assert [str(each.message).partition(" changed")[0] for each in told] == [
        "Own, whose layers are counted,",
        "digits-own: training it",
    ]
    assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == (before, "highest")
    assert execution(run, ON_CPU).threads == 5
    assert execution(run, ON_GPU).tf32_products is True
    assert execution(run_of(Own), ON_GPU).tf32_products is False


def test_threads_of_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep's points say the threads that the network sets, and the caller has its own number again."""
    monkeypatch.setattr(comparisons, "BATCH_SIZES", (100,))
    monkeypatch.setitem(comparisons.MATRIX, "cpu", 16)
    before, run = torch.get_num_threads(), run_of(lambda: Own(called=lambda: torch.set_num_threads(5)))
    told = pytest.warns(UserWarning, match="changed torch's number of threads")
    with told, comparisons.size_sweep(run.cell, run.protocol, run.pipeline, run.data, CPU) as sweep:
        sweep.round()
        by_batch_size, by_set_size = sweep.points()
    assert [point.threads for point in (*by_batch_size, *by_set_size)] == [5, 5]
    assert torch.get_num_threads() == before


NETWORKS = """
import torch
from torch import nn
from nets import network

class Copied(nn.Flatten):
    def train(self, mode=True):
        torch.manual_seed(42)
        return super().train(mode)

@network(dataset="digits")
def seeded():
    torch.manual_seed(42)
    torch.set_num_threads(7)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

@network(dataset="digits")
def copied():
    torch.manual_seed(42)
    return nn.Sequential(Copied(), nn.Linear(784, 10))
"""
THREADS = """
import pytest, torch
@pytest.fixture
def cell_run(cell_run):
    timed = cell_run.timed
    def on_six_threads():
        torch.set_num_threads(6)
        timed()
    cell_run.timed = on_six_threads
    return cell_run
"""


def test_in_a_session(suite: Suite) -> None:
    """A seeding network passes with rounds that differ, equal rounds are an error, threads are those of a conftest."""
    suite.conftest(THREADS)
    (suite.path / "own.py").write_text(NETWORKS)
    before = torch.get_num_threads()
    result = suite.run("--nets", "own.py", "--cells", "digits-seeded,digits-copied", "--epochs", "1", "--rounds", "2")
    result.assert_outcomes(passed=1, failed=1)
    content = suite.content()
    (seeded,) = (benchmark["extra_info"] for benchmark in content["benchmarks"])
    assert len({r["loss"] for r in seeded["rounds"]}) == 2
    assert seeded["execution"]["threads"] == 6
    (copied,) = content["nets"]["unfinished"]
    assert len(copied["rounds"]) == 1
    assert copied["outcome"]["status"] == "error"
    assert "the rounds of seeds 0 and 1 have the same losses" in copied["outcome"]["failures"][0]
    result.stdout.fnmatch_lines(["*seeded, which builds a network, changed torch's number of threads for *: put back"])
    result.stdout.fnmatch_lines(["*digits-seeded: its first weights are the same in every round*"])
    assert torch.get_num_threads() == before
