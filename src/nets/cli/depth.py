"""`nets depth TARGET`: says whether a network is shallow or deep, and what it costs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nets.cli.common import DataDir, Json, beside_json, demand_writable, tell, write_json
from nets.errors import Unusable, counted
from nets.machine.imports import without_collecting
from nets.report.document import Part, Sentence, sentences

if TYPE_CHECKING:
    import torch

    from nets.cells.catalog import Cell, ImageShape
    from nets.datasets.data import Data
    from nets.networks.build import Builder
    from nets.records.cell import Protocol, Round
    from nets.records.comparisons import DepthComparison
    from nets.training.pipelines import Pipeline

CLASSES = 10
IMAGENET_CLASSES = 1_000
"""Of networks whose structure alone is asked for: anyone's, and those of torchvision and timm."""


def depth(
    target: Annotated[
        str, typer.Argument(help="package.module:callable, path/to/file.py:callable, torchvision:NAME or timm:NAME.")
    ],
    image: Annotated[
        str | None, typer.Option("--input", metavar="CxHxW", help="One image's shape, 3x32x32; the data set's, if any.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Train it on this data set, in turns with the reference, to say what it costs.")
    ] = None,
    protocol: Annotated[str, typer.Option(help="quick or article.")] = "quick",
    rounds: Annotated[int | None, typer.Option(min=1, max=1_000, help="Rounds of each; the protocol's 3.")] = None,
    pipeline: Annotated[str, typer.Option(help="resident or article.")] = "resident",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    data_dir: DataDir = Path("data"),
    structure_only: Annotated[bool, typer.Option("--structure-only", help="Count, and train nothing.")] = False,
    layers: Annotated[
        bool,
        typer.Option(
            "--layers", help="Print its modules one by one: the longest path, and with --dataset the time of each."
        ),
    ] = False,
    json_file: Json = None,
) -> None:
    """Say whether a network is shallow or deep: by its layers at once, by its cost after training it and LeNet-5."""
    with without_collecting():
        from nets.networks.targets import target_builder

    demand_writable(json_file)
    with beside_json(json_file):  # what the network's code prints is no JSON
        build = target_builder(target, is_trained=not structure_only and dataset is not None)
        if structure_only or dataset is None:
            n_classes = IMAGENET_CLASSES if target.startswith(("torchvision:", "timm:")) else CLASSES
            found = _structure(target, build, _shape(image, dataset), n_classes, "nothing was trained")
            if found.network.layers_missing_because is not None:
                raise Unusable(found.network.layers_missing_because)
            tell(_structure_parts(found, with_table=layers))
            if not structure_only:
                tell(sentences(["By cost: not judged; --dataset trains it, in turns with LeNet-5."]))
        else:
            from nets.cells.catalog import Cell, protocol_for
            from nets.datasets.load import load_data
            from nets.machine.device import choose_device
            from nets.training.pipelines import pipeline_named

            how = protocol_for(protocol, dataset).repeated(rounds=rounds)
            way, where = pipeline_named(pipeline), choose_device(device)
            data = load_data(dataset, data_dir)
            if image is not None and _shape(image, dataset) != data.image_shape:
                raise Unusable(f"--input {image} contradicts {dataset}, whose images are {data.image_shape}")
            begun = _structure(target, build, data.image_shape, data.n_classes, "training has begun")
            tell(_structure_parts(begun, with_table=layers))
            cell = Cell(dataset, re.sub(r"\W", "_", target.rpartition(":")[2]), build=build)
            found = _trained(begun, cell, how, way, data, where)
            tell(_verdict_parts(found))
            if layers:
                found = _with_layer_times(found, cell, how, way, data, where)
                tell(_layer_times_parts(found))
    write_json(json_file, found.to_json())


def _shape(text: str | None, dataset: str | None) -> ImageShape:
    """The image's shape as it was given, or that of the data set's images. Raises Unusable."""
    known: dict[str, ImageShape] = {
        **dict.fromkeys(("mnist", "fashion_mnist", "kmnist", "digits"), (1, 28, 28)),
        **dict.fromkeys(("cifar10", "cifar100", "svhn", "shapes"), (3, 32, 32)),
    }
    if text is None:
        if dataset is None:
            raise Unusable("give --input, one image's shape (3x32x32), or a --dataset")
        if dataset not in known:
            raise Unusable(f"give --input: the shape of {dataset}'s images is not known before it is read")
        return known[dataset]
    parts = re.fullmatch(r"(\d{1,4})x(\d{1,5})x(\d{1,5})", text)
    if parts is None or "0" in parts.groups():
        raise Unusable(f"--input {text!r} is not one image's channels, height and width, as in 3x32x32")
    channels, height, width = (int(part) for part in parts.groups())
    return channels, height, width


