"""Runs as one long table: a row a cell and metric, for spreadsheets, pandas and R; pure.

RFC 4180's format, with a newline alone at a line's end. Text that a spreadsheet would take for a formula begins with an
apostrophe, as OWASP advises (https://owasp.org/www-community/attacks/CSV_Injection); numbers are never changed.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from statistics import fmean, stdev
from typing import Any

from nets.gate.timing import TIMES
from nets.records.base import finite_values
from nets.records.cell import Result, Round
from nets.records.metrics import METRICS, Figure, driver_figure
from nets.records.run import Run
from nets.report.text import plain

MAX_TEXT = 10_000
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # spreadsheets take the full-width ones, too
_UNITS = {
    "s": "seconds",
    "bytes": "bytes",
    "j": "joules",
    "w": "watts",
    "mhz": "megahertz",
    "pct": "per cent",
    "fraction": "fraction of 1",
}
"""By the last part of a metric's name."""
_COUNTED = {
    "parameters": "trainable parameters",
    "layers": "layers",
    "hidden_layers": "layers",
    "macs_per_image": "multiply-accumulates",
    "macs_per_batch": "multiply-accumulates",
}
_OF_THE_DRIVER = (
    "memory_used_peak_bytes",
    "power_w",
    "sm_clock_mhz",
    "sm_utilization_pct",
    "sm_occupancy_pct",
    "dram_bandwidth_pct",
    "tensor_pct",
    "fp32_pct",
)
"""What the driver gives beside the figures that the gate compares."""


@dataclass(frozen=True, slots=True)
class Value:
    """A metric's columns; None is an empty field.

    `value`: of a metric of rounds the mean of all `n`, and `spread` their standard deviation (the sample's, ddof = 1).
    `window`: what a GPU's figure was taken over: the rounds (`timed`), a `soak`, or a `trace`. `because`: why there is
    no value. `unfit`: why there is one that should not be compared.
    """

    metric: str | None
    unit: str | None
    value: float | None
    n: int = 0
    spread: float | None = None
    window: str | None = None
    because: str | None = None
    unfit: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of one cell of one run; a cell that did not run has one row, without a metric."""

    file: str
    date: str | None
    commit: str | None
    dirty: str | None
    cell: str
    dataset: str | None
    network: str | None
    device: str | None
    torch: str | None
    protocol: str | None
    pipeline: str | None
    status: str
    of_metric: Value


HEADINGS = (*(field.name for field in fields(Row)[:-1]), *(field.name for field in fields(Value)))


def csv_text(rows: Iterable[Row]) -> str:
    """The table with its line of headings."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADINGS)
    for row in rows:
        *before, of_metric = astuple(row)
        writer.writerow(_inert(value) if isinstance(value, str) else value for value in (*before, *of_metric))
    return out.getvalue()


