"""What CUDA graphs do on a GPU; without one every check fails. Run by `.ci/gpu-checks capture-checks`."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from studies.kernels_per_step import STEPS, kernels_a_step, kernels_of_the_network
from torch import Tensor, nn

from nets.cells.catalog import Cell
from nets.gpu.monitor import GpuMonitor
from nets.training.cuda_graph import is_faithful
from nets.training.pipelines import Pipeline
from tests.on_gpu.runs import DIGITS, RESIDENT, EagerPipeline, digits_run, gpu_of, trace_of
from tests.support.networks import Net

SNN500, CNN3L, _ = DIGITS


@pytest.mark.parametrize("cell", DIGITS, ids=str)
def test_steps_are_replayed(cell: Cell, device: torch.device, tmp_path: Path) -> None:
    """Each network is captured, trains to the eager steps' accuracy, and keeps the GPU busier than those do.

    Whatever operation torch dispatches for the network is a kernel at least. SNN500 has no convolution, to which cuDNN
    may add any number, and of its operations none is more than two: a product in parts and their sum, a fill before.
    """
    run, eager = digits_run(cell, device), digits_run(cell, device, pipeline=EagerPipeline())
    replayed, as_eager = ([each.round().accuracy for _ in range(3)] for each in (run, eager))
    assert (run.execution_log.mode, run.execution_log.fallback_because) == ("graph", None)
    assert eager.execution_log.mode == "eager"
    print(replayed, as_eager)
    assert fmean(replayed) == pytest.approx(fmean(as_eager), abs=0.03)
    traces = [trace_of(each, tmp_path) for each in (run, eager)]
    print(*traces, sep="\n")
    of_replays, of_eager = traces
    n_steps = of_replays.training_steps_per_step
    assert n_steps > 1
    assert of_replays.gpu_utilization_pct > of_eager.gpu_utilization_pct
    assert of_replays.kernels_per_step >= n_steps * kernels_of_the_network(cell.model, "digits")
    if cell is SNN500:
        recorded, alone = kernels_a_step(cell.model, "digits")
        assert of_replays.kernels_per_step <= 2 * (alone * n_steps + (recorded - alone) * STEPS)


@pytest.mark.parametrize("batch_size", [100, 1_000])
def test_the_peak_of_memory_holds_a_step(batch_size: int, monitor: GpuMonitor, device: torch.device) -> None:
    """A replay allocates nothing, and still the record's peak holds what a step must have at once.

    That is parameters, gradients, Adam's two moments, and the first convolution's output, without which its gradient
    can't be computed: the last of all.
    """
    run = digits_run(CNN3L, device, watch=monitor.watch, batch_size=batch_size)
    run.round()
    assert run.execution_log.mode == "graph", run.execution_log.fallback_because
    parameters, activations = 4 * 28_938, 16 * 28 * 28 * batch_size
    assert run.execution_log.recorded_peak_bytes >= 4 * (parameters + activations)
    seen = gpu_of(run, monitor)
    assert seen.memory_peak_training_bytes is not None
    assert seen.memory_peak_training_bytes >= run.execution_log.recorded_peak_bytes


def waiting(net: Any, pixels: Tensor) -> Any:
    """Reads a value back to the host."""
    return net.out(pixels * float(pixels.max()))


def changing_shape(net: Any, pixels: Tensor) -> Any:
    """Makes a tensor whose length is known to the host alone."""
    return net.out(pixels) + 0 * pixels[pixels > 0.5].sum()


def keeping_its_graph(net: Any, pixels: Tensor) -> Any:
    """Keeps every step's output, and with it the step's autograd graph."""
    net.kept.append(net.out(pixels))
    return net.kept[-1]


def filling_the_memory(net: Any, pixels: Tensor) -> Any:
    """Needs 90 % of the GPU's memory in every pass."""
    outputs = net.out(pixels)
    if not pixels.is_cuda:  # where its layers are counted
        return outputs
    n_bytes = int(0.9 * torch.cuda.get_device_properties(pixels.device).total_memory)
    return outputs + 0 * torch.empty(n_bytes, dtype=torch.uint8, device=pixels.device)[:1].zero_()


def residual_layers(net: Any, pixels: Tensor) -> Any:
    """Has 200 layers."""
    outputs = net.narrow(pixels)
    for layer in net.layers:
        outputs = outputs + layer(outputs.relu()) / len(net.layers)
    return net.out(outputs)


