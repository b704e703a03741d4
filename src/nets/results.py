"""The record of a cell (schema 1): frozen, typed, and refused by the name of the field that doesn't fit.

Units are in the names: `_s`, `_pct`, `_bytes`, `_j`, `_w`; fractions of 1 carry no suffix. Null means not
measured, and a field beside it says why. `extra_info` of each benchmark in a pytest-benchmark JSON is one
`Result`; its JSON Schema is shipped as `nets/record.schema.json`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from statistics import fmean, stdev
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError, model_validator

from nets.cells import FROZEN, Protocol, Verdict

SCHEMA = 1

Status = Literal["passed", "failed", "error"]
BandVerdict = Literal["inside", "below", "above", "diverged"]
State = Literal["holds", "fails", "undecided"]
CostAware = Verdict | Literal["undecided"]


class Record(BaseModel):
    """A frozen part of the record: no unknown field, no wrong type, no NaN."""

    model_config = FROZEN

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, ready for `extra_info`."""
        plain: dict[str, Any] = json.loads(self.model_dump_json())
        return plain


class CellFacts(Record):
    """Which cell, and which bytes it was trained on; null where the data could not be loaded."""

    model: str
    dataset: str
    n_train: int | None = None
    n_test: int | None = None
    data_sha256: str | None = None


class Execution(Record):
    """How the steps were executed; `tf32` is torch's setting for convolutions on the GPU, null on a CPU."""

    mode: str
    fallback_because: str | None = None
    memory_format: str
    tf32: bool | None
    threads: int = Field(ge=1)
    wait_policy: str


class Device(Record):
    """What the network ran on."""

    type: Literal["cpu", "cuda"]
    name: str
    uuid: str | None = None
    memory_total_bytes: int | None = None
    compute_capability: str | None = None
    n_sms: int | None = None
    driver: str | None = None
    mig: bool | None = None


class Where(Record):
    """The host, the xdist worker (null without one), the number of workers at once, and the cores this one may use."""

    host: str
    worker: str | None
    n_workers: int = Field(ge=1)
    n_cores: int = Field(ge=1)


class Network(Record):
    """What the network is made of; operations are multiply-accumulates of one image's forward pass."""

    parameters: int
    layers: int
    hidden_layers: int
    macs_per_image: int


class Round(Record):
    """One timed train + evaluate. A loss that was not finite is null."""

    seed: int
    setup_s: float = Field(ge=0)
    train_s: float = Field(ge=0)
    eval_s: float = Field(ge=0)
    accuracy: float = Field(ge=0, le=1)
    loss: float | None
    train_loss: tuple[float | None, ...]
    train_accuracy: tuple[float, ...]
    others_cpu_s: float | None
    disturbed: bool | None

    @property
    def diverged(self) -> bool:
        """Whether any loss was not finite."""
        return self.loss is None or None in self.train_loss

    @property
    def time_s(self) -> float:
        """Training and evaluation together."""
        return self.train_s + self.eval_s


class Accuracy(Record):
    """Test accuracy over the rounds; `std` is the sample's (ddof = 1), null for one round."""

    mean: float
    std: float | None
    min: float
    max: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Accuracy:
        """Summarise at least one accuracy."""
        seen = tuple(values)
        return cls(mean=fmean(seen), std=stdev(seen) if len(seen) > 1 else None, min=min(seen), max=max(seen))


class Band(Record):
    """The accuracy range expected of the mean over the rounds, from `n` reference runs; see `nets.bands`."""

    low: float
    high: float
    n: int
    alpha: float
    verdict: BandVerdict


class Missing(Record):
    """A figure that is null, by its field's name, and why."""

    figure: str
    because: str


GPU_FIGURES = (
    "utilization_pct",
    "memory_peak_bytes",
    "memory_used_peak_bytes",
    "energy_j",
    "energy_per_step_j",
    "power_w",
    "sm_clock_mhz",
    "sm_utilization_pct",
    "sm_occupancy_pct",
    "dram_bandwidth_pct",
    "tensor_pct",
    "fp32_pct",
)


class Gpu(Record):
    """What NVML and torch saw of the GPU, over the timed regions or, where those are too short, over a soak.

    `utilization_pct`: time in which any kernel ran. `memory_peak_bytes`: torch's peak over the rounds;
    `memory_used_peak_bytes`: the device's, every process in it. `energy_j`: of one round, `energy_per_step_j`: of one
    training step of the soak; idle power is in both. `sm_...`, `dram_...`, `tensor_...`, `fp32_...`: the hardware's own
    counters (GPM). `n_processes`: the most that computed on the GPU at once as the driver lists them (0: it lists none,
    not even ours). A null figure stands in `missing`; `reasons` says what makes the others unfit for comparison,
    and `unchecked` which of the things that could was not to be seen.
    """

    window: Literal["timed", "soak"]
    window_s: float = Field(ge=0)
    n_steps: int | None = Field(default=None, ge=1)
    utilization_pct: float | None = Field(default=None, ge=0, le=100)
    memory_peak_bytes: int | None = None
    memory_used_peak_bytes: int | None = None
    energy_j: float | None = Field(default=None, ge=0)
    energy_per_step_j: float | None = Field(default=None, ge=0)
    power_w: float | None = Field(default=None, ge=0)
    sm_clock_mhz: float | None = None
    sm_utilization_pct: float | None = Field(default=None, ge=0, le=100)
    sm_occupancy_pct: float | None = Field(default=None, ge=0, le=100)
    dram_bandwidth_pct: float | None = Field(default=None, ge=0, le=100)
    tensor_pct: float | None = Field(default=None, ge=0, le=100)
    fp32_pct: float | None = Field(default=None, ge=0, le=100)
    n_processes: int | None = Field(default=None, ge=0)
    missing: tuple[Missing, ...]
    unchecked: tuple[str, ...] = ()
    valid: bool
    reasons: tuple[str, ...]

    @model_validator(mode="after")
    def _null_has_a_reason(self) -> Gpu:
        named = {missing.figure for missing in self.missing}
        for figure in GPU_FIGURES:
            if (getattr(self, figure) is None) != (figure in named):
                raise ValueError(f"{figure} must be either measured or in 'missing', with the reason")
        if self.valid == bool(self.reasons):
            raise ValueError("'valid' contradicts 'reasons'")
        return self


