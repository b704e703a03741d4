"""One network against the reference, rounds interleaved: what `nets depth` says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch

from nets import depth, observe
from nets.cells import REFERENCE, Cell, Protocol
from nets.datasets import Data
from nets.depth import Cost
from nets.measure import CellRun
from nets.models import MODELS
from nets.pipelines import Pipeline
from nets.results import CellFacts, Depth, Device, Network, Record, Round
from nets.structure import Structure


class Side(Record):
    """A network that was trained: what it is made of, its rounds, and on a GPU the trace's est. SM efficiency."""

    network: Network
    rounds: tuple[Round, ...]
    sm_efficiency_pct: float | None


class Appraisal(Record):
    """What `nets depth --json` writes; without a data set only the structure is known, and the rest is null."""

    schema_: Literal[1] = 1
    kind: Literal["depth"] = "depth"
    target: str
    image: tuple[int, int, int]
    network: Network
    depth: Depth
    cell: CellFacts | None = None
    protocol: Protocol | None = None
    pipeline: str | None = None
    device: Device | None = None
    sides: tuple[Side, Side] | None = None


def network(found: Structure) -> Network:
    """A structure as the record has it."""
    return Network(
        parameters=found.parameters,
        layers=found.layers,
        hidden_layers=found.hidden_layers,
        macs_per_image=found.macs_per_image,
    )


def interleaved(
    cell: Cell,
    protocol: Protocol,
    pipeline: Pipeline,
    data: Data,
    device: torch.device,
    *,
    say: Callable[[str, Round], None],
) -> tuple[Side, Side]:
    """Train a cell and the reference on the same data in turns, every other pair beginning with the other; both sides.

    `say` is told of each finished round, with the network's name. Raises UnfitNetwork, UnknownStructure, DoesNotFit.
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


def judged(sides: tuple[Side, Side], reference: str, device: Device) -> Depth:
    """Both verdicts on the first side against the second."""
    ours, theirs = (
        Cost(
            hidden_layers=side.network.hidden_layers,
            times_s=tuple(round_.time_s for round_ in side.rounds),
            sm_efficiency_pct=side.sm_efficiency_pct,
            macs=side.network.macs_per_image if device.type == "cpu" else None,
        )
        for side in sides
    )
    return depth.against(ours, theirs, reference)


def _side(run: CellRun) -> Side:
    efficiency = None
    if run.device.type == "cuda":
        seen = observe.observe(run, None, take_trace=True, keep_traces=None, no_gpu_because=None)
        efficiency = seen.trace.sm_efficiency_pct if seen.trace is not None else None
    return Side(
        network=network(run.structure),
        rounds=tuple(run.rounds),
        sm_efficiency_pct=efficiency,
    )
