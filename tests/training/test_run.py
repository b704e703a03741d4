"""One round: what it leaves alone, what it frees, what it notices."""

from __future__ import annotations

import copy
import gc
import os
import subprocess
import sys
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import torch
from torch import nn

from nets.cells.catalog import Cell, protocol_for
from nets.datasets import load
from nets.errors import UnknownName
from nets.machine.cpu import CpuUse
from nets.measuring.cell import execution, session_setting
from nets.networks.build import UnfitNetwork
from nets.records.cell import Device
from nets.training import run, warmup
from nets.training.pipelines import ResidentPipeline
from nets.training.run import CellRun
from nets.training.trainer import ResidentBatches

CPU = torch.device("cpu")
PROTOCOL = protocol_for("quick", "digits").changed(epochs=1)


def cell_run(model: str = "snn500", **options: object) -> CellRun:
    """A run of a small cell."""
    data = load.load_data("digits", Path())
    way = ResidentPipeline()
    loaders = way.loaders(data, PROTOCOL, CPU)
    return CellRun(Cell("digits", model), PROTOCOL, way, data, loaders, CPU, **options)  # type: ignore[arg-type]


def test_warming_up_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without the warm-up a round ends with the same loss to the last bit."""
    warm = cell_run().round()
    monkeypatch.setattr("nets.training.making.warm_up", lambda *_: None)
    cold = cell_run().round()
    assert (warm.loss, warm.accuracy, warm.train_loss) == (cold.loss, cold.accuracy, cold.train_loss)


@pytest.mark.parametrize(("batch_size", "raises"), [(4, True), (100, False), (1_436, True), (1_437, False)])
def test_a_last_batch_that_the_network_can_t_take(batch_size: int, raises: bool) -> None:
    """Batch norm can't be trained on one image: where the last batch is one, the set-up says so, and what to change."""

    def normed() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.BatchNorm1d(10))

    data, way, protocol = load.load_data("digits", Path()), ResidentPipeline(), PROTOCOL.changed(batch_size=batch_size)
    cell = Cell("digits", "normed", build=normed)
    run = CellRun(cell, protocol, way, data, way.loaders(data, protocol, CPU), CPU)
    sentence = f"digits-normed: training on 1 image, the last batch of 1,437 at batch size {batch_size} .*, raised "
    with pytest.raises(UnfitNetwork, match=sentence) if raises else nullcontext():
        run.setup()
    run.close()


