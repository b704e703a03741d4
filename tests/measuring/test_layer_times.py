"""The time of each layer in a training step: what of a profile belongs to which module, not how fast it was."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from math import isclose
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils.checkpoint import checkpoint

from nets.cells.catalog import Cell, protocol_for
from nets.datasets.load import load_data
from nets.measuring.by_module import BACKWARD, LOSS, MODULE, OPTIMIZER, STEP, Happened, by_module
from nets.measuring.layer_times import MAX_STEPS, MIN_STEPS, _happened, _named_ranges, _quiet, _step, layer_times
from nets.records.comparisons import LayerTimes
from nets.training.pipelines import pipeline_named
from nets.training.run import CellRun

FORWARD_PRODUCTS = {"aten::addmm"}
BACKWARD_PRODUCTS = {"aten::mm"}
PRODUCTS = FORWARD_PRODUCTS | BACKWARD_PRODUCTS


def profiled(model: nn.Module) -> list[Happened]:
    """The events of a training step of a network that takes ten numbers and tells two classes."""
    trainer: Any = SimpleNamespace(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    images, labels = torch.randn(4, 10), torch.tensor([0, 1, 0, 1])
    with _quiet(), _named_ranges(model), profile(activities=[ProfilerActivity.CPU]) as profiler, record_function(STEP):
        _step(trainer, images, labels, named=True)
    return list(_happened(profiler))


def counted(model: nn.Module, names: Collection[str] = PRODUCTS) -> dict[tuple[str, str], int]:
    """How many operations of these names belong to each module, forward and backward."""
    weighed = [replace(event, device_us=float(event.name in names)) for event in profiled(model)]
    (step,) = by_module(weighed, on_device=True)
    modules = [name for name, _ in model.named_modules()]
    return {
        (modules[part] if isinstance(part, int) else f"<{part}>", phase): int(n)
        for (part, phase), n in step.by_place.items()
        if n
    }


class Shuffled(nn.Module):
    """Layers in a list, called in another order, one of them twice, between operations that change their input."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 2), nn.Sequential(nn.Linear(8, 8), nn.ReLU(inplace=True))])
        self.first = nn.Linear(10, 8)

    def forward(self, x: Tensor) -> Any:
        x = self.first(x).view(-1, 2, 4)
        x[:, 0].mul_(2)  # a view, changed: the graph is made anew behind it
        x = self.layers[1](self.layers[1](x.flatten(1)))
        return self.layers[0](F.relu_(x + 1))


def test_each_layer_has_its_own() -> None:
    """Nested modules, one called twice, and views changed in place: every product is where its module is."""
    assert counted(Shuffled()) == {
        ("first", "forward"): 1,
        ("first", "backward"): 1,  # the images need no gradient
        ("layers.1.0", "forward"): 2,
        ("layers.1.0", "backward"): 4,
        ("layers.0", "forward"): 1,
        ("layers.0", "backward"): 2,
    }


def test_functions_belong_to_what_encloses_them() -> None:
    """A function is the enclosing module's, forward and backward, and so is a module's own activation the module's."""
    assert counted(Shuffled(), {"aten::relu_"}) == {("layers.1.1", "forward"): 2, ("", "forward"): 1}
    assert counted(Shuffled(), {"aten::threshold_backward"}) == {("layers.1.1", "backward"): 2, ("", "backward"): 1}


def test_what_belongs_to_no_module() -> None:
    """The loss, its gradient and the optimizer are no layer's; no operation of theirs is lost."""
    model = Shuffled()
    loss = {"aten::_log_softmax", "aten::_log_softmax_backward_data"}
    assert counted(model, loss) == {("<loss>", "forward"): 1, ("<loss>", "backward"): 1}
    assert set(counted(model, {"aten::_foreach_add_", "aten::add_"})) >= {("<optimizer>", "forward")}


def test_gradients_that_are_added_up() -> None:
    """What accumulates a parameter's gradient belongs to its layer, not to the network."""
    nodes = {"autograd::engine::evaluate_function: torch::autograd::AccumulateGrad"}
    model = nn.Sequential(nn.Linear(10, 5), nn.Linear(5, 2))
    assert counted(model, nodes) == {
        ("0", "backward"): 2,
        ("1", "backward"): 2,
    }


