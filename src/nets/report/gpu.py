"""The GPU summary, like the article's: a column a network, from records alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from nets.cells.catalog import CELLS
from nets.records.cell import Result

PUBLISHED = {cell.id: cell.published for cell in CELLS}
ABSENT = "–"


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the summary: what of a record it shows, None where that was not measured."""

    heading: str
    value: Callable[[Result], str | None]
    of_driver: bool = False
    style: str = ""


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
        said = [f"! not fit for comparison: {reason}" for reason in (result.gpu.reasons if result.gpu else ())]
        said += [f"not checked: {what}" for what in (result.gpu.unchecked if result.gpu else ())]
        if result.gpu is None:
            said.append(f"no figure of the driver: {result.gpu_missing_because}")
        if result.trace is None:
            said.append(f"no trace: {result.trace_missing_because}")
        for sentence in said:
            cells.setdefault(sentence, []).append(result.id)
    return [f"{sentence} ({', '.join(ids)})" for sentence, ids in cells.items()]


def _table(dataset: str, results: Sequence[Result]) -> Table:
    grid = Table(box=SIMPLE_HEAD, pad_edge=False)
    grid.add_column(f"GPU summary: {dataset}", no_wrap=True)
    for result in results:
        grid.add_column(Text(result.cell.model), justify="right", no_wrap=True)
    for row in ROWS:
        values = [_marked(row, result) for result in results]
        if any(value is not None for value in values):
            cells = [Text(ABSENT if value is None else value) for value in values]
            grid.add_row(Text(row.heading), *cells, style=row.style or None)
    return grid


def _marked(row: _Row, result: Result) -> str | None:
    value = row.value(result)
    spoilt = row.of_driver and result.gpu is not None and not result.gpu.valid
    return f"{value} !" if value is not None and spoilt else value


def _figure(part: str, field: str, form: str) -> Callable[[Result], str | None]:
    def shown(result: Result) -> str | None:
        value = getattr(getattr(result, part), field, None)
        return None if value is None else form.format(value)

    return shown


def _published(field: str) -> Callable[[Result], str | None]:
    def shown(result: Result) -> str | None:
        value = getattr(PUBLISHED.get(result.id), field, None)
        return None if value is None else f"{value:.2f} %"

    return shown


def _training_energy(result: Result) -> str | None:
    """Joules of training one network: the soak's joules a step, times a round's steps."""
    per_step_j = result.gpu.energy_per_step_j if result.gpu is not None else None
    if per_step_j is None or result.cell.n_train is None:
        return None
    n_steps = -(-result.cell.n_train // result.protocol.batch_size) * result.protocol.epochs
    return f"{per_step_j * n_steps:.1f} J"


def _gib(part: str, field: str) -> Callable[[Result], str | None]:
    def shown(result: Result) -> str | None:
        n_bytes = getattr(getattr(result, part), field, None)
        if n_bytes is None:
            return None
        return f"{n_bytes / 2**30:.2f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.1f} MiB"

    return shown


PCT = "{:.2f} %"
ROWS = (
    _Row("GPU", _figure("device", "name", "{}")),
    _Row("memory", _gib("device", "memory_total_bytes")),
    _Row("compute capability", _figure("device", "compute_capability", "{}")),
    _Row("SMs", _figure("device", "n_sms", "{}")),
    _Row("trace: GPU utilization", _figure("trace", "gpu_utilization_pct", PCT)),
    _Row("  the article's, Tesla K80", _published("gpu_utilization_pct"), style="dim"),
    _Row("trace: est. SM efficiency", _figure("trace", "sm_efficiency_pct", PCT)),
    _Row("  the article's", _published("sm_efficiency_pct"), style="dim"),
    _Row("trace: est. achieved occupancy", _figure("trace", "achieved_occupancy_pct", PCT)),
    _Row("  the article's", _published("achieved_occupancy_pct"), style="dim"),
    _Row("trace: kernels a profiler step", _figure("trace", "kernels_per_step", "{:.1f}")),
    _Row("NVML: window", _figure("gpu", "window", "{}")),
    _Row("NVML: utilization", _figure("gpu", "utilization_pct", PCT), of_driver=True),
    _Row("NVML: SM utilization (GPM)", _figure("gpu", "sm_utilization_pct", PCT), of_driver=True),
    _Row("NVML: SM occupancy (GPM)", _figure("gpu", "sm_occupancy_pct", PCT), of_driver=True),
    _Row("NVML: DRAM bandwidth (GPM)", _figure("gpu", "dram_bandwidth_pct", PCT), of_driver=True),
    _Row("NVML: mean power", _figure("gpu", "power_w", "{:.1f} W"), of_driver=True),
    _Row("NVML: energy of a round", _figure("gpu", "energy_j", "{:.1f} J"), of_driver=True),
    _Row("NVML: energy of a step", _figure("gpu", "energy_per_step_j", "{:.4g} J"), of_driver=True),
    _Row("  times the steps of a training", _training_energy, of_driver=True),
    _Row("torch: peak memory", _gib("gpu", "memory_peak_bytes")),
)
