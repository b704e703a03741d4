"""Whether a cell's rounds are independent: fresh weights, random numbers of the round's own seed, own results."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Hashable, Sequence
from contextlib import suppress

import torch
from torch import nn

from nets.networks.build import UnfitNetwork
from nets.records.cell import Round

States = tuple[Hashable, ...]
"""As of `generator_states`."""


class Independence:
    """Sees to it that the rounds of a cell are no copies of each other."""

    def __init__(self, cell_id: str) -> None:
        self._cell_id = cell_id
        self._seen: dict[int, weakref.ref[nn.Parameter]] = {}
        self._ended: States = ()

    def demand_fresh(self, network: nn.Module) -> None:
        """Refuse a network that has a weight of one built before: it would train on. Raises UnfitNetwork."""
        if any((seen := self._seen.get(id(p))) is not None and seen() is p for p in network.parameters()):
            raise self._used()
        alive = {key: seen for key, seen in self._seen.items() if seen() is not None}
        self._seen = alive | {id(p): weakref.ref(p) for p in network.parameters()}

    def compare(self, network: nn.Module, other: nn.Module) -> None:
        """Of two new networks on their device: refuse shared memory, warn of equal weights. Raises UnfitNetwork."""
        ours, theirs = list(network.parameters()), list(other.parameters())
        if {_address(p) for p in ours} & {_address(p) for p in theirs} - {0}:
            raise self._used()
        if len(ours) == len(theirs) and all(_equal(*pair) for pair in zip(ours, theirs, strict=True)):
            warnings.warn(
                f"{self._cell_id}: its first weights are the same in every round, whatever the seed: rounds differ in "
                "what is drawn after them, as the order of the images",
                stacklevel=1,
            )

    def is_seeded(self, seeded: States, built: States, again: States) -> bool:
        """Whether what builds the network sets a generator's seed, with a warning; by the states around two buildings.

        Only then does a generator move with the first building, and not move with the second.
        """
        found = any(first != second == third for first, second, third in zip(seeded, built, again, strict=True))
        if found:
            warnings.warn(f"{self._cell_id}: what builds it sets a seed: the round's own is set after it", stacklevel=1)
        return found

    def demand_another(self, before: Sequence[Round], new: Round) -> None:
        """Refuse a round that is equal to one before to the last bit, unless it diverged. Raises UnfitNetwork."""
        for round_ in () if new.diverged else before:
            if _results(round_) == _results(new):
                raise UnfitNetwork(
                    f"{self._cell_id}: the rounds of seeds {round_.seed} and {new.seed} have the same losses and "
                    "accuracies to the last bit: a seed is set after the network is built (in its train(), a hook, a "
                    "conftest), or nothing that a seed decides reaches the result (equal first weights and a single "
                    "batch, say); take the seed out, or measure one round (--rounds 1)"
                )

    def note_end(self, states: States) -> None:
        """Take down the generators' states at a round's end; warn where one is as it was at the end of another seed."""
        if any(one == other for one, other in zip(self._ended, states, strict=False)):
            warnings.warn(
                f"{self._cell_id}: a seed is set while it is trained (in its forward(), a hook, a conftest), so that "
                "its rounds have random numbers in common",
                stacklevel=1,
            )
        self._ended = states

    def _used(self) -> UnfitNetwork:
        return UnfitNetwork(
            f"{self._cell_id}: what builds it returned weights that it returned before, and every round needs "
            "fresh ones"
        )


def _results(round_: Round) -> tuple[object, ...]:
    return round_.loss, round_.accuracy, round_.train_loss, round_.train_accuracy


def _address(parameter: nn.Parameter) -> int:
    """Where its memory is; 0 for a kind of tensor that has none of its own."""
    with suppress(NotImplementedError, RuntimeError):
        return parameter.untyped_storage().data_ptr()
    return 0


def _equal(one: nn.Parameter, other: nn.Parameter) -> bool:
    return one.layout == other.layout == torch.strided and torch.equal(one, other)
