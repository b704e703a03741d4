"""Rounds that are rounds: each of its own seed, whatever seeds the network's code sets."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import manual_seed, nn

from nets.machine.device import generator_states
from nets.networks.build import UnfitNetwork
from nets.training.trainer import ResidentBatches
from tests.support.rounds import CPU, Own, results, run_of

SEEDED = pytest.mark.filterwarnings("ignore:digits-own. (its first weights|what builds it sets a seed)")


def fix_all() -> None:
    """As lightning's `seed_everything`."""
    torch.manual_seed(42)
    random.seed(42)
    np.random.seed(42)


_STATE = torch.Generator().manual_seed(42).get_state()
SEEDINGS: dict[str, Callable[[], object]] = {
    "torch.manual_seed": lambda: torch.manual_seed(42),
    "a name of its own": lambda: manual_seed(42),
    "torch.random": lambda: torch.random.manual_seed(42),
    "the generator": lambda: torch.default_generator.manual_seed(42),
    "a state": lambda: torch.set_rng_state(_STATE),
    "all": fix_all,
    "the first round's": lambda: torch.manual_seed(0),
}


@SEEDED
@pytest.mark.parametrize(("how", "pipeline"), [*((how, "resident") for how in SEEDINGS), ("all", "article")])
def test_a_builder_that_seeds(how: str, pipeline: str) -> None:
    """Rounds differ, and round i is the first round of seed + i, however the builder sets its seed."""
    built = SEEDINGS[how]
    run = run_of(lambda: Own(built), pipeline=pipeline)
    first, second = run.round(), run.round()
    assert first.loss != second.loss
    assert results(run_of(lambda: Own(built), seed=1, pipeline=pipeline).round()) == results(second)


def test_a_builder_that_seeds_is_told_of() -> None:
    """Warnings say that the seed was set again, and that all rounds have the same first weights."""
    with pytest.warns(UserWarning, match="^digits-own: ") as told:
        run_of(lambda: Own(fix_all)).round()
    assert [str(each.message) for each in told] == [
        "digits-own: its first weights are the same in every round, whatever the seed: rounds differ in what is drawn "
        "after them, as the order of the images",
        "digits-own: what builds it sets a seed: the round's own is set after it",
    ]


def test_the_same_weights_without_a_seed() -> None:
    """A network that begins with zeros is trained, its rounds differ by their shuffling, and a warning says so."""

    def zeros() -> nn.Module:
        network = Own()
        nn.init.zeros_(network.out.weight)
        nn.init.zeros_(network.out.bias)
        return network

    run = run_of(zeros)
    with pytest.warns(UserWarning, match="its first weights are the same"):
        assert run.round().loss != run.round().loss


def test_a_builder_without_a_seed_keeps_its_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of the images goes on from the draws of the weights, as the accuracy bands were measured."""
    orders: list[torch.Tensor] = []
    order = ResidentBatches.order

    def noted(self: ResidentBatches) -> torch.Tensor:
        orders.append(order(self))
        return orders[-1]

    monkeypatch.setattr(ResidentBatches, "order", noted)
    run_of(Own, seed=5).round()
    torch.manual_seed(5)
    Own()
    assert torch.equal(orders[0], torch.randperm(len(orders[0])))


def test_builders_that_draw_from_elsewhere() -> None:
    """What Python's and NumPy's generators give is by the round's seed, too, and the caller's sequences go on."""

    def scaled() -> nn.Module:
        network = Own()
        with torch.no_grad():
            network.out.weight *= random.random() + np.random.rand()
        return network

    random.seed(3)
    np.random.seed(3)
    before = generator_states(CPU)
    run = run_of(scaled)
    first, second = run.round(), run.round()
    assert generator_states(CPU) == before
    assert results(run_of(scaled, seed=1).round()) == results(second) != results(first)
    random.seed(4)
    assert results(run_of(scaled).round()) == results(first)


@SEEDED
@pytest.mark.filterwarnings("ignore:digits-own. a seed is set while")
def test_equal_rounds_are_refused() -> None:
    """A seed that is set after building makes rounds equal to the last bit: the second is refused, and not kept."""
    run = run_of(lambda: Own(fix_all, set_to_train=fix_all))
    run.round()
    sentence = (
        r"^digits-own: the rounds of seeds 0 and 1 have the same losses and accuracies to the last bit: a seed is set "
        r"after the network is built .*; take the seed out, or measure one round \(--rounds 1\)$"
    )
    with pytest.raises(UnfitNetwork, match=sentence):
        run.round()
    assert len(run.rounds) == 1
    run.close()


def test_any_two_equal_rounds_are_refused() -> None:
    """The third round is refused, where it is equal to the first."""
    numbers = iter([42, 42, 42, 7, 7, 42, 42])  # of the structure; then a round's network, and one to warm up

    def seeded() -> nn.Module:
        number = next(numbers)
        return Own(lambda: torch.manual_seed(number), set_to_train=lambda: torch.manual_seed(number))

    run = run_of(seeded)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert results(run.round()) != results(run.round())
        with pytest.raises(UnfitNetwork, match="the rounds of seeds 0 and 2 have the same"):
            run.round()
    run.close()


@SEEDED
def test_rounds_that_diverged_are_no_copies() -> None:
    """Losses that are not finite are equal by nature: they are left to the check that names the diverged seeds."""

    def diverging() -> nn.Module:
        network = Own(fix_all)
        nn.init.constant_(network.out.weight, float("nan"))
        return network

    run = run_of(diverging)
    assert results(run.round()) == results(run.round())
    assert all(round_.diverged for round_ in run.rounds)


def test_a_seed_in_the_forward_pass_is_told_of() -> None:
    """Its rounds are not equal, as their first order is drawn before it, and a warning says what they share."""
    run = run_of(lambda: Own(called=lambda: torch.manual_seed(42)))
    first = run.round()
    with pytest.warns(UserWarning, match=r"^digits-own: a seed is set while it is trained \(in its forward\(\)"):
        assert results(run.round()) != results(first)


def test_weights_in_shared_memory() -> None:
    """New parameters over the memory of old ones would train on: they are refused as the old ones are."""
    memory = torch.randn(10, 784)

    def sharing() -> nn.Module:
        network = Own()
        network.out.weight = nn.Parameter(memory)
        return network

    with pytest.raises(UnfitNetwork, match="what builds it returned weights that it returned before, and"):
        run_of(sharing).round()