def json_rows(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The same as objects, texts as they are."""
    return [_object(*astuple(row)) for row in rows]


def _object(*columns: Any) -> dict[str, Any]:
    *before, of_metric = columns
    found = finite_values(dict(zip(HEADINGS, (*before, *of_metric), strict=True)))
    return {**found, "dirty": {"yes": True, "no": False}.get(found["dirty"])}


def run_rows(run: Run) -> Iterator[Row]:
    """A row for each metric of each of the run's cells, measured or not, and one for each cell that did not run."""
    dirty = {True: "yes", False: "no"}[run.commit.dirty] if run.commit.id else None
    of_run, torch = (run.source, run.ran, run.commit.id, dirty), run.versions.torch
    for result in run.cells:
        device = str(result.device)
        how = (device, torch, result.protocol.name, result.pipeline, result.outcome.status)
        for value in _values(result):
            yield Row(*of_run, result.id, result.cell.dataset, result.cell.model, *how, value)
    for cell, because in run.not_run:
        nothing = Value(None, None, None, because=because)
        yield Row(*of_run, cell, None, None, None, torch, None, None, "not run", nothing)


def _values(result: Result) -> Iterator[Value]:
    for of_part in (_of_rounds, _of_band, _of_network, _of_depth, _once):
        yield from of_part(result)


def _inert(text: str) -> str:
    """One line without control characters, which no spreadsheet takes for a formula."""
    shown = plain(text, MAX_TEXT)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def _of_rounds(result: Result) -> Iterator[Value]:
    """What each round has a value of."""
    n_rounds, n_disturbed = len(result.rounds), sum(round_.disturbed is True for round_ in result.rounds)
    unfit = f"other processes were busy during {n_disturbed} of {n_rounds} rounds" if n_disturbed else None
    for name, seconds in {**TIMES, "setup_s": _setup_s}.items():
        yield _mean(name, _UNITS["s"], result.rounds, seconds, unfit)
    yield _throughput(result, unfit)
    yield _mean("accuracy", _UNITS["fraction"], result.rounds, lambda round_: round_.accuracy)
    yield _mean("loss", "nats", result.rounds, lambda round_: round_.loss)
    yield _mean("train_accuracy", _UNITS["fraction"], result.rounds, lambda round_: _last(round_.train_accuracy))
    yield _mean("train_loss", "nats", result.rounds, lambda round_: _last(round_.train_loss))


def _throughput(result: Result, unfit: str | None) -> Value:
    """Of training."""
    name, unit = "training_images_per_s", "images a second"
    if result.cell.n_train is None or any(round_.train_s == 0 for round_ in result.rounds):
        return Value(name, unit, None, because="the number of images, or the time, is not known")
    n_images = result.cell.n_train * result.protocol.epochs
    return _mean(name, unit, result.rounds, lambda round_: n_images / round_.train_s, unfit)


def _setup_s(round_: Round) -> float:
    return round_.setup_s


def _last(of_epochs: Sequence[float | None]) -> float | None:
    """The last epoch's."""
    return of_epochs[-1] if of_epochs else None


def _mean(
    name: str,
    unit: str,
    rounds: Sequence[Round],
    value: Callable[[Round], float | None],
    unfit: str | None = None,
) -> Value:
    values = [found for round_ in rounds if (found := value(round_)) is not None]
    if not values or len(values) < len(rounds):
        diverged = f"not finite in {len(rounds) - len(values)} of {len(rounds)} rounds"
        return Value(name, unit, None, because=diverged if rounds else "the cell has no finished round")
    spread = stdev(values) if len(values) > 1 else None
    return Value(name, unit, fmean(values), n=len(values), spread=spread, unfit=unfit)


def _of_band(result: Result) -> Iterator[Value]:
    """Where the mean accuracy was expected; `n`: of how many reference runs."""
    for name in ("low", "high"):
        metric, unit = f"band_{name}", _UNITS["fraction"]
        if result.band is None:
            yield Value(metric, unit, None, because=result.band_missing_because or "not judged")
        else:
            yield Value(metric, unit, getattr(result.band, name), n=result.band.n)


def _of_network(result: Result) -> Iterator[Value]:
    network = result.network
    for name, unit in _COUNTED.items():
        value = getattr(network, name, None)
        because = "the network was not built" if network is None else network.layers_missing_because
        yield _single(name, unit, Figure(value, because))


def _of_depth(result: Result) -> Iterator[Value]:
    """The cost-aware definition's ratios over the reference network's."""
    criteria = None if result.depth is None else result.depth.criteria
    why_none = "it was not judged" if result.depth is None else result.depth.because
    for name in ("time", "demand"):
        criterion = None if criteria is None else getattr(criteria, name)
        ratio = Figure(None, why_none) if criterion is None else Figure(criterion.ratio, criterion.because)
        yield _single(f"{name}_over_reference", "ratio", ratio)


def _once(result: Result) -> Iterator[Value]:
    """What the record holds once: of the CPU, by the driver, and of the trace."""
    for metric in METRICS:
        window = "trace" if metric.name.startswith("trace_") else None
        yield _single(metric.name, _unit(metric.name), metric.of(result), window)
    for name in _OF_THE_DRIVER:
        yield _single(name, _unit(name), driver_figure(name)(result))
    trace = result.trace
    occupancy = Figure(None, result.trace_missing_because)
    kernels = occupancy
    if trace is not None:
        occupancy = Figure(trace.achieved_occupancy_pct, trace.occupancy_missing_because)
        kernels = Figure(trace.kernels_per_step, None)
    yield _single("trace_achieved_occupancy_pct", _UNITS["pct"], occupancy, "trace")
    yield _single("trace_kernels_per_step", "kernels", kernels, "trace")


def _unit(name: str) -> str:
    return _UNITS[name.rpartition("_")[2]]


def _single(name: str, unit: str, figure: Figure, window: str | None = None) -> Value:
    """A figure that there is one value of."""
    if figure.value is None:
        return Value(name, unit, None, because=figure.because or "not measured")
    return Value(name, unit, figure.value, n=1, window=figure.window or window, unfit=figure.unfit)