class LongKernel(Record):
    """All kernels of one name: how many, their time inside the window, and its fraction of all kernels' time."""

    name: str
    n: int
    total_s: float
    share: float


class Trace(Record):
    """The profiler's figures of one GPU; null where one can't be computed, and the reason beside it.

    `achieved_occupancy_rounded_pct` is from the trace's own whole per cent. With a CUDA graph one profiler step is one
    replay of `training_steps_per_step` steps. `longest_kernels` are the ten names with the most time.
    """

    gpu_utilization_pct: float = Field(ge=0, le=100)
    sm_efficiency_pct: float | None = Field(ge=0, le=100)
    sm_efficiency_missing_because: str | None = None
    achieved_occupancy_pct: float | None = Field(ge=0, le=100)
    achieved_occupancy_rounded_pct: float | None = Field(ge=0, le=100)
    occupancy_missing_because: str | None = None
    steps: int = Field(ge=1)
    training_steps_per_step: float = Field(ge=1)
    kernels_per_step: float = Field(ge=0)
    window_s: float = Field(gt=0)
    longest_kernels: tuple[LongKernel, ...]


class Cpu(Record):
    """CPU seconds of the timed regions (this process and its children) and peak resident memory of the cell."""

    core_s: float
    rss_peak_bytes: int | None
    rss_missing_because: str | None = None


class Criterion(Record):
    """One criterion of the cost-aware definition: its state, and the ratio over the reference's with its 95 % bounds.

    The ratio is null for a criterion that has none (layers) or was not measured; without bounds, `because` says why.
    """

    state: State
    ratio: float | None
    low: float | None
    high: float | None
    because: str | None = None


class Criteria(Record):
    """The cost-aware definition's three criteria."""

    layers: Criterion
    time: Criterion
    demand: Criterion


class Depth(Record):
    """Shallow or deep, by both definitions; see `nets.depth`. `reference`: the id of the cell it was compared with."""

    classical: Verdict
    cost_aware: CostAware | None
    criteria: Criteria | None
    reference: str | None
    because: str


class Outcome(Record):
    """How the cell ended: `failed` is a broken expectation, `error` a cell that could not be finished."""

    status: Status
    failures: tuple[str, ...] = ()


class Result(Record):
    """The whole truth about one cell of one run."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    kind: Literal["train_eval"] = "train_eval"
    cell: CellFacts
    protocol: Protocol
    pipeline: Literal["resident", "article"]
    execution: Execution
    device: Device
    where: Where
    network: Network | None
    rounds: tuple[Round, ...]
    accuracy: Accuracy | None
    band: Band | None
    band_missing_because: str | None
    gpu: Gpu | None
    gpu_missing_because: str | None
    trace: Trace | None
    trace_missing_because: str | None
    cpu: Cpu | None
    depth: Depth | None
    outcome: Outcome

    @property
    def id(self) -> str:
        """The cell's id, `dataset-model`."""
        return f"{self.cell.dataset}-{self.cell.model}"

    def judged(self, status: Status, failures: Iterable[str]) -> Result:
        """This result with another outcome."""
        return self.model_copy(update={"outcome": Outcome(status=status, failures=tuple(failures))})


R = TypeVar("R", bound=Record)


class Unusable(Exception):
    """A file or record that is not what it should be; the message names the file and the field."""


def parse(record: object, source: str, kind: type[R] = Result) -> R:  # type: ignore[assignment]  # a default for R
    """A record as read from JSON -> its kind. Raises Unusable, naming `source` and the first field that doesn't fit."""
    if not isinstance(record, dict) or "schema" not in record:
        raise Unusable(f"{source}: not a record of nets: it has no field 'schema'")
    if record["schema"] != SCHEMA:
        raise Unusable(f"{source}: field 'schema' is {record['schema']!r}; this version of nets reads {SCHEMA}")
    try:
        return kind.model_validate_json(json.dumps(record))
    except ValidationError as error:
        raise Unusable(f"{source}: {first_fault(error)}") from error


def first_fault(error: ValidationError, prefix: str = "") -> str:
    """The first field that doesn't fit, what is wrong with it, and what was found there."""
    first = error.errors(include_url=False)[0]
    field = prefix + ".".join(str(part) for part in first["loc"])
    return f"field '{field}': {first['msg']} (found {first['input']!r:.80})"


def json_schema() -> dict[str, Any]:
    """The record's JSON Schema, as shipped in record.schema.json."""
    return Result.model_json_schema(mode="serialization")


def finite(value: float) -> float | None:
    """The value, or None where it is not finite: NaN is not JSON."""
    return value if math.isfinite(value) else None