def test_tied_modules() -> None:
    """A module under two names is one, under its first; modules that share weights alone are two."""
    tied = nn.Linear(10, 10)
    shared = nn.Linear(10, 10)
    shared.weight = tied.weight
    found = counted(nn.Sequential(tied, tied, shared, nn.Linear(10, 2)), FORWARD_PRODUCTS)
    assert found == {("0", "forward"): 2, ("2", "forward"): 1, ("3", "forward"): 1}


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed(reentrant: bool) -> None:
    """What a checkpointed block computes anew in the backward pass is backward, of the module that does it."""

    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(10, 8), nn.Linear(8, 2)
            self.block = nn.Sequential(nn.Linear(8, 8), nn.ReLU(inplace=True), nn.Linear(8, 8))

        def forward(self, x: Tensor) -> Any:
            return self.last(checkpoint(self.block, self.first(x), use_reentrant=reentrant))

    found = counted(Checkpointed(), FORWARD_PRODUCTS)
    blocks = {place: n for place, n in found.items() if place[0].startswith("block")}
    anew = blocks.pop(("block.2", "backward"), 0)
    assert blocks == {("block.0", "forward"): 1, ("block.2", "forward"): 1, ("block.0", "backward"): 1}
    assert anew <= 1  # torch stops early where nothing more is needed
    assert counted(Checkpointed(), BACKWARD_PRODUCTS) == {
        ("first", "backward"): 1, ("block.0", "backward"): 2, ("block.2", "backward"): 2, ("last", "backward"): 2,
    }  # fmt: skip


def test_without_gradients() -> None:
    """A module that is called under no_grad, and one that is frozen, have a forward part alone."""

    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.under, self.frozen, self.last = nn.Linear(10, 8), nn.Linear(8, 8), nn.Linear(8, 2)
            self.frozen.requires_grad_(False)

        def forward(self, x: Tensor) -> Any:
            with torch.no_grad():
                x = self.under(x)
            return self.last(self.frozen(x))

    assert counted(Frozen()) == {
        ("under", "forward"): 1, ("frozen", "forward"): 1, ("last", "forward"): 1, ("last", "backward"): 1,
    }  # fmt: skip


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM, nn.RNN])
def test_fused_recurrence(kind: Callable[..., nn.Module]) -> None:
    """All that a recurrent layer does is its own, though it is one call with many operations, or one kernel."""

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows, self.last = kind(5, 4, batch_first=True), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Any:
            return self.last(self.rows(x.view(-1, 2, 5))[0][:, -1])

    model = Recurrent()
    step = by_module(profiled(model), on_device=False)[0]
    assert step.by_place[1, "forward"] > 0
    assert step.by_place[1, "backward"] > 0
    assert all(name in ("rows", "last") for name, _ in counted(model))


