"""One network against the reference, rounds interleaved: what `nets depth` says."""

from __future__ import annotations

from collections.abc import Callable

import torch

from nets.cells.catalog import REFERENCE, Cell
from nets.datasets.data import Data
from nets.gpu import capture
from nets.networks.builtin import MODELS
from nets.records.cell import Depth, Device, Protocol, Round
from nets.records.comparisons import TrainedNetwork
from nets.training.pipelines import Pipeline
from nets.training.run import CellRun
from nets.verdicts.depth import Cost, depth_against


def train_interleaved(
    cell: Cell,
    protocol: Protocol,
    pipeline: Pipeline,
    data: Data,
    device: torch.device,
    *,
    say: Callable[[str, Round], None],
) -> tuple[TrainedNetwork, TrainedNetwork]:
    """Train a cell and the reference on the same data in turns, every other pair beginning with the other; both sides.

    `say` is told of each finished round, with the network's name. Raises UnfitNetwork, DoesNotFit.
    """
    loaders = pipeline.loaders(data, protocol, device)
    reference = Cell(cell.dataset, REFERENCE, build=MODELS[REFERENCE])
    runs = [CellRun(each, protocol, pipeline, data, loaders, device) for each in (cell, reference)]
    order = list(runs)
    for _ in range(protocol.rounds):
        for run in order:
            say(run.cell.model, run.round())
        order.reverse()
    first, second = (_side(run) for run in runs)
    return first, second


def depth_of_sides(
    sides: tuple[TrainedNetwork, TrainedNetwork], reference: str, device: Device, batch_size: int
) -> Depth:
    """Both verdicts on the first side against the second."""
    ours, theirs = (
        Cost(
            hidden_layers=side.network.hidden_layers,
            times_s=tuple(round_.time_s for round_ in side.rounds),
            sm_efficiency_pct=side.sm_efficiency_pct,
            macs=side.network.macs_of_an_image(batch_size) if device.type == "cpu" else None,
        )
        for side in sides
    )
    return depth_against(ours, theirs, reference)


def _side(run: CellRun) -> TrainedNetwork:
    efficiency = None
    if run.device.type == "cuda":
        trace, _ = capture.traced(run, None)
        efficiency = trace.sm_efficiency_pct if trace is not None else None
    return TrainedNetwork(
        network=run.network,
        rounds=tuple(run.rounds),
        sm_efficiency_pct=efficiency,
    )
