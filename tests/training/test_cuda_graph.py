"""The graph path's logic, with a recorder that replays by calling: what a GPU's graph holds, but for the graph."""

from __future__ import annotations

import copy
import gc
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from studies.kernels_per_step import Calls, kernels_a_step
from torch import Tensor, nn

from nets.datasets.data import Split
from nets.training.cuda_graph import GraphTrainer, graphed
from nets.training.eager import FusedAdam, ResidentTrainer
from nets.training.graph_recorder import Work
from nets.training.trainer import Loaders, ResidentBatches
from tests.support.graphs import CPU, PROTOCOL, batches, lenet5, trainer


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


def test_what_is_recorded_has_no_copies_beside_it() -> None:
    """While steps are recorded the weights exist once, with Adam's two moments: copies would count into the peak."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 777), nn.ReLU(), nn.Linear(777, 10))
    eager = trainer(network)
    numbers: list[int] = []

    class Counting(Calls):
        def record(self, work: Work) -> Work:
            gc.collect()
            tensors = (each for each in gc.get_objects() if type(each) in (Tensor, nn.Parameter))
            alive = [each for each in tensors if each.shape == (777, 784) and each.device == CPU]
            numbers.append(len({each.data_ptr() for each in alive}))
            return super().record(work)

    assert isinstance(graphed(eager, Counting()), GraphTrainer)
    assert set(numbers) == {3}


@settings(deadline=None, max_examples=10)
@given(n_steps=st.integers(1, 12), at_once=st.integers(1, 5), piece=st.sampled_from([None, 7, 100, 10_000]))
def test_steps_gathered_and_counted_together(n_steps: int, at_once: int, piece: int | None) -> None:
    """However many steps are gathered at once, and in whatever pieces Adam takes the weights, they train the same."""
    found = []
    for lean in (False, True):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(784, 12), nn.ReLU(), nn.Linear(12, 10))
        eager = trainer(network, n=120, size=10)
        if lean:
            eager.optimizer = FusedAdam(list(eager.model.parameters()), lr=PROTOCOL.lr, piece=piece)
        recorded = graphed(eager, Calls())
        assert isinstance(recorded, GraphTrainer)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("nets.training.cuda_graph.GATHERED_BYTES", at_once * 10 * 784 * 4)
            for each in [n_steps] if lean else [1] * n_steps:
                recorded.train_steps(each, 10)
        found.append([*eager.model.state_dict().values(), *eager.optimizer.state])
    assert all(torch.allclose(one, other, rtol=1e-4, atol=1e-7) for one, other in zip(*found, strict=True))


def test_a_parameter_without_a_gradient() -> None:
    """A parameter that some steps don't use is counted by the steps that did, as torch's Adam counts it."""

    class Sometimes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.always, self.sometimes = nn.Linear(784, 10), nn.Linear(784, 10)
            self.calls = 0

        def forward(self, images: Tensor) -> Tensor:
            self.calls += 1
            outputs: Tensor = self.always(images.flatten(1))
            return outputs + self.sometimes(images.flatten(1)) if self.calls % 3 else outputs

    ours = trainer(Sometimes(), n=100, size=10)
    model = copy.deepcopy(ours.model)
    theirs = torch.optim.Adam(model.parameters(), lr=PROTOCOL.lr)
    with ours.optimizer.counted_together(8):
        for images, labels in islice(batches(100, 10), 8):
            ours.step(images, labels)
            theirs.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            theirs.step()
    for one, other in zip(ours.model.parameters(), model.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_an_epoch_of_one_full_batch() -> None:
    """Where an epoch has one full batch its replay is timed, twice, from the epoch's start each time."""

    class Twice(Calls):
        def seconds(self, replay: Work) -> float:
            replay()
            replay()
            return 1e-3

    recorded = graphed(trainer(lenet5(), n=130, size=100), Twice())
    assert recorded.fallback_because is None
    assert list(islice(recorded.steps(), 3)) == [1, 2, 3]


def test_the_length_of_a_graph() -> None:
    """A graph holds the steps that take about 5 ms: fewer of a large network, many of a small one."""

    class Timed(Calls):
        def __init__(self, step_s: float) -> None:
            self.step_s = step_s

        def seconds(self, replay: Work) -> float:
            return self.step_s

    lengths = []
    for step_s in (1e-6, 1e-4, 2e-3, 1.0):
        recorded = graphed(trainer(lenet5(), n=300, size=1), Timed(step_s))
        lengths.append(next(recorded.steps()))
    assert lengths == [300, 50, 2, 1]


@pytest.mark.parametrize("model", ["snn500", "cnn3l", "lenet5"])
def test_few_kernels_beside_the_network_s(model: str) -> None:
    """A recorded step launches at most five kernels beside those of forward, loss, backward and Adam themselves."""
    recorded, network = kernels_a_step(model, batch_size=2)
    assert recorded - network <= 5
