"""The records of comparisons: two ways side by side, throughput by size, a network against the reference."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Annotated, Literal

from pydantic import Field, model_validator

from nets.records.base import Record
from nets.records.cell import CellFacts, Depth, Device, Execution, Network, Protocol, Round, Where

CONFIDENCE = 0.95
Positive = Annotated[float, Field(ge=1e-12)]
"""What may be divided by: nothing that was measured is smaller."""
Seconds = Annotated[tuple[Annotated[float, Field(ge=1e-12, le=1e9)], ...], Field(min_length=1, max_length=1_000)]
"""One of each turn."""


class TimedSide(Record):
    """One of the two: its name, how its steps are executed (null for a peer), each turn's seconds, `per` what."""

    name: str
    execution: Execution | None
    per: Literal["round", "step"]
    seconds: Seconds


class PairedRatio(Record):
    """The first side's seconds over the second's, pair by pair: their median, and its interval.

    The interval is between order statistics, and so assumes nothing of the noise (Conover, Practical Nonparametric
    Statistics, section 3.2); null where there are too few pairs for the confidence.
    """

    median: float = Field(gt=0)
    low: float | None
    high: float | None
    confidence: float = Field(gt=0, lt=1)
    n: int = Field(ge=1)


class SideBySide(Record):
    """What `extra_info` holds of a benchmark that compares; `of` says what was compared."""

    schema_: Literal[3] = Field(default=3, alias="schema")
    kind: Literal["side_by_side"] = "side_by_side"
    of: str
    cell: CellFacts
    protocol: Protocol
    device: Device
    where: Where
    sides: tuple[TimedSide, TimedSide]
    ratio: PairedRatio

    @model_validator(mode="after")
    def _ratio_of_the_sides(self) -> SideBySide:
        first, second = self.sides
        if self.ratio != ratio_of(first.seconds, second.seconds, self.ratio.confidence):
            raise ValueError("'ratio' is not that of the two sides' seconds")
        return self

    @property
    def id(self) -> str:
        """The cell's id, `dataset-model`."""
        return f"{self.cell.dataset}-{self.cell.model}"


def ratio_of(first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE) -> PairedRatio:
    """The ratio of two sides' seconds, turn by turn. Raises ValueError without a turn, or for unequal numbers."""
    from nets.stats.inference import median_interval  # and numpy with it, which reading a file does not need

    ratios = sorted(a / b for a, b in zip(first, second, strict=True))
    if not ratios:
        raise ValueError("no turns to compare")
    low, high = median_interval(ratios, confidence) or (None, None)
    return PairedRatio(
        median=median(ratios),
        low=low,
        high=high,
        confidence=confidence,
        n=len(ratios),
    )


class ThroughputPoint(Record):
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
    `matmul_flop_per_s`: of each turn's large matrix product, the ceiling of what the device can do; in TF32 where the
    network's own products or convolutions may be (`matmul_tf32`).
    """

    schema_: Literal[3] = Field(default=3, alias="schema")
    kind: Literal["growth"] = "growth"
    cell: CellFacts
    protocol: Protocol
    pipeline: str
    device: Device
    where: Where
    training_flop_per_image: int = Field(gt=0)
    matmul_flop_per_s: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=1_000)]
    matmul_tf32: bool
    by_batch_size: tuple[ThroughputPoint, ...]
    by_set_size: tuple[ThroughputPoint, ...]

    @property
    def id(self) -> str:
        """The cell's id, `dataset-model`."""
        return f"{self.cell.dataset}-{self.cell.model}"

    @property
    def ceiling_images_per_s(self) -> float:
        """Images a second if every operation of a training step ran as fast as the large matrix product."""
        return median(self.matmul_flop_per_s) / self.training_flop_per_image

    def share(self, point: ThroughputPoint) -> float:
        """Throughput over the ceiling's."""
        return point.images_per_s / self.ceiling_images_per_s


class TrainedNetwork(Record):
    """A network that was trained: what it is made of, its rounds, and on a GPU the trace's est. SM efficiency."""

    network: Network
    rounds: tuple[Round, ...]
    sm_efficiency_pct: float | None


class PartOfStep(Record):
    """Seconds of a training step that went into a part of it, forward and backward: medians over the steps."""

    forward_s: float = Field(ge=0)
    backward_s: float = Field(ge=0)


class ModuleTime(PartOfStep):
    """A module's part: its name in the network, empty for the network itself, and its class.

    Without the modules in it that have an entry of their own; all its calls together. What is computed anew in the
    backward pass, as in a checkpointed block, is backward.
    """

    name: str
    kind: str


class LayerTimes(Record):
    """Where the time of a training step goes, by a profile of `n_steps` of them; the parts of each add up to it.

    `clock`: `host` is the time on the host, the profiler's own work in it; `kernels` that of the GPU's kernels and
    copies, without the gaps between them. `step_s`: the whole step by that clock, `unprofiled_step_s`: by the host's,
    without the profiler. All are medians, and so the parts add up to less than `step_s` where other work interrupts the
    steps. `modules`: those that did something, in order. `loss`, `optimizer_s`, `rest`: what belongs to no module.
    `unseen`: modules with weights that are not called as such, so that their time is in what encloses them.
    """

    n_steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    clock: Literal["host", "kernels"]
    step_s: float = Field(gt=0)
    unprofiled_step_s: float = Field(gt=0)
    modules: tuple[ModuleTime, ...]
    loss: PartOfStep
    optimizer_s: float = Field(ge=0)
    rest: PartOfStep
    unseen: tuple[str, ...]


class DepthComparison(Record):
    """What `nets depth --json` writes; without a data set only the structure is known, and the rest is null.

    `layer_times` has what `--layers` asks for where the network is trained.
    """

    schema_: Literal[3] = Field(default=3, alias="schema")
    kind: Literal["depth"] = "depth"
    target: str
    image: tuple[int, int, int]
    network: Network
    depth: Depth
    cell: CellFacts | None = None
    protocol: Protocol | None = None
    pipeline: str | None = None
    device: Device | None = None
    sides: tuple[TrainedNetwork, TrainedNetwork] | None = None
    layer_times: LayerTimes | None = None
    layer_times_missing_because: str | None = None
