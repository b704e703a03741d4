"""How a cell's throughput grows with the batch size and with the training set: the record; pure."""

from __future__ import annotations

from statistics import median
from typing import Annotated, Literal

from pydantic import Field

from nets.cells import Protocol
from nets.results import CellFacts, Device, Record, Where

Seconds = tuple[Annotated[float, Field(gt=0)], ...]


class Point(Record):
    """Training at one batch size on one number of images: the seconds a step of each turn, epoch's start and end in it.

    `mode`: eager or graph; `threads`: torch's on a CPU.
    """

    batch_size: int = Field(ge=1)
    n_train: int = Field(ge=1)
    mode: str
    threads: int = Field(ge=1)
    step_s: Seconds

    @property
    def images_per_s(self) -> float:
        """Throughput, by the median of the turns; a set's last batch may be short."""
        n_steps = -(-self.n_train // self.batch_size)
        return self.n_train / n_steps / median(self.step_s)


class Growth(Record):
    """What `extra_info` holds of a sweep over batch sizes and one over set sizes.

    `training_flop_per_image`: forward and backward, by torch.utils.flop_counter, a multiply-accumulate counted twice.
    `matmul_flop_per_s`: of each turn's large float32 matrix product, the ceiling of what the device can do.
    """

    schema_: Literal[1] = Field(default=1, alias="schema")
    kind: Literal["growth"] = "growth"
    cell: CellFacts
    protocol: Protocol
    pipeline: str
    device: Device
    where: Where
    training_flop_per_image: int = Field(gt=0)
    matmul_flop_per_s: Seconds
    by_batch_size: tuple[Point, ...]
    by_set_size: tuple[Point, ...]

    @property
    def id(self) -> str:
        """The cell's id, `dataset-model`."""
        return f"{self.cell.dataset}-{self.cell.model}"

    @property
    def ceiling_images_per_s(self) -> float:
        """Images a second if every operation of a training step ran as fast as the large matrix product."""
        return median(self.matmul_flop_per_s) / self.training_flop_per_image

    def share(self, point: Point) -> float:
        """Throughput over the ceiling's."""
        return point.images_per_s / self.ceiling_images_per_s
