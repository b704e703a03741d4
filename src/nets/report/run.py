"""A run as a terminal shows it, from records alone: the table of cells, and what was timed in turns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, median

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from nets.records.cell import Result
from nets.records.comparisons import Growth, SideBySide, TimedSide
from nets.report.document import terminal_lines
from nets.report.gpu import PUBLISHED, gpu_tables
from nets.report.gpu import gpu_notes as gpu_notes


def run_lines(results: Sequence[Result], *, width: int, color: bool) -> list[str]:
    """The article's table with the article's own figures beside ours, and below it whatever failed; lines of text."""
    if not results:
        return []
    parts: list[Text | Table] = [_caption(results), table(results)]
    if any(PUBLISHED.get(result.id) for result in results):
        parts.append(Text("article: its protocol and pipeline on a Tesla K80, mean of 3 rounds", style="dim"))
    parts += gpu_tables(results)
    parts += [Text(note, style="yellow") for note in gpu_notes(results)]
    parts += [Text(line) for line in disagreements(results)]
    parts += [
        Text(f"{result.outcome.status}: {failure}", style="red")
        for result in results
        for failure in result.outcome.failures
    ]
    disturbed = [result.id for result in results if any(round_.disturbed for round_ in result.rounds)]
    if disturbed:
        parts.append(Text(f"disturbed by other processes while timed: {', '.join(disturbed)}", style="yellow"))
    return terminal_lines(parts, width=width, color=color)


def disagreements(results: Iterable[Result]) -> list[str]:
    """A sentence for each cell that is shallow by one definition and deep by the other, and why."""
    return [
        f"{result.id}: {result.depth.classical} by the classical definition, {result.depth.cost_aware} by cost: "
        f"{result.depth.because}"
        for result in results
        if result.depth is not None and {result.depth.classical, result.depth.cost_aware} == {"shallow", "deep"}
    ]


def not_run_lines(missing: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each reason why cells did not run."""
    cells: dict[str, list[str]] = {}
    for cell, because in missing:
        cells.setdefault(because, []).append(cell)
    return [f"not run: {', '.join(ids)}: {because}" for because, ids in cells.items()]


def table(results: Sequence[Result]) -> Table:
    """One row a cell: dataset, network, layers, parameters, time, accuracy, type, GPU utilization."""
    compared = any(PUBLISHED.get(result.id) for result in results)
    grid = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("dataset", "network"):
        grid.add_column(heading, no_wrap=True)
    for heading in ("layers", "trainable\nparameters", "time (s)", "test\naccuracy"):
        grid.add_column(heading, justify="right", no_wrap=True)
    grid.add_column("classical\ntype", no_wrap=True)
    grid.add_column("type\nby cost", no_wrap=True)
    grid.add_column("GPU\nutilization", justify="right", no_wrap=True)
    grid.add_column("outcome", no_wrap=True)
    if compared:
        for heading in ("article:\ntime (s)", "article:\naccuracy", "article:\nGPU util."):
            grid.add_column(heading, justify="right", no_wrap=True, style="dim")
    for result in results:
        cells = (*_row(result), *(_published(result) if compared else ()))
        grid.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))  # a str would be markup
    return grid


def _caption(results: Iterable[Result]) -> Text:
    """What all rows share."""
    first = next(iter(results))
    rounds = sorted({len(result.rounds) for result in results})
    counted = "–".join(str(n) for n in dict.fromkeys((rounds[0], rounds[-1])))
    of_rounds = "one round" if counted == "1" else f"mean of {counted} rounds ± standard deviation"
    return Text(
        f"protocol {first.protocol.name}, pipeline {first.pipeline}, {first.device.type}: {first.device.name}, "
        f"{of_rounds}"
    )


def _row(result: Result) -> tuple[str | Text, ...]:
    network, depth = result.network, result.depth
    return (
        result.cell.dataset,
        result.cell.model,
        "–" if network is None else str(network.layers),
        "–" if network is None else f"{network.parameters:,}",
        "–" if not result.rounds else f"{fmean(r.time_s for r in result.rounds):.2f}",
        _accuracy(result),
        "–" if depth is None else depth.classical,
        "–" if depth is None or depth.cost_aware is None else depth.cost_aware,
        _utilization(result),
        Text(result.outcome.status, style="green" if result.outcome.status == "passed" else "red"),
    )


def _utilization(result: Result) -> str:
    """The trace's, as the article's is; the driver's stands in the GPU summary."""
    return "–" if result.trace is None else f"{result.trace.gpu_utilization_pct:.2f} %"


def _accuracy(result: Result) -> str:
    if result.accuracy is None:
        return "–"
    spread = "" if result.accuracy.std is None else f" ± {result.accuracy.std:.4f}"
    return f"{result.accuracy.mean:.4f}{spread}"


def _published(result: Result) -> tuple[str, str, str]:
    published = PUBLISHED.get(result.id)
    if published is None:
        return "", "", ""
    used = "–" if published.gpu_utilization_pct is None else f"{published.gpu_utilization_pct:.2f} %"
    return f"{published.time_s:.2f}", f"{published.accuracy:.4f}", used


def side_by_side_lines(records: Iterable[SideBySide]) -> list[str]:
    """A line for each side-by-side record: both sides' seconds, and their ratio."""
    lines = []
    for record in records:
        ratio = record.ratio
        interval = f"{ratio.low:.4f}–{ratio.high:.4f}" if ratio.low is not None else "too few pairs for an interval"
        sides = ", ".join(_side(side) for side in record.sides)
        lines.append(
            f"{record.id}: {record.of}: {ratio.median:.4f} "
            f"({interval}, {ratio.confidence:.0%}, {ratio.n} pairs; {sides}; "
            f"{record.device.type}: {record.device.name})"
        )
    return lines


def _side(side: TimedSide) -> str:
    how = f" on {side.execution.threads} threads" if side.execution is not None and side.execution.threads > 1 else ""
    return f"{side.name}{how} {median(side.seconds) * 1e3:.3f} ms a {side.per}"


def growth_lines(records: Iterable[Growth]) -> list[str]:
    """A table for each sweep: by batch size, then by set size."""
    lines: list[str] = []
    for record in records:
        lines += [
            f"{record.id}, pipeline {record.pipeline}, {record.device.type}: {record.device.name}: the ceiling is "
            f"{record.ceiling_images_per_s:,.0f} images/s:",
            f"a large matrix product's {median(record.matmul_flop_per_s) / 1e9:,.0f} GFLOP/s "
            f"over {record.training_flop_per_image / 1e6:.2f} MFLOP an image",
            f"{'batch size':>10} {'set size':>9} {'mode':>6} {'threads':>7} {'ms a step':>10} {'images/s':>12} "
            f"{'of ceiling':>10}",
        ]
        lines += [
            f"{point.batch_size:>10,} {point.n_train:>9,} {point.mode:>6} {point.threads:>7} "
            f"{median(point.step_s) * 1e3:>10.3f} {point.images_per_s:>12,.0f} {record.share(point):>10.1%}"
            for point in (*record.by_batch_size, *record.by_set_size)
        ]
    return lines
