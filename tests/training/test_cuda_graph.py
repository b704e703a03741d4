"""The graph path's logic, with a recorder that replays by calling: what a GPU's graph holds, but for the graph."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nets.cells.catalog import protocol_for
from nets.datasets.data import Split
from nets.datasets.load import load_data
from nets.networks.builtin import MODELS
from nets.training.cuda_graph import GraphTrainer, Work, graphed
from nets.training.eager import ResidentTrainer
from nets.training.trainer import Loaders, ResidentBatches

CPU = torch.device("cpu")
PROTOCOL = protocol_for("quick", "digits")


class Calls:
    """Records nothing: replays by doing the work again."""

    peak_bytes = 0

    def warm_up(self, work: Work) -> None:
        """Do it."""
        work()

    def record(self, work: Work) -> Work:
        """The work itself."""
        return work


def batches(n: int, size: int) -> ResidentBatches:
    """Some of the digits."""
    data = load_data("digits", Path())
    images, labels = data.on(CPU)[0].images, data.train.labels
    return ResidentBatches(Split(images[:n], labels[:n]), size, shuffle=True)


def trainer(model: nn.Module, n: int = 330, size: int = 100) -> ResidentTrainer:
    """An eager trainer."""
    train = batches(n, size)
    return ResidentTrainer(model, Loaders(train, train), PROTOCOL, CPU)


def lenet5(seed: int = 0) -> nn.Module:
    """A seeded LeNet-5 in float64, so that a difference would be one of the steps and not of rounding."""
    torch.manual_seed(seed)
    return MODELS["lenet5"]((1, 28, 28), 10)


@settings(deadline=None, max_examples=10)
@given(n=st.integers(1, 110), size=st.integers(1, 40))
def test_replayed_is_eager(n: int, size: int) -> None:
    """For any set and batch size two epochs replayed give what eager ones give, random numbers included.

    To the bit, but for the order in which an epoch's losses are added up.
    """
    eager = trainer(lenet5(), n, size)
    recorded = graphed(trainer(lenet5(), n, size), Calls())
    assert isinstance(recorded, GraphTrainer), recorded.fallback_because
    found = []
    for each in (eager, recorded):
        torch.manual_seed(7)
        passes = (each.train(), each.train(), each.evaluate())
        found.append(([*passes[:2]], (passes[2], torch.rand(1).item(), [each.accuracy for each in passes])))
    assert found[0][1] == found[1][1]
    for one, other in zip(found[0][0], found[1][0], strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-6)


def test_recording_changes_nothing() -> None:
    """Weights, buffers, optimiser, tally and random numbers are as they were before the recording, in place."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.BatchNorm1d(20), nn.Dropout(0.5), nn.Linear(20, 10))
    before = copy.deepcopy(network.state_dict())
    places = [value.data_ptr() for value in network.state_dict().values()]
    eager = trainer(network)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    graphed(eager, Calls())
    assert torch.equal(torch.get_rng_state(), state)
    after = network.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert [value.data_ptr() for value in after.values()] == places
    assert not any(tensor.any() for tensor in (*eager.optimizer.state, *eager.tally.state))
    assert all(parameter.grad is None for parameter in network.parameters())


def test_every_image_once_an_epoch() -> None:
    """The last short batch is trained: an epoch has every image once, in an order of its own."""
    seen: list[list[int]] = []

    class Looking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, images: Tensor) -> Tensor:
            seen[-1] += images.flatten().long().tolist()
            return torch.zeros(len(images), 10) * self.scale

    n = 37
    numbered = Split(torch.arange(n, dtype=torch.float32).reshape(n, 1, 1, 1), torch.zeros(n, dtype=torch.int64))
    loader = ResidentBatches(numbered, 10, shuffle=True)
    seen.append([])
    recorded = graphed(ResidentTrainer(Looking(), Loaders(loader, loader), PROTOCOL, CPU), Calls())
    assert isinstance(recorded, GraphTrainer)
    for _ in range(2):
        seen.append([])
        recorded.train()
    assert sorted(seen[1]) == sorted(seen[2]) == list(range(n))
    assert seen[1] != seen[2]


def test_steps_are_counted_in_replays() -> None:
    """Steps are given after each replay: whole graphs, the single steps left, then the next epoch's."""
    recorded = graphed(trainer(lenet5(), n=130, size=1), Calls())
    assert list(islice(recorded.steps(), 33)) == [50, 100, *range(101, 131), 180]


class Alternating(nn.Module):
    """Does something else in every other step."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(784, 10)
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        outputs: Tensor = self.out(images.flatten(1))
        return outputs * (1 + 5 * (self.calls % 2))


class OnlyOnce(Calls):
    """Replays what the work did when it was recorded, as a graph does: here, the state that it left."""

    def __init__(self, tensors: Callable[[], list[Tensor]]) -> None:
        self._tensors = tensors

    def record(self, work: Work) -> Work:
        """The state after the work, put back at each replay."""
        before = [tensor.detach().clone() for tensor in self._tensors()]
        work()
        after = [tensor.detach().clone() for tensor in self._tensors()]
        with torch.no_grad():
            for tensor, value in zip(self._tensors(), before, strict=True):
                tensor.copy_(value)

        def replay() -> None:
            with torch.no_grad():
                for tensor, value in zip(self._tensors(), after, strict=True):
                    tensor.copy_(value)

        return replay


def test_a_network_that_changes_between_steps() -> None:
    """Where replayed steps are not the eager ones the trainer stays eager, says so, and trains as if never recorded."""
    eager = trainer(Alternating(), n=100, size=100)
    kept = graphed(eager, OnlyOnce(lambda: eager.tally.state))
    assert kept is eager
    assert kept.mode == "eager"
    assert kept.fallback_because is not None
    assert "does not do the same in every step" in kept.fallback_because


class Poisoned(Calls):
    """Replays into a loss that is no number."""

    def __init__(self, tally: list[Tensor]) -> None:
        self._tally = tally

    def record(self, work: Work) -> Work:
        """Not the work."""

        def replay() -> None:
            self._tally[0].fill_(float("nan"))

        return replay


def test_a_replay_that_diverges_alone() -> None:
    """A replay whose loss is not finite where the eager steps' is, is not the network's own."""
    eager = trainer(lenet5())
    kept = graphed(eager, Poisoned(eager.tally.state))
    assert kept is eager
    assert "replayed steps gave a loss of nan" in str(kept.fallback_because)


def test_a_network_that_can_t_be_recorded() -> None:
    """A recording that fails leaves an eager trainer with the first line of the reason, and the weights untouched."""

    class Refusing(Calls):
        def record(self, work: Work) -> Work:
            work()
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

    network = lenet5()
    before = copy.deepcopy(network.state_dict())
    kept = graphed(trainer(network), Refusing())
    assert (kept.mode, kept.fallback_because) == (
        "eager",
        "no CUDA graph: operation not permitted when stream is capturing",
    )
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_batches_of_another_kind() -> None:
    """Batches that don't lie on the device whole are trained on eagerly, and the reason is said."""
    train = list(batches(200, 100))
    kept = graphed(ResidentTrainer(lenet5(), Loaders(train, train), PROTOCOL, CPU), Calls())
    assert kept.mode == "eager"
    assert "from a loader of another kind" in str(kept.fallback_because)