class Uncopied(nn.Module):
    """A network that torch can neither copy nor convert whole: a weight that is computed, and a volume's kernel."""

    def __init__(self) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the older way to normalise a weight, which leaves such a tensor
            self.out = nn.utils.weight_norm(nn.Linear(784, 10))
        self.volume = nn.Conv3d(1, 1, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, 1, 28, 28) to logits (N, 10)."""
        outputs: torch.Tensor = self.out(self.volume(images[:, :, None]).flatten(1))
        return outputs


def test_a_network_that_can_t_be_copied() -> None:
    """It is trained all the same."""
    with pytest.raises(RuntimeError):
        copy.deepcopy(Uncopied())
    data, way = load.load_data("digits", Path()), ResidentPipeline()
    cell = Cell("digits", "uncopied", build=Uncopied)
    run = CellRun(cell, PROTOCOL, way, data, way.loaders(data, PROTOCOL, CPU), CPU)
    assert run.round().loss is not None
    run.close()


def test_rounds_and_scratch_networks_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """How a round was executed is what a record says; a scratch network after it changes nothing of that."""
    run = cell_run()
    run.round()
    with run.scratch() as trainer:
        pass
    monkeypatch.setattr(type(trainer), "mode", "graph")
    with run.scratch():
        assert run.execution_log.mode == "eager"
    run.round()
    assert run.execution_log.mode == "eager"
    graphs = cell_run()
    graphs.round()
    assert graphs.execution_log.mode == "graph"
    run.close()
    graphs.close()


def test_evaluation_batches_fit_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network with many activations is evaluated in smaller batches on a CPU, with the same answers."""

    def wide() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 300, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(300, 10))

    data, way, protocol = load.load_data("digits", Path()), ResidentPipeline(), PROTOCOL.changed(batch_size=4)
    done = []
    for most in (warmup.EVALUATION_BYTES, 10**12):
        monkeypatch.setattr(warmup, "EVALUATION_BYTES", most)
        cell = Cell("digits", "wide", build=wide)
        run = CellRun(cell, protocol, way, data, way.loaders(data, protocol, CPU), CPU)
        with run.scratch() as trainer:
            done.append((trainer.evaluate(), getattr(run.loaders.test, "batch_size", None)))
    (small, few), (large, many) = done
    assert (few, many) == (64_000_000 // (2 * 300 * 26 * 26 * 4), 500)  # the convolution's results, and ReLU's
    assert small.accuracy == large.accuracy
    assert small.loss == pytest.approx(large.loss, rel=1e-5)


def test_what_a_cell_imports() -> None:
    """Nothing is imported in a timed round; torch's compiler, which takes a second, only by the article's optimizer.

    Each cell is measured in a process of its own, forked from one that has imported what measures it.
    """
    cells = ["digits-snn500 resident", "digits-lenet5 resident", "digits-lenet5 article"]
    code = """
import os, sys
from pathlib import Path
import torch
from nets.cells.catalog import protocol_for, select
from nets.datasets.load import load_data
from nets.training.pipelines import pipeline_named
from nets.training.run import CellRun
for name in sys.argv[1:]:
    if os.fork():
        os.wait()
        continue
    chosen, pipeline = name.split()
    (cell,), protocol = select(chosen), protocol_for("quick", "digits").changed(epochs=1)
    way = pipeline_named(pipeline)
    data = load_data("digits", Path())
    run = CellRun(cell, protocol, way, data, way.loaders(data, protocol, torch.device("cpu")), torch.device("cpu"))
    run.setup()
    before = set(sys.modules)
    run.timed()
    print(name, sorted(set(sys.modules) - before), "torch._dynamo.utils" in sys.modules, flush=True)
    os._exit(0)
"""
    alone = {"OPENBLAS_NUM_THREADS": "1"}  # one thread: it must be safe to fork
    done = subprocess.run([sys.executable, "-c", code, *cells], env=os.environ | alone, capture_output=True, text=True)
    assert done.stdout.splitlines() == [f"{cell} [] {cell.endswith('article')}" for cell in cells], done.stderr


def test_rounds_are_independent() -> None:
    """Round i is the first round of seed + i: nothing carries over from the rounds before."""
    run = cell_run()
    first, second = run.round(), run.round()
    assert (first.seed, second.seed) == (0, 1)
    assert first.loss != second.loss
    alone = cell_run()
    alone.protocol = PROTOCOL.repeated(seed=1)
    assert alone.round().loss == second.loss


def test_a_round_s_network_is_freed() -> None:
    """When the next round's network is built, the last one's is gone: peak memory is of one network."""
    run = cell_run()
    run.round()
    alive: list[weakref.ref[nn.Module]] = []
    build = run._maker.build

    def watched_build() -> nn.Module:
        gc.collect()
        before = alive[: len(alive) - len(alive) % 2]  # a round builds two, one of them to warm up
        assert all(network() is None for network in before)
        alive.append(weakref.ref(network := build()))
        return network

    run._maker.build = watched_build  # type: ignore[method-assign]
    for _ in range(3):
        run.setup()
        run.timed()
        run.teardown()
    assert len(alive) == 6


def test_the_watch_is_around_the_timed_region() -> None:
    """The watch begins after the set-up and ends with the round, also when the round breaks off."""
    events: list[str] = []

    @contextmanager
    def watch() -> Iterator[None]:
        events.append("watch")
        yield
        events.append("end")

    run = cell_run(watch=watch, progress=lambda *_: events.append("epoch"))
    run.round()
    assert events == ["watch", "epoch", "end"]
    run.setup()
    run.close()
    assert events == ["watch", "epoch", "end", "watch", "end"]


@pytest.mark.parametrize(("others_s", "disturbed"), [(0.0, False), (0.04, False), (5.0, True)])
def test_disturbed(monkeypatch: pytest.MonkeyPatch, others_s: float, disturbed: bool) -> None:
    """A round during which other processes used the CPU is marked; a clock tick is not enough."""
    clocks = iter([CpuUse(own_s=0.0, machine_s=0.0), CpuUse(own_s=1.0, machine_s=1.0 + others_s)])
    monkeypatch.setattr(run, "cpu_use", lambda: next(clocks))
    round_ = cell_run().round()
    assert round_.others_cpu_s == pytest.approx(others_s)
    assert round_.disturbed is disturbed


def test_disturbance_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the machine's CPU time can't be read, a round is neither disturbed nor undisturbed."""
    monkeypatch.setattr(run, "cpu_use", lambda: CpuUse(own_s=0.0, machine_s=None))
    assert cell_run().round().disturbed is None


def test_peak_memory_is_the_cell_s() -> None:
    """The peak is set back for each cell: what an earlier one used doesn't count."""
    big = torch.ones(400_000_000 // 4)
    del big
    cpu = cell_run().cpu()
    if cpu.rss_peak_bytes is None:
        pytest.skip(cpu.rss_missing_because or "")
    before = cpu.rss_peak_bytes
    run = cell_run()
    big = torch.ones(400_000_000 // 4)
    del big
    after = run.cpu().rss_peak_bytes
    assert after is not None
    assert after - before > 300_000_000


def test_unknown_model() -> None:
    """A model that isn't registered is refused, with the known ones; timing without a set-up is a mistake."""
    with pytest.raises(UnknownName, match="unknown model 'resnet'; known: snn500, cnn3l, lenet5"):
        cell_run("resnet").round()
    with pytest.raises(RuntimeError, match="needs setup"):
        cell_run().timed()


@pytest.mark.parametrize(("most", "size"), [(400, 500), (359, 180), (100, 90), (1, 1)])
def test_evaluation_in_batches_that_fit(most: int, size: int) -> None:
    """Where memory runs out in evaluating, the test batches are halved until they fit, before anything is timed."""

    class Greedy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(784, 10)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if not self.training and len(images) > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            outputs: torch.Tensor = self.out(images.flatten(1))
            return outputs

    data, way, protocol = load.load_data("digits", Path()), ResidentPipeline(), PROTOCOL
    loaders = way.loaders(data, protocol, CPU)
    found = CellRun(Cell("digits", "greedy", build=Greedy), protocol, way, data, loaders, CPU)
    assert isinstance(loaders.test, ResidentBatches)
    assert 0 < found.round().accuracy <= 1
    assert loaders.test.batch_size == size
    setting = session_setting("resident", Device(type="cpu", name="a CPU"))
    assert execution(found, setting).evaluation_batch_size == size  # which the record has
