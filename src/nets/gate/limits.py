"""The gate's limits: the table `[gate]` of a TOML file, overridden by the command line; per cell where a table says so.

Limits are fractions: 0.1 is a tenth. A relative limit L is exceeded by a ratio above 1 + L or below 1 / (1 + L), so
that exchanging base and head exchanges regressed and improved. How they are read: `nets.gate.limits_input`.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, field_serializer

from nets.records.base import Record
from nets.records.metrics import Family
from nets.stats.inference import MIN_PAIRS

Fact = Literal["device", "torch", "cuda", "data", "protocol", "pipeline", "threads", "workers", "network", "bands"]
FACTS: tuple[Fact, ...] = get_args(Fact)
MAX_RELATIVE = 10
Relative = Annotated[float, Field(gt=0, le=MAX_RELATIVE)]


class CellLimits(Record):
    """The least changes that count of a cell. `time` is that of a paired test; `_unpaired` is of two stored files.

    Utilization and energy are shares of time or products with it, so between two stored files they vary as time does.
    `time_faster`: beyond it a cell is too much faster to be believed. `memory`: of the GPU, `host_memory`: resident.
    `accuracy`: the least difference of two means without a band.
    """

    time: Relative = 0.02
    time_unpaired: Relative = 0.30
    time_faster: float = Field(default=1.0, gt=0, le=1_000)
    energy: Relative = 0.10
    energy_unpaired: Relative = 0.30
    utilization: Relative = 0.10
    utilization_unpaired: Relative = 0.30
    core_seconds: Relative = 0.10
    core_seconds_unpaired: Relative = 0.30
    memory: Relative = 0.10
    host_memory: Relative = 0.30
    accuracy: float = Field(default=0.005, gt=0, lt=1)

    def relative(self, family: Family, *, paired: bool) -> float:
        """The relative limit of a family of metrics; memory has one for both kinds of comparison."""
        has_two = f"{family}_unpaired" in CellLimits.model_fields
        limit: float = getattr(self, family if paired or not has_two else f"{family}_unpaired")
        return limit


class Limits(CellLimits):
    """Those of all cells, and what holds for the whole run.

    `alpha`: of a paired test in the screen, `confirm_alpha` in the confirmation, over all cells (`nets.gate.levels`).
    `accuracy_alpha`: of the test of accuracies of rounds that are no pairs. `allow`: what may differ. `cells`: other
    limits by a pattern of ids (`mnist-*`), of which only those that are set count.
    """

    alpha: float = Field(default=0.025, gt=0, le=0.05)
    confirm_alpha: float = Field(default=0.02, gt=0, le=0.05)
    min_pairs: int = Field(default=MIN_PAIRS, ge=MIN_PAIRS)
    accuracy_alpha: float = Field(default=0.001, gt=0, le=0.05)
    allow: tuple[Fact, ...] = ()
    cells: Mapping[str, CellLimits] = {}

    def for_cell(self, cell: str) -> Limits:
        """The limits of a cell by its id: of each limit that of the last pattern that matches and sets it."""
        changes: dict[str, Any] = {}
        for pattern, limits in self.cells.items():
            if fnmatchcase(cell, pattern):
                changes |= {name: getattr(limits, name) for name in limits.model_fields_set}
        return self.replace(**changes) if changes else self

    @field_serializer("cells")
    def _only_what_is_set(self, cells: Mapping[str, CellLimits]) -> dict[str, dict[str, Any]]:
        return {pattern: limits.model_dump(exclude_unset=True) for pattern, limits in cells.items()}