def test_an_own_function() -> None:
    """A node of one's own, written in Python, belongs to the module that calls it."""

    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            return gradient.cosh()

    class Doubling(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            done: Tensor = Doubled.apply(x)
            return done

    model = nn.Sequential(nn.Linear(10, 2), Doubling(), nn.Linear(2, 2))
    assert counted(model, {"aten::cosh"}) == {("1", "backward"): 1}


def test_the_parts_add_up() -> None:
    """The parts of a step add up to its duration, and those of the forward pass to the profiler's own total of it."""
    events = profiled(Shuffled())
    (step,) = by_module(events, on_device=False)
    (whole,) = [event for event in events if event.name == STEP]
    assert isclose(sum(step.by_place.values()), whole.end_us - whole.start_us, rel_tol=1e-6)
    (network,) = [event for event in events if event.name == f"{MODULE}0"]
    forward = sum(us for (part, phase), us in step.by_place.items() if isinstance(part, int) and phase == "forward")
    assert isclose(forward, network.end_us - network.start_us, rel_tol=1e-6)
    assert min(step.by_place.values()) > -0.01


def gpu_step(start: float, sequence: int) -> list[Happened]:
    """A step on a GPU: one layer, whose backward pass is launched by another thread. Kernels take 5, 7, 2 and 1."""
    return [
        Happened(STEP, 1, start, start + 100),
        Happened(f"{MODULE}0", 1, start + 1, start + 20),
        Happened(f"{MODULE}1", 1, start + 2, start + 19),
        Happened("aten::linear", 1, start + 3, start + 18, sequence=sequence),
        Happened("cudaLaunchKernel", 1, start + 5, start + 6),
        Happened("aten::addmm", 1, start + 4, start + 8, sequence=sequence, device_us=5.0),
        Happened(LOSS, 1, start + 21, start + 25),
        Happened(BACKWARD, 1, start + 30, start + 60),
        Happened("autograd::engine::evaluate_function: AddmmBackward0", 2, start + 35, start + 45, sequence, 1),
        Happened("AddmmBackward0", 2, start + 36, start + 44, sequence, 1),
        Happened("aten::mm", 2, start + 37, start + 40, device_us=7.0),
        Happened("autograd::engine::evaluate_function: torch::autograd::AccumulateGrad", 2, start + 46, start + 48),
        Happened("aten::copy_", 2, start + 46, start + 47, device_us=2.0),
        Happened(OPTIMIZER, 1, start + 70, start + 80),
        Happened("aten::_fused_adam_", 1, start + 71, start + 72, device_us=1.0),
    ]


def test_on_a_gpu() -> None:
    """There kernels count, not their launches, and the thread that launches a step's backward pass is a part of it."""
    stray = Happened("aten::mm", 2, 150.0, 160.0, device_us=1_000.0)  # between two steps
    steps = by_module([*gpu_step(0, 10), stray, *gpu_step(200, 11)], on_device=True)
    expected = Counter({(1, "forward"): 5.0, (1, "backward"): 9.0, ("optimizer", "forward"): 1.0})
    assert [{place: us for place, us in step.by_place.items() if us} for step in steps] == [expected, expected]


def run_of(build: Callable[[], nn.Module]) -> CellRun:
    """A cell of the digits."""
    device, way, data = torch.device("cpu"), pipeline_named("resident"), load_data("digits", Path("data"))
    how = protocol_for("quick", "digits")
    return CellRun(Cell("digits", "own", build=build), how, way, data, way.loaders(data, how, device), device)


def times_of(build: Callable[[], nn.Module]) -> LayerTimes:
    """What is measured of a network."""
    times, because = layer_times(run_of(build))
    assert times is not None, because
    return times


SLEEP_S = 0.01


class Slow(torch.autograd.Function):
    """Sleeps, forward and backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        time.sleep(SLEEP_S)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        time.sleep(SLEEP_S)
        return gradient.clone()


class Heavy(nn.Linear):
    """A layer that takes long."""

    def forward(self, x: Tensor) -> Tensor:
        done: Tensor = Slow.apply(super().forward(x))
        return done


def test_a_heavy_layer_shows() -> None:
    """A layer that takes long has that time, forward and backward; containers that do nothing have no row."""
    times = times_of(
        lambda: nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(784, 8), Heavy(8, 8)), nn.Linear(8, 10))
    )
    assert [module.name for module in times.modules] == ["", "0", "1.0", "1.1", "2"]
    heavy = times.modules[3]
    assert (heavy.kind, heavy.forward_s >= SLEEP_S, heavy.backward_s >= SLEEP_S) == ("Heavy", True, True)
    assert MIN_STEPS <= times.n_steps <= MAX_STEPS
    assert (times.batch_size, times.clock, times.unseen) == (100, "host", ())
    assert min(times.step_s, times.unprofiled_step_s) >= 2 * SLEEP_S
    assert times.optimizer_s > 0
    assert times.loss.backward_s > 0


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_modules_that_are_not_seen() -> None:
    """A scripted network is one call: its layers are named as not seen, and its time is the network's."""
    times = times_of(lambda: torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(784, 10))))
    assert times.unseen == ("1",)
    ((name, kind, forward),) = [(module.name, module.kind, module.forward_s > 0) for module in times.modules]
    assert (name, kind, forward) == ("", "Sequential", True)


def test_a_network_that_fails() -> None:
    """A network that fails only while it is watched costs the times alone, and says why."""
    calls: list[int] = []

    class Fails(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            calls.append(1)
            if torch.autograd.profiler._is_profiler_enabled:
                raise ValueError("not while I am watched")
            return super().forward(x.flatten(1))

    times, because = layer_times(run_of(lambda: Fails(784, 10)))
    assert (times, because) == (None, "the profiler failed: not while I am watched")
    assert calls


def test_hooks_are_removed() -> None:
    """No hook stays, whatever happens meanwhile, and the rounds' random numbers are as before."""
    before = torch.get_rng_state()
    times_of(lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)))
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.nn.modules.module._global_forward_pre_hooks
    assert not torch.nn.modules.module._global_forward_hooks