def _structure(target: str, build: Builder, shape: ImageShape, n_classes: int, because: str) -> DepthComparison:
    """The classical verdict alone, if it can be told, and why there is no other."""
    with without_collecting():
        from nets.networks.record import examined
        from nets.records.comparisons import DepthComparison
        from nets.verdicts.depth import classical_depth

    network = examined(build(shape, n_classes), shape)
    verdict = classical_depth(network, no_reference_because=because)
    return DepthComparison(target=target, image=shape, network=network, depth=verdict)


def _trained(
    begun: DepthComparison,
    cell: Cell,
    protocol: Protocol,
    pipeline: Pipeline,
    data: Data,
    device: torch.device,
) -> DepthComparison:
    """Both verdicts, after training the cell in turns with the reference."""
    from nets.cells.catalog import REFERENCE
    from nets.machine.device import device_facts
    from nets.measuring.against_reference import depth_of_sides, train_interleaved
    from nets.measuring.cell import cell_facts
    from nets.networks.build import UnfitNetwork

    def say_round(name: str, done: Round) -> None:
        tell([Sentence(f"{name}, seed {done.seed}: {done.time_s:.2f} s, accuracy {done.accuracy:.4f}", level=1)])

    try:
        sides = train_interleaved(cell, protocol, pipeline, data, device, say=say_round)
    except RuntimeError as error:  # torch's, from inside the network
        because = str(error).partition(chr(10))[0]
        raise UnfitNetwork(f"{begun.target}: training it failed: {because}") from error
    facts = device_facts(device)
    return begun.replace(
        depth=depth_of_sides(sides, f"{cell.dataset}-{REFERENCE}", facts, protocol.batch_size),
        cell=cell_facts(cell, data),
        protocol=protocol,
        pipeline=pipeline.name,
        device=facts,
        sides=sides,
    )


def _with_layer_times(
    found: DepthComparison,
    cell: Cell,
    protocol: Protocol,
    pipeline: Pipeline,
    data: Data,
    device: torch.device,
) -> DepthComparison:
    """With the time of each layer in a training step, or why there is none."""
    from nets.measuring.layer_times import layer_times
    from nets.training.run import CellRun

    run = CellRun(cell, protocol, pipeline, data, pipeline.loaders(data, protocol, device), device)
    times, because = layer_times(run)
    return found.replace(layer_times=times, layer_times_missing_because=because)


def _layer_times_parts(found: DepthComparison) -> list[Part]:
    from nets.report.layers import layer_times

    if found.layer_times is None:
        return sentences([f"The layers' times were not measured: {found.layer_times_missing_because}"])
    return layer_times(found.network, found.layer_times)


def _structure_parts(found: DepthComparison, *, with_table: bool) -> list[Part]:
    from nets.report.layers import layer_table

    network, named = found.network, f"{found.target}, {'x'.join(map(str, found.image))}"
    if network.layers is None:
        because = network.layers_missing_because
        return sentences([f"{named}: {network.parameters:,} trainable parameters; layers not counted: {because}"])
    once = f", and {network.macs_per_batch:,} a batch on weights alone" if network.macs_per_batch else ""
    counts = (
        f"{named}: {counted(network.layers, 'layer')}, {network.hidden_layers} of them hidden, "
        f"{network.parameters:,} trainable parameters, "
        f"{network.macs_per_image:,} multiply-accumulates an image{once}"
    )
    return [
        *sentences([counts]),
        *([layer_table(network)] if with_table else []),
        *sentences(f"not counted: {sentence}" for sentence in network.not_counted),
        *sentences([f"Classical definition: {found.depth.classical}."]),
    ]


def _verdict_parts(found: DepthComparison) -> list[Part]:
    assert found.device is not None
    verdict = f"By cost, on {found.device}: {found.depth.cost_aware}."
    return [Sentence(verdict), *(Sentence(reason, level=1) for reason in found.depth.because.split("; "))]
