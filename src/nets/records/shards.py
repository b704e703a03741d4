"""What a file of one part of a run says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from nets.records.base import FROZEN, Record
from nets.records.cell import Result
from nets.records.versions import Text


class Shards(Record):
    """Which parts of a run, of how many, a file has, and in which of them each cell is measured, in the run's order.

    A cell's record is that of the first of its shards; the others measured it as a reference for cells of their own.
    """

    model_config = ConfigDict(**{**FROZEN, "strict": False})  # JSON has lists alone

    of: int = Field(ge=1, le=10_000)
    here: tuple[int, ...] = Field(min_length=1)
    cells: dict[Text, Annotated[tuple[int, ...], Field(min_length=1)]]

    @model_validator(mode="after")
    def _numbers_in_order(self) -> Shards:
        for what, numbers in (("here", self.here), *self.cells.items()):
            if list(numbers) != sorted(set(numbers)) or not 1 <= numbers[0] <= numbers[-1] <= self.of:
                raise ValueError(f"{what}: not numbers of shards from 1 to {self.of}, each once, in order")
        return self

    @property
    def missing(self) -> tuple[int, ...]:
        """The numbers of the shards that the file has not."""
        return tuple(number for number in range(1, self.of + 1) if number not in self.here)


@dataclass(frozen=True, slots=True)
class Reference:
    """The record of a reference network in a shard that is not its own."""

    shard: int
    result: Result
