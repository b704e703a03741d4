"""The gate's limits: the table `[gate]` of a TOML file, overridden by the command line.

Limits are fractions: 0.1 is a tenth. A relative limit L is exceeded by a ratio above 1 + L or below 1 / (1 + L), so
that exchanging base and head exchanges regressed and improved.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, Field, ValidationError

from nets.errors import Unusable
from nets.records.base import Record, first_fault
from nets.records.foreign import read_toml
from nets.records.metrics import Family
from nets.stats.inference import MIN_PAIRS

Fact = Literal["device", "torch", "cuda", "data", "protocol", "pipeline", "threads", "workers", "network"]
FACTS: tuple[Fact, ...] = get_args(Fact)
Relative = Annotated[float, Field(gt=0, le=10)]


class Limits(Record):
    """The least changes that count. `time` is that of a paired test; names in `_unpaired` hold for two stored files.

    Utilization and energy are shares of time or products with it, so between two stored files they vary as time does.
    `memory`: of the GPU, `host_memory`: resident. `accuracy`: the least difference of two means without a band,
    `accuracy_alpha` the level of their test. `alpha`: of a paired test in the screen, `confirm_alpha` in the
    confirmation, over all cells (`nets.gate.levels`). `allow`: what may differ.
    """

    alpha: float = Field(default=0.025, gt=0, le=0.05)
    confirm_alpha: float = Field(default=0.02, gt=0, le=0.05)
    min_pairs: int = Field(default=MIN_PAIRS, ge=MIN_PAIRS)
    time: Relative = 0.02
    time_unpaired: Relative = 0.30
    energy: Relative = 0.10
    energy_unpaired: Relative = 0.30
    utilization: Relative = 0.10
    utilization_unpaired: Relative = 0.30
    core_seconds: Relative = 0.10
    core_seconds_unpaired: Relative = 0.30
    memory: Relative = 0.10
    host_memory: Relative = 0.30
    accuracy: float = Field(default=0.005, gt=0, lt=1)
    accuracy_alpha: float = Field(default=0.001, gt=0, le=0.05)
    allow: tuple[Fact, ...] = ()

    def relative(self, family: Family, *, paired: bool) -> float:
        """The relative limit of a family of metrics; memory has one for both kinds of comparison."""
        has_two = f"{family}_unpaired" in Limits.model_fields
        limit: float = getattr(self, family if paired or not has_two else f"{family}_unpaired")
        return limit

    def changed(self, limits: Sequence[str] = (), allow: Sequence[str] = ()) -> Limits:
        """These limits with the command line's `NAME=VALUE` and allowed facts. Raises Unusable, naming a wrong one."""
        known = sorted(set(Limits.model_fields) - {"allow"})
        values = self.model_dump()
        for text in limits:
            name, equals, value = text.partition("=")
            if not equals or name not in known:
                raise Unusable(f"--limit {text}: it is NAME=VALUE, and the names are {', '.join(known)}")
            try:
                values[name] = int(value) if name == "min_pairs" else float(value)
            except ValueError:
                raise Unusable(f"--limit {text}: {value!r} is not a number; a tenth is 0.1") from None
        for fact in allow:
            if fact not in FACTS:
                raise Unusable(f"--allow {fact}: unknown; what may be allowed to differ: {', '.join(FACTS)}")
        values["allow"] = tuple(fact for fact in FACTS if fact in (*self.allow, *allow))
        try:
            return Limits.model_validate(values)
        except ValidationError as error:
            raise Unusable(f"--limit: {first_fault(error)}") from error


class _File(BaseModel):
    """A TOML file; the gate ignores its other tables."""

    gate: Limits = Limits()


def read_limits(path: Path) -> Limits:
    """Read the table `[gate]` of a TOML file. Raises Unusable, naming the file and the field."""
    table = read_toml(path)
    if "gate" not in table:
        raise Unusable(f"{path}: it has no table [gate]")
    try:
        return _File.model_validate(table, strict=False).gate
    except ValidationError as error:
        raise Unusable(f"{path}: {first_fault(error)}") from error
