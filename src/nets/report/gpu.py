"""The GPU summary, like the article's: a column for each network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nets.cells.catalog import CELLS, Published
from nets.records.cell import Result
from nets.report.document import Table, Tone, row, table
from nets.report.text import ABSENT

_PUBLISHED = {cell.id: cell.published for cell in CELLS}


def published_beside(result: Result) -> Published | None:
    """The article's figures for a cell that was trained as in the article; None for any other."""
    return _PUBLISHED.get(result.id) if result.protocol.name == "article" else None


def published_for(result: Result) -> Published | None:
    """The article's figures for a cell, however it was trained."""
    return _PUBLISHED.get(result.id)


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the summary; `value`: a record's, None where it was not measured. `of_driver`: unfit if `gpu` is.

    `why`: the reason for None, where the record has one for this figure alone.
    """

    heading: str
    value: Callable[[Result], str | None]
    of_driver: bool = False
    tone: Tone = "plain"
    why: Callable[[Result], str | None] = lambda result: None


def gpu_tables(results: Sequence[Result]) -> list[Table]:
    """A summary for each data set with a cell that ran on a GPU."""
    on_gpu = [result for result in results if result.device.type == "cuda"]
    datasets = dict.fromkeys(result.cell.dataset for result in on_gpu)
    return [_table(name, [result for result in on_gpu if result.cell.dataset == name]) for name in datasets]


def gpu_notes(results: Iterable[Result]) -> list[str]:
    """Why a figure is absent or marked, a sentence for all cells with the same reason."""
    cells: dict[str, list[str]] = {}
    for result in results:
        if result.device.type != "cuda":
            continue
        if result.gpu is None:
            sentences = [f"no figure of the driver: {result.gpu_missing_because}"]
        else:
            sentences = [f"! not fit for comparison: {reason}" for reason in result.gpu.reasons]
            sentences += [f"not checked: {what}" for what in result.gpu.unchecked]
        if result.trace is None:
            sentences.append(f"no trace: {result.trace_missing_because}")
        elif result.trace.events_left_out:
            sentences.append(f"trace: {result.trace.events_left_out} events left out: {result.trace.left_out_because}")
        for sentence in (*sentences, *_not_measured(result)):
            cells.setdefault(sentence, []).append(result.id)
    return [f"{sentence} ({', '.join(ids)})" for sentence, ids in cells.items()]


def _not_measured(result: Result) -> list[str]:
    """A sentence for all single figures that are absent for the same reason."""
    figures: dict[str, list[str]] = {}
    for line in ROWS:
        because = line.why(result)
        if because is not None and line.value(result) is None:
            figures.setdefault(because, []).append(line.heading)
    return [f"{', '.join(headings)}: not measured: {because}" for because, headings in figures.items()]


def _table(dataset: str, results: Sequence[Result]) -> Table:
    models = [result.cell.model for result in results]
    rows = []
    for line in ROWS:
        values = [_marked(line, result) for result in results]
        if any(value is not None for value in values):
            rows.append(row([line.heading, *(ABSENT if value is None else value for value in values)], line.tone))
    return replace(table([f"GPU summary: {dataset}", *models], rows, right=models), by_column=True)


def _marked(row: _Row, result: Result) -> str | None:
    value = row.value(result)
    spoilt = row.of_driver and result.gpu is not None and not result.gpu.valid
    return f"{value} !" if value is not None and spoilt else value


_percent = "{:.2f} %".format


def _figure(part: str, field: str, text: Callable[[Any], str] = _percent) -> Callable[[Result], str | None]:
    """A field of a part of the record, or of the article's figures for the cell (`published`)."""

    def shown(result: Result) -> str | None:
        owner = published_beside(result) if part == "published" else getattr(result, part)
        value = getattr(owner, field, None)
        return None if value is None else text(value)

    return shown


def _of_monitor(heading: str, field: str, text: Callable[[Any], str] = _percent, *, of_driver: bool = False) -> _Row:
    """A figure of the monitor; where it is absent the record says why."""

    def why(result: Result) -> str | None:
        missing = result.gpu.missing if result.gpu is not None else ()
        return next((each.because for each in missing if each.figure == field), None)

    return _Row(heading, _figure("gpu", field, text), of_driver, why=why)


def _of_driver(heading: str, field: str, text: Callable[[Any], str] = _percent) -> _Row:
    return _of_monitor(heading, field, text, of_driver=True)


def _of_trace(heading: str, field: str, because: str, text: Callable[[Any], str] = _percent) -> _Row:
    """A figure of the trace; the record's field `because` says why it is absent."""
    return _Row(heading, _figure("trace", field, text), why=lambda result: getattr(result.trace, because, None))


def _window(result: Result) -> str | None:
    return None if result.gpu is None else f"{result.gpu.window} {result.gpu.window_s:.1f} s"


def _training_energy(result: Result) -> str | None:
    """The energy of training one network: that of a step in the soak, times the steps of a round."""
    per_step_j = result.gpu.energy_per_step_j if result.gpu is not None else None
    if per_step_j is None or result.cell.n_train is None:
        return None
    n_steps = -(-result.cell.n_train // result.protocol.batch_size) * result.protocol.epochs
    return f"{per_step_j * n_steps:.1f} J"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.2f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.1f} MiB"


ROWS = (
    _Row("GPU", _figure("device", "name", str)),
    _Row("memory", _figure("device", "memory_total_bytes", _size)),
    _Row("compute capability", _figure("device", "compute_capability", str)),
    _Row("SMs", _figure("device", "n_sms", str)),
    _Row("trace: GPU utilization", _figure("trace", "gpu_utilization_pct")),
    _Row("  the article's, Tesla K80", _figure("published", "gpu_utilization_pct"), tone="dim"),
    _of_trace("trace: est. SM efficiency", "sm_efficiency_pct", "sm_efficiency_missing_because"),
    _Row("  the article's", _figure("published", "sm_efficiency_pct"), tone="dim"),
    _of_trace("trace: est. achieved occupancy", "achieved_occupancy_pct", "occupancy_missing_because"),
    _Row("  the article's", _figure("published", "achieved_occupancy_pct"), tone="dim"),
    _of_trace(
        "trace: kernels' time left over",
        "leftover_share",
        "leftover_missing_because",
        lambda share: f"{100 * share:.2f} %",
    ),
    _Row("trace: kernels a profiler step", _figure("trace", "kernels_per_step", "{:.1f}".format)),
    _Row("NVML: window", _window),
    _of_driver("NVML: utilization", "utilization_pct"),
    _of_driver("NVML: SM utilization (GPM)", "sm_utilization_pct"),
    _of_driver("NVML: SM occupancy (GPM)", "sm_occupancy_pct"),
    _of_driver("NVML: DRAM bandwidth (GPM)", "dram_bandwidth_pct"),
    _of_driver("NVML: mean power", "power_w", "{:.1f} W".format),
    _of_driver("NVML: energy of a round", "energy_j", "{:.1f} J".format),
    _of_driver("NVML: energy of a step", "energy_per_step_j", "{:.4g} J".format),
    _Row("  times the steps of a training", _training_energy, of_driver=True),
    _of_monitor("torch: peak memory, training", "memory_peak_training_bytes", _size),
    _of_monitor("torch: peak memory, evaluation", "memory_peak_evaluation_bytes", _size),
)
