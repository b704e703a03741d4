"""What is not replayed: networks that can't be recorded, and those whose replayed steps are not their own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from inspect import getclosurevars

import pytest
import torch
from studies.kernels_per_step import Calls
from torch import Tensor, nn

from nets.training.cuda_graph import graphed, is_faithful
from nets.training.eager import ResidentTrainer
from nets.training.graph_recorder import Work
from nets.training.trainer import Loaders
from tests.support.graphs import CPU, PROTOCOL, batches, lenet5, trainer


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
        """The state after the work, put back at each replay; to record changes nothing."""
        tensors = [*self._tensors(), getclosurevars(work).nonlocals["self"]._at]
        before = [tensor.detach().clone() for tensor in tensors]
        work()
        after = [tensor.detach().clone() for tensor in tensors]
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)

        def replay() -> None:
            with torch.no_grad():
                for tensor, value in zip(tensors, after, strict=True):
                    tensor.copy_(value)

        return replay


def test_a_network_that_changes_between_steps() -> None:
    """Where replayed steps are not the eager ones the trainer stays eager, says so, and trains as if never recorded."""
    eager = trainer(Alternating(), n=100, size=100)
    kept = graphed(eager, OnlyOnce(lambda: [*eager.tally.state, *eager.optimizer.state, *eager.model.parameters()]))
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
        def warm_up(self, work: Work) -> None:
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


@pytest.mark.parametrize(
    ("first", "second", "replayed", "verdict"),
    [
        (1.0, 1.0, 1.0009, True),
        (1.0, 1.0, 1.0011, False),
        (1.0, 1.001, 1.0049, True),
        (1.0, 1.001, 1.0051, False),
        (1.0, 1.11, 1.0, False),
        (1.0, 1.0, float("nan"), False),
        (float("nan"), float("nan"), float("nan"), True),
        (float("inf"), 1.0, 2.0, False),
    ],
)
def test_faithful(first: float, second: float, replayed: float, verdict: bool) -> None:
    """A replay may differ by a thousandth, or by five times what two eager runs differ by, which must be alike.

    It may not diverge alone.
    """
    assert is_faithful(first, second, replayed) is verdict
