"""A run's cells in one wide table, for a page: every figure that has a column, each of which can be sorted by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from nets.records.cell import Result
from nets.report.document import Bar, Cell, Column, Row, Table, Tone
from nets.report.gpu import published_beside
from nets.report.run import accuracy_text, layers_text
from nets.report.text import ABSENT, decimals

NOTHING = Cell(ABSENT)


@dataclass(frozen=True, slots=True)
class _Column:
    """`cell`: of a result; a column that has nothing for any of them is left out."""

    heading: str
    cell: Callable[[Result], Cell]
    right: bool = True
    dim: bool = False


def wide_table(results: Sequence[Result]) -> Table:
    """A row for each cell; beside the article's protocol, the article's own figures."""
    columns = [column for column in COLUMNS if any(column.cell(result) != NOTHING for result in results)]
    if any(published_beside(result) is not None for result in results):
        columns += PUBLISHED_COLUMNS
    return Table(
        tuple(Column(column.heading, column.right, "dim" if column.dim else "plain") for column in columns),
        tuple(Row(tuple(column.cell(result) for column in columns)) for result in results),
        "The cells: a network on a data set each",
    )


def _number(value: float | None, text: Callable[[float], str]) -> Cell:
    return NOTHING if value is None else Cell(text(value), value=value)


def spread_text(values: Sequence[float]) -> str:
    """The mean, and the standard deviation where there are several values, both to the same place."""
    mean = fmean(values)
    spread = "" if len(values) < 2 else f" ± {stdev(values):.{decimals(mean)}f}"
    return f"{mean:.{decimals(mean)}f}{spread}"


def _layers(result: Result) -> Cell:
    network = result.network
    return Cell(layers_text(network), value=None if network is None else network.layers)


def _parameters(result: Result) -> Cell:
    return _number(None if result.network is None else result.network.parameters, "{:,}".format)


def _macs(result: Result) -> Cell:
    return _number(None if result.network is None else result.network.macs_per_image, "{:,}".format)


def _time(result: Result) -> Cell:
    times = [round_.time_s for round_ in result.rounds]
    return Cell(spread_text(times), value=fmean(times)) if times else NOTHING


def images_per_s(result: Result) -> float | None:
    """Images trained in a second, mean over the rounds; None without rounds or a known number of images."""
    n_train = result.cell.n_train
    speeds = [round_.train_s for round_ in result.rounds if round_.train_s > 0]
    return fmean(n_train * result.protocol.epochs / seconds for seconds in speeds) if n_train and speeds else None


def _accuracy(result: Result) -> Cell:
    if result.accuracy is None:
        return NOTHING
    mean, band = result.accuracy.mean, result.band
    bar = None
    if band is not None and band.low < band.high:
        half = (band.high - band.low) / 2
        bar = Bar(mean, band.low, band.high, min(band.low - half, mean), max(band.high + half, mean))
    tone: Tone = "bad" if band is not None and band.verdict != "inside" else "plain"
    return Cell(accuracy_text(result), tone=tone, value=mean, bar=bar)


def _classical(result: Result) -> Cell:
    verdict = None if result.depth is None else result.depth.classical
    return Cell(verdict or ABSENT)


def _by_cost(result: Result) -> Cell:
    verdict = None if result.depth is None else result.depth.cost_aware
    return Cell(verdict or ABSENT)


def _energy(result: Result) -> Cell:
    gpu = result.gpu
    if gpu is None:
        return NOTHING
    return _number(gpu.energy_j, ("{:,.1f} J" if gpu.valid else "{:,.1f} J !").format)


def _utilization(result: Result) -> Cell:
    return _number(None if result.trace is None else result.trace.gpu_utilization_pct, "{:.2f} %".format)


def _outcome(result: Result) -> Cell:
    return Cell(result.outcome.status, "good" if result.outcome.status == "passed" else "bad")


def _published_time(result: Result) -> Cell:
    published = published_beside(result)
    return _number(None if published is None else published.time_s, "{:.2f}".format)


def _published_accuracy(result: Result) -> Cell:
    published = published_beside(result)
    return _number(None if published is None else published.accuracy, "{:.4f}".format)


COLUMNS = (
    _Column("cell", lambda result: Cell(result.id), right=False),
    _Column("layers", _layers),
    _Column("trainable parameters", _parameters),
    _Column("multiply-accumulates an image", _macs),
    _Column("time of a round (s)", _time),
    _Column("images a second, training", lambda result: _number(images_per_s(result), "{:,.0f}".format)),
    _Column("test accuracy in its band", _accuracy),
    _Column("classical", _classical, right=False),
    _Column("by cost", _by_cost, right=False),
    _Column("GPU utilization", _utilization),
    _Column("energy of a round", _energy),
    _Column("outcome", _outcome, right=False),
)
PUBLISHED_COLUMNS = (
    _Column("article: time (s), Tesla K80", _published_time, dim=True),
    _Column("article: accuracy", _published_accuracy, dim=True),
)
