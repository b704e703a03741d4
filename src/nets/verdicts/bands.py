"""Accuracies -> inside, below, above or diverged; pure, but for reading and writing the bands file.

A training result is random, so an accuracy is judged against a distribution: n reference runs with distinct
seeds. The mean of R new rounds is expected inside the prediction interval
mean ± t(1 - alpha/2, n - 1) · s · sqrt(1/n + 1/R), for accuracies close to normal; s is the sample's (ddof = 1).
The idea is MLPerf's reference convergence points.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import tomlkit
from pydantic import Field, ValidationError, model_validator

from nets.errors import Unusable
from nets.records import durable
from nets.records.base import Record, first_fault
from nets.records.cell import Accuracy, Band, Protocol, Result
from nets.records.consistency import band_side
from nets.records.foreign import read_toml
from nets.stats.inference import ALPHA, prediction_interval

SCHEMA = 1


class ReferenceRuns(Record):
    """Accuracies of runs of one cell under one protocol that differ in their seeds alone, and how they were made."""

    cell: str
    protocol: str
    epochs: int
    batch_size: int
    lr: float
    source: str
    pipeline: str
    torch: str
    device: str
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_accuracy_a_seed(self) -> ReferenceRuns:
        if len(self.seeds) != len(self.accuracies):
            raise ValueError(f"{len(self.seeds)} seeds, but {len(self.accuracies)} accuracies")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("a seed occurs twice")
        if not all(0 <= accuracy <= 1 for accuracy in self.accuracies):
            raise ValueError("an accuracy lies outside [0, 1]")
        return self


class Bands(Record):
    """All runs of a bands file."""

    schema_: Literal[1] = Field(alias="schema")
    runs: tuple[ReferenceRuns, ...] = ()

    def accuracies(self, cell: str, protocol: Protocol) -> tuple[float, ...]:
        """Every reference accuracy of a cell, trained as this protocol says."""
        return tuple(
            accuracy
            for runs in self.runs
            if (runs.cell, runs.protocol, runs.epochs, runs.batch_size, runs.lr)
            == (cell, protocol.name, protocol.epochs, protocol.batch_size, protocol.lr)
            for accuracy in runs.accuracies
        )


def read_bands(path: Path) -> Bands:
    """Read a bands file. Raises Unusable, naming the file and the field."""
    table = read_toml(path)
    if isinstance(table.get("schema"), int) and table["schema"] != SCHEMA:
        raise Unusable(f"{path}: field 'schema' is {table['schema']}; this version of nets reads {SCHEMA}")
    try:
        return Bands.model_validate(table, strict=False)
    except ValidationError as error:
        raise Unusable(f"{path}: {first_fault(error)}") from error


def band_verdict(
    accuracy: Accuracy, n_rounds: int, *, diverged: bool, reference: Sequence[float], alpha: float = ALPHA
) -> Band:
    """The band of a cell's reference runs, and the verdict on the mean accuracy of its rounds."""
    low, high = prediction_interval(reference, n_rounds, alpha)
    verdict = "diverged" if diverged else band_side(accuracy.mean, low, high)
    return Band(low=low, high=high, n=len(reference), alpha=alpha, verdict=verdict)


def band_of(
    cell: str, protocol: Protocol, accuracy: Accuracy, *, diverged: bool, bands: Bands | str
) -> tuple[Band | None, str | None]:
    """A cell's band and its verdict on all `protocol.rounds` rounds, or None and why there is none.

    `bands`: of the bands file, or why there is none.
    """
    if isinstance(bands, str):
        return None, bands
    if protocol.name == "custom":
        return None, "a custom protocol has no reference runs"
    reference = bands.accuracies(cell, protocol)
    if len(reference) < 2:
        return None, f"the bands file has {len(reference)} runs of {cell} under {protocol.name}, and 2 are needed"
    return band_verdict(accuracy, protocol.rounds, diverged=diverged, reference=reference), None


def band_failures(result: Result) -> list[str]:
    """The side on which the mean accuracy left its band, in a sentence; a round that diverged has one of its own."""
    band, accuracy = result.band, result.accuracy
    if band is None or accuracy is None or band.verdict not in _MEANING:
        return []
    return [
        f"{result.id}: mean accuracy {accuracy.mean:.4f} of {len(result.rounds)} rounds is {band.verdict} its band "
        f"[{band.low:.4f}, {band.high:.4f}] ({band.n} reference runs, alpha {band.alpha:g}): {_MEANING[band.verdict]}"
    ]


_MEANING = {
    "below": "a broken training looks like this",
    "above": "test images in the training set look like this",
}


COMMENT = """\
# Reference accuracies, one table a group of like runs; `nets bands` measures and adds them.
# The band of a cell and protocol is the prediction interval of all its runs: see src/nets/verdicts/bands.py.
"""


def write_bands(file: Path, groups: Iterable[ReferenceRuns]) -> None:
    """Write or replace a bands file, ordered by protocol, cell and source."""
    ordered = sorted(groups, key=lambda runs: (runs.protocol, runs.cell, runs.source, runs.device, runs.torch))
    tables = [runs.model_dump(mode="json") for runs in ordered]
    durable.write(file, COMMENT + tomlkit.dumps({"schema": SCHEMA, "runs": tables}))