def out() -> nn.Linear:
    """The last layer."""
    return nn.Linear(784, 10)


def deep() -> Net:
    """A network of 200 layers."""
    layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(198))
    return Net(residual_layers, narrow=nn.Linear(784, 64), layers=layers, out=nn.Linear(64, 10))


RESISTING: dict[str, tuple[Callable[[], nn.Module], str | None]] = {
    "waits for the host": (lambda: Net(waiting, out=out()), "eager"),
    "changes shapes": (lambda: Net(changing_shape, out=out()), "eager"),
    "keeps its graph": (lambda: Net(keeping_its_graph, out=out(), kept=[]), None),
    "needs 90 % of the memory": (lambda: Net(filling_the_memory, out=out()), None),
    "has 200 layers": (deep, "graph"),
}
"""Networks that are hard to record, and how their steps must end up; None: either way."""


def loss_of(cell: Cell, device: torch.device, pipeline: Pipeline = RESIDENT) -> float:
    """The test loss of a round."""
    loss = digits_run(cell, device, pipeline=pipeline).round().loss
    assert loss is not None
    return loss


@pytest.fixture(scope="module")
def losses_of_the_next(device: torch.device) -> tuple[float, float]:
    """The test loss of a round of SNN500, twice, before any network that resists."""
    return loss_of(SNN500, device), loss_of(SNN500, device)


def emptied(device: torch.device) -> int:
    """The GPU's free bytes, when torch keeps none that it doesn't use."""
    torch.cuda.empty_cache()
    return int(torch.cuda.mem_get_info(device)[0])


def demand_as_before(device: torch.device, losses: tuple[float, float], free_bytes: int) -> None:
    """SNN500 is captured, gives the loss that it gave before, and all memory but a GiB is free again."""
    run = digits_run(SNN500, device)
    loss = run.round().loss
    print("the next cell's loss:", loss, "before:", losses)
    assert run.execution_log.mode == "graph", run.execution_log.fallback_because
    assert loss is not None
    assert is_faithful(*losses, loss)
    run.close()
    assert torch.cuda.mem_get_info(device)[0] > free_bytes - 2**30


@pytest.mark.parametrize("name", RESISTING)
def test_a_network_that_resists(name: str, device: torch.device, losses_of_the_next: tuple[float, float]) -> None:
    """It is trained, in eager steps and with the reason if it can't be captured; the next cell is as before it.

    Eager steps after a capture that failed start from the same weights as without it, and so end at the same loss.
    """
    build, mode = RESISTING[name]
    free_bytes, cell = emptied(device), Cell("digits", "resisting", build=build)
    run = digits_run(cell, device)
    found, log = run.round(), run.execution_log
    print(log.mode, log.fallback_because, found)
    assert found.accuracy > 0.8
    assert log.mode == (mode or log.mode)
    if log.mode == "eager":
        assert str(log.fallback_because).startswith("no CUDA graph: ")
        assert found.loss is not None
        first, second = (loss_of(cell, device, EagerPipeline()) for _ in range(2))
        assert is_faithful(first, second, found.loss)
    else:
        assert log.fallback_because is None
    run.close()
    del run
    demand_as_before(device, losses_of_the_next, free_bytes)


@pytest.mark.parametrize("when", ["while it is set up", "in its round"])
def test_a_third_replay_that_fails(
    when: str, device: torch.device, losses_of_the_next: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the set-up it leaves eager steps with the reason, in a round it ends the cell; the next is as before it."""
    free_bytes, run = emptied(device), digits_run(CNN3L, device)
    replay, left = torch.cuda.CUDAGraph.replay, math.inf

    def failing(graph: torch.cuda.CUDAGraph) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise RuntimeError("planted in the third replay")
        replay(graph)

    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", failing)
    if when == "while it is set up":
        left = 3
        run.setup()
        run.timed()
        assert run.execution_log.fallback_because == "no CUDA graph: planted in the third replay"
        assert run.rounds[0].accuracy > 0.8
    else:
        run.setup()
        left = 3
        with pytest.raises(RuntimeError, match="planted"):
            run.timed()
    assert left == 0
    run.close()
    demand_as_before(device, losses_of_the_next, free_bytes)
