"""The terminal's tables, from records alone."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from statistics import fmean

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nets.records.cell import Result
from nets.report.gpu import PUBLISHED, gpu_tables
from nets.report.gpu import notes as gpu_notes


def summary(results: Sequence[Result], *, width: int, color: bool) -> list[str]:
    """The article's table with the article's own figures beside ours, and below it whatever failed; lines of text."""
    if not results:
        return []
    out = io.StringIO()
    grid = table(results)
    wide = Console(width=1_000)
    summaries = gpu_tables(results)
    # a terminal that wraps a row beats a row that is cut
    needed = max(wide.measure(each).maximum for each in [grid, *summaries])
    console = Console(
        file=out, width=max(width, needed), force_terminal=color, color_system="standard" if color else None
    )
    console.print(_caption(results))
    console.print(grid)
    if any(PUBLISHED.get(result.id) for result in results):
        console.print(Text("article: its protocol and pipeline on a Tesla K80, mean of 3 rounds", style="dim"))
    for gpu_summary in summaries:
        console.print(gpu_summary)
    for note in gpu_notes(results):
        console.print(Text(note, style="yellow"), soft_wrap=True)
    for line in disagreements(results):
        console.print(Text(line), soft_wrap=True)
    for result in results:
        for failure in result.outcome.failures:
            console.print(Text(f"{result.outcome.status}: {failure}", style="red"), soft_wrap=True)
    disturbed = [result.id for result in results if any(round_.disturbed for round_ in result.rounds)]
    if disturbed:
        console.print(Text(f"disturbed by other processes while timed: {', '.join(disturbed)}", style="yellow"))
    return [line.rstrip() for line in out.getvalue().rstrip().splitlines()]


def disagreements(results: Iterable[Result]) -> list[str]:
    """A sentence for each cell that is shallow by one definition and deep by the other, and why."""
    return [
        f"{result.id}: {result.depth.classical} by the classical definition, {result.depth.cost_aware} by cost: "
        f"{result.depth.because}"
        for result in results
        if result.depth is not None and {result.depth.classical, result.depth.cost_aware} == {"shallow", "deep"}
    ]


def not_run(missing: Iterable[tuple[str, str]]) -> list[str]:
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
