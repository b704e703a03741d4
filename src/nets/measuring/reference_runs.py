"""Measures the accuracy distributions that the bands are made of, and keeps them in the bands file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from filelock import FileLock

from nets.cells.catalog import Cell, protocol_for
from nets.datasets.data import Data, Split
from nets.datasets.load import load_data
from nets.machine.device import choose_device, device_facts
from nets.records.cell import Protocol
from nets.training.pipelines import pipeline_named
from nets.training.run import CellRun
from nets.training.trainer import Loaders
from nets.verdicts.bands import ReferenceRuns, read_bands, write_bands

SOURCE = "nets bands"


@dataclass(frozen=True, slots=True)
class Setting:
    """How reference runs are made. `label_noise`: the fraction of training labels that are made wrong."""

    pipeline: str
    device: str
    data_dir: Path
    label_noise: float = 0.0

    @property
    def source(self) -> str:
        """What the bands file says of where its accuracies come from."""
        return SOURCE if not self.label_noise else f"{SOURCE}, {self.label_noise:g} of the training labels wrong"


class Task(NamedTuple):
    """A cell to train once; `protocol`: of one round, with its seed."""

    cell: Cell
    protocol: Protocol

    def __str__(self) -> str:
        return f"{self.cell.id} {self.protocol.name} seed {self.protocol.seed}"


class Done(NamedTuple):
    """What came of it. `device`: as the bands file names it; `accuracy`: None of a run that diverged."""

    task: Task
    device: str
    accuracy: float | None
    time_s: float


def measure_reference_runs(
    cells: Iterable[Cell],
    protocol_name: str,
    setting: Setting,
    seeds: Iterable[int],
    file: Path,
    *,
    run_all: Callable[[list[Task], Setting], Generator[Done]],
    say: Callable[[str], None],
) -> None:
    """Train each cell once a seed and add each accuracy to `file` as it comes; seeds that are there are passed over.

    `run_all` runs the tasks, here (`run_here`) or in several processes; this process alone writes.
    Raises DataError for data that can't be read, Unusable for a bands file that can't.
    """
    wanted = list(seeds)
    tasks: list[Task] = []
    for cell in cells:
        protocol = protocol_for(protocol_name, cell.dataset)
        known = _seeds(file, cell.id, protocol.name, setting.source)
        todo = [Task(cell, protocol.repeated(rounds=1, seed=seed)) for seed in wanted if seed not in known]
        if not todo:
            say(f"{cell.id} {protocol.name}: all {len(wanted)} seeds are in {file}")
        tasks += todo
    of_cell = Counter(task.cell.id for task in tasks)
    done_of_cell: Counter[str] = Counter()
    with closing(run_all(tasks, setting)) as all_done:
        for done in all_done:
            cell_id = done.task.cell.id
            done_of_cell[cell_id] += 1
            if done.accuracy is None:
                say(f"{done.task}: diverged, left out")
                continue
            _add(file, done, done.accuracy, setting)
            count = f"{done_of_cell[cell_id]}/{of_cell[cell_id]}"
            say(f"{done.task} ({count}): accuracy {done.accuracy:.4f}, {done.time_s:.1f} s")


def run_here(tasks: Iterable[Task], setting: Setting) -> Generator[Done]:
    """Run the tasks one after the other in this process; the data of one cell serve the next of its data set."""
    runner = Runner(setting)
    for task in tasks:
        yield runner.run(task)


class Runner:
    """Runs tasks in this process, and keeps what the next may need of the last. Raises DeviceError."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._pipeline = pipeline_named(setting.pipeline)
        self._device = choose_device(setting.device)
        self._loaded: tuple[str, Data] | None = None
        self._made: tuple[Cell, Loaders] | None = None

    def run(self, task: Task) -> Done:
        """Train and evaluate once. Raises DataError."""
        cell, protocol = task
        if self._loaded is None or self._loaded[0] != cell.dataset:
            self._loaded = self._made = None  # before the next is there, too
            self._loaded = cell.dataset, self._load(cell.dataset)
        data = self._loaded[1]
        if self._made is None or self._made[0] != cell:
            self._made = cell, self._pipeline.loaders(data, protocol, self._device)
        round_ = CellRun(cell, protocol, self._pipeline, data, self._made[1], self._device).round()
        facts = device_facts(self._device)
        accuracy = None if round_.diverged else round_.accuracy
        return Done(task, f"{facts.type}: {facts.name}", accuracy, round_.time_s)

    def _load(self, dataset: str) -> Data:
        data = load_data(dataset, self._setting.data_dir)
        noise = self._setting.label_noise
        return replace(data, train=_mislabelled(data.train, noise, data.n_classes)) if noise else data


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


def _add(file: Path, done: Done, accuracy: float, setting: Setting) -> None:
    """Add one run to the group that it belongs to, in the order of seeds; the file is replaced whole."""
    cell, protocol = done.task
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name(f".{file.name}.lock")):
        groups = list(read_bands(file).runs) if file.exists() else []
        new = ReferenceRuns(
            cell=cell.id,
            protocol=protocol.name,
            epochs=protocol.epochs,
            batch_size=protocol.batch_size,
            lr=protocol.lr,
            source=setting.source,
            pipeline=setting.pipeline,
            torch=torch.__version__,
            device=done.device,
            seeds=(protocol.seed,),
            accuracies=(accuracy,),
        )
        for i, group in enumerate(groups):
            if _kind(group) == _kind(new):
                groups[i] = _joined(group, new)
                break
        else:
            groups.append(new)
        write_bands(file, groups)


def _joined(group: ReferenceRuns, new: ReferenceRuns) -> ReferenceRuns:
    """Processes that run at once end in any order."""
    both = (*zip(group.seeds, group.accuracies, strict=True), *zip(new.seeds, new.accuracies, strict=True))
    seeds, accuracies = zip(*sorted(both), strict=True)
    return group.replace(seeds=seeds, accuracies=accuracies)


def _kind(runs: ReferenceRuns) -> dict[str, Any]:
    return runs.model_dump(exclude={"seeds", "accuracies"})
