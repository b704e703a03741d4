"""A network -> its part of a cell's record; where its layers can't be counted, the reason."""

from __future__ import annotations

from torch import nn
from torch.nn.parameter import is_lazy

from nets.cells.catalog import ImageShape
from nets.networks.dataflow import UnknownStructure
from nets.networks.layers import Structure, network_structure
from nets.records.cell import Network


def network_record(found: Structure, *, declared_layers: int | None = None) -> Network:
    """A structure as the record has it."""
    return Network(
        parameters=found.parameters,
        layers=found.layers,
        hidden_layers=found.hidden_layers,
        macs_per_image=found.macs_per_image,
        macs_per_batch=found.macs_per_batch,
        not_counted=found.not_counted,
        declared_layers=declared_layers,
        table=found.table,
    )


def examined(network: nn.Module, image: ImageShape, *, declared_layers: int | None = None) -> Network:
    """What a network is made of, as far as it can be told: one that can't be counted can be trained all the same."""
    try:
        return network_record(network_structure(network, image), declared_layers=declared_layers)
    except UnknownStructure as error:
        return Network(
            parameters=n_parameters(network),
            layers=None,
            hidden_layers=None,
            macs_per_image=None,
            macs_per_batch=None,
            layers_missing_because=str(error),
            declared_layers=declared_layers,
        )


def n_parameters(network: nn.Module) -> int:
    """The trainable ones that are there by now."""
    return sum(each.numel() for each in network.parameters() if each.requires_grad and not is_lazy(each))
