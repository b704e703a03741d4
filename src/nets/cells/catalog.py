"""What is run, and what is expected of it: cells, protocols, and the article's published figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nets.errors import UnknownName, Unusable
from nets.records.cell import Protocol, Verdict

ImageShape = tuple[int, int, int]
FOLDER = "folder:"
"""What the name of a folder of images begins with; its path follows."""
# data set: batch size; epochs under `quick`, under `article`
_TRAINED = {
    "mnist": (100, 1, 20),
    "fashion_mnist": (100, 1, 20),
    "kmnist": (100, 1, 20),
    "cifar10": (4, 1, 10),
    "cifar100": (4, 1, 10),
    "svhn": (4, 1, 10),
    "digits": (100, 10, 20),
    "shapes": (4, 2, 10),
    FOLDER: (32, 1, 10),
}
PROTOCOLS = ("quick", "article")
DATASETS = tuple(name for name in _TRAINED if name != FOLDER)


def protocol_for(name: str, dataset: str) -> Protocol:
    """The protocol `name` as it stands for `dataset`, one of DATASETS or `folder:PATH`. Raises UnknownName."""
    if name not in PROTOCOLS:
        raise UnknownName("protocol", name, list(PROTOCOLS))
    kind = FOLDER if dataset.startswith(FOLDER) else dataset
    if kind not in _TRAINED:
        raise UnknownName("data set", dataset, [*DATASETS, f"{FOLDER}PATH"])
    batch_size, *epochs = _TRAINED[kind]
    return Protocol.model_validate({"name": name, "epochs": epochs[PROTOCOLS.index(name)], "batch_size": batch_size})


@dataclass(frozen=True, slots=True)
class Expected:
    """What a cell's network must turn out to be; None where nothing is expected."""

    parameters: int | None = None
    layers: int | None = None
    classical: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """What the article printed for a cell: mean of 3 rounds on a Tesla K80, data loading included; its profiler's."""

    time_s: float
    accuracy: float
    gpu_utilization_pct: float | None = None
    sm_efficiency_pct: float | None = None
    achieved_occupancy_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """One model on one data set. `build`: what makes the network, where it is not one of the suite's own."""

    dataset: str
    model: str
    expected: Expected | None = None
    published: Published | None = None
    build: Callable[..., Any] | None = None

    @property
    def id(self) -> str:
        """The cell's test id, `dataset-model`."""
        return f"{self.dataset}-{self.model}"

    def __str__(self) -> str:
        return self.id


_SNN500 = Expected(parameters=397_510, layers=2, classical="shallow")
_CNN3L_28 = Expected(parameters=28_938, layers=3, classical="shallow")
_LENET5_28 = Expected(parameters=61_706, layers=5, classical="deep")
_CNN3L_32 = Expected(parameters=22_058, layers=3, classical="shallow")
_LENET5_32 = Expected(parameters=62_006, layers=5, classical="deep")
REFERENCE = "lenet5"
"""The network that the cost-aware definition compares with: the article's deep one."""
CELLS = (
    Cell("mnist", "snn500", _SNN500, Published(172.00, 0.9832, 0.84, 0.64, 21.19)),
    Cell("mnist", "cnn3l", _CNN3L_28, Published(228.33, 0.9908, 4.57, 4.39, 57.81)),
    Cell("mnist", "lenet5", _LENET5_28, Published(199.33, 0.9891, 2.39, 1.99, 45.97)),
    Cell("cifar10", "cnn3l", _CNN3L_32, Published(770.33, 0.6345)),
    Cell("cifar10", "lenet5", _LENET5_32, Published(880.33, 0.6146)),
    Cell("digits", "snn500", _SNN500),
    Cell("digits", "cnn3l", _CNN3L_28),
    Cell("digits", "lenet5", _LENET5_28),
    Cell("shapes", "cnn3l", _CNN3L_32),
    Cell("shapes", "lenet5", _LENET5_32),
)


def select(ids: str | None, cells: Sequence[Cell] = CELLS) -> tuple[Cell, ...]:
    """Those of `cells` named in a comma-separated list of exact ids, in their order; all for None.

    Raises UnknownName for an id that no cell has, and Unusable for an empty list.
    """
    if ids is None:
        return tuple(cells)
    wanted = {part.strip() for part in ids.split(",") if part.strip()}
    known = [cell.id for cell in cells]
    for name in sorted(wanted - set(known)):
        raise UnknownName("cell", name, known)
    if not wanted:
        raise Unusable(f"no cell is named in {ids!r}; known: {', '.join(known)}")
    return tuple(cell for cell in cells if cell.id in wanted)
