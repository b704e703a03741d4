"""The record of a cell (schema 3): frozen, typed, and refused by the name of the field that doesn't fit.

Units are in the names: `_s`, `_pct`, `_bytes`, `_j`, `_w`; fractions of 1 carry no suffix. Null means not
measured, and a field beside it says why. `extra_info` of each benchmark in a pytest-benchmark JSON is one
`Result`; its JSON Schema is shipped as `nets/records/record.schema.json`.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean, stdev
from typing import Any, Literal

from pydantic import BaseModel, Field

from nets.records.base import FROZEN, Record
from nets.records.gpu import Gpu, Trace
from nets.records.predictions import Predictions

Verdict = Literal["shallow", "deep"]


class Protocol(BaseModel):
    """How a cell is trained: round i uses seed + i.

    Source of the article's values: ARTICLE's protocol table (Adam, cross-entropy, 3 rounds).
    """

    model_config = FROZEN

    name: Literal["quick", "article", "custom"]
    epochs: int = Field(ge=1, le=10_000)
    batch_size: int = Field(ge=1, le=1_000_000)
    optimizer: Literal["adam"] = "adam"
    lr: float = Field(default=1e-3, gt=0)
    rounds: int = Field(default=3, ge=1, le=1_000)
    seed: int = Field(default=0, ge=0, lt=2**32)

    def changed(self, *, epochs: int | None = None, batch_size: int | None = None, lr: float | None = None) -> Protocol:
        """This protocol with other epochs, batch size or rate; named custom if any of them differs."""
        update = {
            "epochs": self.epochs if epochs is None else epochs,
            "batch_size": self.batch_size if batch_size is None else batch_size,
            "lr": self.lr if lr is None else lr,
        }
        same = all(getattr(self, field) == value for field, value in update.items())
        return self if same else Protocol(**{**self.model_dump(), **update, "name": "custom"})

    def repeated(self, *, rounds: int | None = None, seed: int | None = None) -> Protocol:
        """This protocol with another number of rounds or first seed; the name stays."""
        return Protocol(
            **{
                **self.model_dump(),
                "rounds": self.rounds if rounds is None else rounds,
                "seed": self.seed if seed is None else seed,
            }
        )


Status = Literal["passed", "failed", "error"]
BandVerdict = Literal["inside", "below", "above", "diverged"]
State = Literal["holds", "fails", "undecided"]
CostAware = Verdict | Literal["undecided"]


class CellFacts(Record):
    """Which cell, and which bytes it was trained on; null where the data could not be loaded."""

    model: str
    dataset: str
    n_train: int | None = None
    n_test: int | None = None
    data_sha256: str | None = None


class Execution(Record):
    """How the steps were executed.

    `tf32_products`, `tf32_convolutions`: whether matrix products and convolutions of float32 were allowed to round
    their factors to TF32, whoever allowed or forbade it; null on a CPU. `evaluation_batch_size`: images at once, fewer
    where memory ran out in the warm-up.
    """

    mode: str
    fallback_because: str | None = None
    memory_format: str
    tf32_products: bool | None
    tf32_convolutions: bool | None
    evaluation_batch_size: int = Field(ge=1)
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

    def __str__(self) -> str:
        return f"{self.type}: {self.name}"


class Where(Record):
    """The host, the xdist worker (null without one), how many work there at once, and the cores this one may use."""

    host: str
    worker: str | None
    n_workers: int = Field(ge=1)
    n_cores: int = Field(ge=1)


class Layer(Record):
    """A module that has parameters or multiplies: its name in the network, empty for the network itself, and its class.

    `output`: the shape of what it returned, of one image; null where that was no tensor. `parameters`: trainable ones
    of its own. `macs_per_image`: its multiply-accumulates that depend on the image. `on_longest_path`: as many of the
    longest path's weight operations, which are the network's layers, are its.
    """

    name: str
    kind: str
    output: tuple[int, ...] | None
    parameters: int = Field(ge=0)
    macs_per_image: int = Field(ge=0)
    on_longest_path: int = Field(ge=0)


class Network(Record):
    """What the network is made of; `parameters` are the trainable ones.

    `macs_per_image`: multiply-accumulates of one image's forward pass; `macs_per_batch`: those of work on weights
    alone, done once for a whole batch. Where the layers can't be counted, they and the operations are null, and
    `layers_missing_because` says why. `not_counted`: a sentence for each kind of product of input and weight that is
    written in another way than as one, and so is in neither. `declared_layers`: what the network's author says.
    `table`: its modules in the order in which they ran, empty in files of before.
    """

    parameters: int
    layers: int | None
    hidden_layers: int | None
    macs_per_image: int | None
    macs_per_batch: int | None = 0
    not_counted: tuple[str, ...] = ()
    layers_missing_because: str | None = None
    declared_layers: int | None = None
    table: tuple[Layer, ...] = ()

    def macs_of_an_image(self, batch_size: int) -> float | None:
        """Multiply-accumulates of an image in a batch, with its share of those that are done once for all of them."""
        if self.macs_per_image is None or self.macs_per_batch is None:
            return None
        return self.macs_per_image + self.macs_per_batch / batch_size


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
    """The accuracy range expected of the mean over the rounds, from `n` reference runs; see `nets.verdicts.bands`."""

    low: float
    high: float
    n: int
    alpha: float
    verdict: BandVerdict


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
    """Shallow or deep, by both definitions; see `nets.verdicts.depth`.

    `reference`: the id of the cell it was compared with. `classical`: null where the layers can't be counted.
    """

    classical: Verdict | None
    cost_aware: CostAware | None
    criteria: Criteria | None
    reference: str | None
    because: str


class Outcome(Record):
    """How the cell ended: `failed` is a broken expectation, `error` a cell that could not be finished."""

    status: Status
    failures: tuple[str, ...] = ()


class Result(Record):
    """The whole truth about one cell of one run. Files of before have neither predictions nor a reason."""

    schema_: Literal[3] = Field(default=3, alias="schema")
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
    predictions: Predictions | None = None
    predictions_missing_because: str | None = None
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


def json_schema() -> dict[str, Any]:
    """The record's JSON Schema, as shipped in record.schema.json."""
    return Result.model_json_schema(mode="serialization")
