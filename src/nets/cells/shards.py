"""A run in parts, each on a machine of its own: which cells are measured in which shard; pure.

A cell is measured in one shard, and its data set's reference network in each shard that has a cell of that data set,
since the cost-aware verdict compares times of one machine. The first of these is the reference's own shard.
"""

from __future__ import annotations

import heapq
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from nets.cells.catalog import FOLDER, REFERENCE, Cell
from nets.errors import Unusable

MAX_SHARDS = 10_000
_SECONDS = {
    "mnist": 4,
    "fashion_mnist": 4,
    "kmnist": 4,
    "cifar10": 16,
    "cifar100": 16,
    "svhn": 23,
    "digits": 1,
    "shapes": 3,
    FOLDER: 16,
}
"""What a cell is taken to cost: seconds of a round under `quick`, the mean over the data set's built-in networks.

Source: the README's table of that protocol; `svhn` by its number of images; a folder, whose size is not known, as
CIFAR-10.
"""


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a run, counted from 1: `2/8`."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Raises Unusable for anything but I/N with I from 1 to N."""
        found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text, re.ASCII)
        if found is None:
            raise Unusable(f"{text!r} is no shard; name its number and how many there are, as in 2/8")
        number, of = map(int, found.groups())
        if not 1 <= of <= MAX_SHARDS:
            raise Unusable(f"{text!r}: a run has 1 to {MAX_SHARDS:,} shards")
        if not 1 <= number <= of:
            raise Unusable(f"{text!r} is no shard: they are 1/{of} to {of}/{of}")
        return cls(number, of)


def estimate_s(dataset: str) -> int:
    """What a round of one of its cells is taken to cost."""
    return _SECONDS[FOLDER if dataset.startswith(FOLDER) else dataset]


def dealt(cells: Sequence[Cell], n_shards: int) -> dict[str, tuple[int, ...]]:
    """The shards in which each cell is measured, from 1, by its id; more than one for a reference network alone.

    It depends on the cells' ids and on the number of shards alone, not on the cells' order. The longest shard is as
    short, by the estimate, as a greedy choice can make it, and no data set is divided further than that takes.
    """
    by_dataset: dict[str, list[str]] = defaultdict(list)
    for cell in sorted(set(cells), key=lambda cell: cell.id):
        by_dataset[cell.dataset].append(cell.id)
    groups = [_Group.of(dataset, ids) for dataset, ids in sorted(by_dataset.items())]
    low, high = 0, sum(group.cost_s(len(group.ids)) for group in groups)
    while high - low > 1:  # `high` is a limit in seconds that can be kept
        limit_s = (low + high) // 2
        longest_s = max(sum(part.cost_s for part in shard) for shard in _packed(groups, limit_s, n_shards))
        low, high = (low, limit_s) if longest_s <= limit_s else (limit_s, high)
    found: dict[str, set[int]] = defaultdict(set)
    for number, shard in enumerate(_packed(groups, high, n_shards), start=1):
        for part in shard:
            for cell_id in (*part.ids, *part.group.reference):
                found[cell_id].add(number)
    return {cell.id: tuple(sorted(found[cell.id])) for cell in cells}


@dataclass(frozen=True, slots=True)
class _Group:
    """The cells of one data set without its reference, and that, if it was chosen."""

    dataset: str
    ids: tuple[str, ...]
    reference: tuple[str, ...]
    each_s: int

    @classmethod
    def of(cls, dataset: str, ids: Sequence[str]) -> _Group:
        reference = f"{dataset}-{REFERENCE}"
        return cls(
            dataset,
            ids=tuple(each for each in ids if each != reference),
            reference=(reference,) if reference in ids else (),
            each_s=estimate_s(dataset),
        )

    def cost_s(self, n_cells: int) -> int:
        """Of so many cells, and of the reference."""
        return self.each_s * (n_cells + len(self.reference))

    def parts(self, limit_s: int) -> list[_Part]:
        """As few as cost no more each, where there are cells enough for that; alike in size."""
        if not self.reference:
            return [_Part(self, (each,)) for each in self.ids]  # nothing keeps them together
        most = max(1, limit_s // self.each_s - 1)
        n_parts = max(1, ceil(len(self.ids) / most))
        return [_Part(self, self.ids[i::n_parts]) for i in range(n_parts)]


@dataclass(frozen=True, slots=True)
class _Part:
    group: _Group
    ids: tuple[str, ...]

    @property
    def cost_s(self) -> int:
        return self.group.cost_s(len(self.ids))


def _packed(groups: Sequence[_Group], limit_s: int, n_shards: int) -> list[list[_Part]]:
    """Each part, the most expensive first, into the shard that has least to do."""
    parts = [part for group in groups for part in group.parts(limit_s)]
    parts.sort(key=lambda part: (-part.cost_s, part.group.dataset, part.ids))
    shards: list[list[_Part]] = [[] for _ in range(n_shards)]
    least = [(0, i) for i in range(n_shards)]
    for part in parts:
        load_s, i = least[0]
        shards[i].append(part)
        heapq.heapreplace(least, (load_s + part.cost_s, i))
    return shards
