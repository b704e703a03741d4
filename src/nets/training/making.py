"""A round's network and what trains it: built by the round's seed, placed on the device, another one warmed up."""

from __future__ import annotations

import torch
from torch import nn

from nets.cells.catalog import Cell
from nets.datasets.data import Data
from nets.errors import UnknownName
from nets.machine.device import generator_states, preserved_rng, seed_generators
from nets.networks.build import UnfitNetwork, as_unfit, build_network, pass_an_image
from nets.networks.builtin import MODELS
from nets.records.cell import Protocol
from nets.training.independence import Independence
from nets.training.pipelines import Pipeline
from nets.training.trainer import Loaders, Trainer
from nets.training.warmup import WritesIntoInput, warm_up


class Maker:
    """Makes the networks of one cell, and what trains them.

    `pipeline` and `loaders` are those that it was made with, unless the network does not take channels-last images and
    weights: then they are contiguous from the first one on. `passes_an_image`: whether a network is only whole after
    its first `forward`. A network that writes into its images is given a copy of them.
    """

    def __init__(
        self,
        cell: Cell,
        protocol: Protocol,
        pipeline: Pipeline,
        data: Data,
        loaders: Loaders,
        device: torch.device,
        independence: Independence,
    ) -> None:
        self.pipeline = pipeline
        self.loaders = loaders
        self._cell = cell
        self._protocol = protocol
        self._data = data
        self._device = device
        self._independence = independence
        self.passes_an_image = False
        self._copies_input = False

    def build(self) -> nn.Module:
        """A new network for the cell, from torch's default generator. Raises UnknownName, UnfitNetwork."""
        cell, image = self._cell, self._data.image_shape
        if cell.build is None:
            if cell.model not in MODELS:
                raise UnknownName("model", cell.model, list(MODELS))
            return MODELS[cell.model](image, self._data.n_classes)
        try:
            with as_unfit("building it"):
                network = build_network(cell.build, image, self._data.n_classes)
                if self.passes_an_image:
                    pass_an_image(network, image)
        except UnfitNetwork as error:
            raise UnfitNetwork(f"{cell.id}: {error}") from error
        self._independence.demand_fresh(network)
        return network

    def trainer(self, seed: int) -> Trainer:
        """What trains a new network, warmed up; the generators go on from its building, or from the seed again.

        The latter where what builds it sets a seed of its own, which would make all rounds one. Raises UnknownName,
        UnfitNetwork.
        """
        try:
            return self._trainer(seed)
        except WritesIntoInput:
            if self._copies_input:
                raise
            self._copies_input = True
            return self.trainer(seed)
        except UnfitNetwork:
            if self.pipeline.memory_format == "contiguous":
                raise
        self.pipeline = self.pipeline.contiguous()
        self.loaders = self.pipeline.loaders(self._data, self._protocol, self._device)
        return self.trainer(seed)

    def _trainer(self, seed: int) -> Trainer:
        seed_generators(seed)
        states = [generator_states(self._device)]
        model = self._placed()
        states.append(generator_states(self._device))
        has_grown = not list(model.parameters())
        if not has_grown:
            self._demand_trainable(model)
            with preserved_rng(self._device):
                scratch = self._placed()
                states.append(generator_states(self._device))
                self._independence.compare(model, scratch)
                warm_up(self._cell.id, scratch, self._data, self.loaders, self._protocol)
                has_grown = len(list(scratch.parameters())) > len(list(model.parameters()))
                del scratch  # its memory is the trainer's
        if has_grown:
            self._demand_first_forward(model)
            return self._trainer(seed)
        if self._independence.is_seeded(*states):
            seed_generators(seed)
        return self.pipeline.trainer(model, self.loaders, self._protocol, self._device)

    def _placed(self) -> nn.Module:
        network = self.build()
        with as_unfit(f"{self._cell.id}: moving it to the device"):
            placed = self.pipeline.place(network, self._device)
            if self._copies_input:
                placed.register_forward_pre_hook(_with_a_copy)
            return placed

    def _demand_trainable(self, model: nn.Module) -> None:
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if not trained:
            raise UnfitNetwork(f"{self._cell.id}: the network has no trainable parameter")
        if not all(parameter.is_leaf for parameter in trained):
            raise UnfitNetwork(
                f"{self._cell.id}: a parameter of the network is the result of an operation (no leaf, as torch says), "
                "which no optimizer trains: a copied trace has such"
            )

    def _demand_first_forward(self, model: nn.Module) -> None:
        """Pass an image through each network from now on: it makes parameters in its `forward`, which no optimizer has.

        Raises UnfitNetwork for one that does so again, or that has none even then.
        """
        if self.passes_an_image:
            self._demand_trainable(model)
            raise UnfitNetwork(
                f"{self._cell.id}: the network makes new parameters in every `forward`, and an optimizer trains only "
                "those that were there before it: make them in `__init__`"
            )
        self.passes_an_image = True


def _with_a_copy(_: nn.Module, images: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(each.clone() for each in images)
