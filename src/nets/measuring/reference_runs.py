"""Measures the accuracy distributions that the bands are made of, and keeps them in the bands file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from nets.cells.catalog import Cell, protocol_for
from nets.datasets.data import Split
from nets.datasets.load import load_data
from nets.machine.device import device_facts
from nets.training.pipelines import Pipeline
from nets.training.run import CellRun
from nets.verdicts.bands import ReferenceRuns, read_bands, write_bands

SOURCE = "nets bands"


def measure_reference_runs(
    cells: Iterable[Cell],
    protocol_name: str,
    pipeline: Pipeline,
    seeds: Iterable[int],
    device: torch.device,
    root: Path,
    file: Path,
    *,
    label_noise: float = 0.0,
    say: Callable[[str], None],
) -> None:
    """Train each cell once a seed and add each accuracy to `file` as it comes; seeds that are there are passed over.

    `label_noise`: the fraction of training labels that are made wrong, to see what a band catches.
    Raises DataError for data that can't be read, Unusable for a bands file that can't.
    """
    wanted = list(seeds)
    facts = device_facts(device)
    for cell in cells:
        protocol = protocol_for(protocol_name, cell.dataset)
        source = SOURCE if not label_noise else f"{SOURCE}, {label_noise:g} of the training labels wrong"
        like = {
            "cell": cell.id,
            "protocol": protocol.name,
            "epochs": protocol.epochs,
            "batch_size": protocol.batch_size,
            "lr": protocol.lr,
            "source": source,
            "pipeline": pipeline.name,
            "torch": torch.__version__,
            "device": f"{facts.type}: {facts.name}",
        }
        todo = [seed for seed in wanted if seed not in _seeds(file, cell.id, protocol.name, source)]
        if not todo:
            say(f"{cell.id} {protocol.name}: all {len(wanted)} seeds are in {file}")
            continue
        data = load_data(cell.dataset, root)
        if label_noise:
            data = replace(data, train=_mislabelled(data.train, label_noise, data.n_classes))
        loaders = pipeline.loaders(data, protocol, device)
        for done, seed in enumerate(todo, start=1):
            once = protocol.repeated(rounds=1, seed=seed)
            run = CellRun(cell, once, pipeline, data, loaders, device).round()
            if run.diverged:
                say(f"{cell.id} {protocol.name} seed {seed}: diverged, left out")
                continue
            _add(file, like, seed, run.accuracy)
            say(
                f"{cell.id} {protocol.name} seed {seed} ({done}/{len(todo)}): "
                f"accuracy {run.accuracy:.4f}, {run.time_s:.1f} s"
            )


def _mislabelled(train: Split, fraction: float, n_classes: int) -> Split:
    """The set with a fraction of its labels replaced by another class each, always the same ones."""
    generator = torch.Generator().manual_seed(0)
    wrong = torch.randperm(len(train), generator=generator)[: round(fraction * len(train))]
    labels = train.labels.clone()
    labels[wrong] += torch.randint(1, n_classes, (len(wrong),), generator=generator)
    return Split(train.images, labels % n_classes)


def _seeds(file: Path, cell: str, protocol: str, source: str) -> set[int]:
    """Seeds of our own runs of a cell under a protocol; another program's run with the same seed is another run."""
    if not file.exists():
        return set()
    return {
        seed
        for runs in read_bands(file).runs
        if (runs.cell, runs.protocol, runs.source) == (cell, protocol, source)
        for seed in runs.seeds
    }


def _add(file: Path, like: dict[str, Any], seed: int, accuracy: float) -> None:
    """Add one run to the group that it belongs to; the file is replaced whole, one writer at a time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name(f".{file.name}.lock")):
        groups = list(read_bands(file).runs) if file.exists() else []
        new = ReferenceRuns(**like, seeds=(seed,), accuracies=(accuracy,))
        for i, group in enumerate(groups):
            if _kind(group) == _kind(new):
                new = ReferenceRuns(**like, seeds=(*group.seeds, seed), accuracies=(*group.accuracies, accuracy))
                groups[i] = new
                break
        else:
            groups.append(new)
        write_bands(file, groups)


def _kind(runs: ReferenceRuns) -> dict[str, Any]:
    return runs.model_dump(exclude={"seeds", "accuracies"})
