"""A run's records in tables and sentences: the cells, and what was timed in turns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median

from nets.errors import counted
from nets.records.cell import Network, Protocol, Result
from nets.records.comparisons import Growth, SideBySide, TimedSide
from nets.report.document import MAX_MESSAGE, Cell, Part, Sentence, Table, row, sentences, table, without_empty_columns
from nets.report.gpu import gpu_notes, gpu_tables, published_beside, published_for
from nets.report.text import ABSENT, decimals


def run_parts(results: Sequence[Result]) -> list[Part]:
    """The article's table, with the article's own figures beside ours, and below it what failed."""
    if not results:
        return []
    parts: list[Part] = [_caption(results), without_empty_columns(_table(results), ABSENT)]
    if any(published_beside(result) for result in results):
        parts.append(Sentence("article: its protocol and pipeline on a Tesla K80, mean of 3 rounds", "dim"))
    parts += articles_protocol(results)
    parts += [*gpu_tables(results), *sentences(gpu_notes(results), "doubtful")]
    parts += sentences((*absent(results), *not_counted(results), *disagreements(results)), max_length=MAX_MESSAGE)
    parts += sentences(
        (f"{result.outcome.status}: {failure}" for result in results for failure in result.outcome.failures),
        "bad",
        MAX_MESSAGE,
    )
    disturbed = [result.id for result in results if any(round_.disturbed for round_ in result.rounds)]
    if disturbed:
        parts.append(Sentence(f"disturbed by other processes while timed: {', '.join(disturbed)}", "doubtful"))
    return parts


def articles_protocol(results: Sequence[Result]) -> list[Sentence]:
    """Where the article's figures are not shown: how its protocol differs from this one."""
    from nets.cells.catalog import protocol_for

    different = {
        f"{result.cell.dataset}: {_trained(result.protocol)} against "
        f"{_trained(protocol_for('article', result.cell.dataset))}"
        for result in results
        if published_for(result) is not None and published_beside(result) is None
    }
    if not different:
        return []
    return [
        Sentence(
            f"The article's figures are not set beside these, since its networks were trained otherwise "
            f"({'; '.join(sorted(different))}); --protocol article trains as it did."
        )
    ]


def _trained(protocol: Protocol) -> str:
    return f"{counted(protocol.epochs, 'epoch')}, batches of {protocol.batch_size}, learning rate {protocol.lr:g}"


def disagreements(results: Iterable[Result]) -> list[str]:
    """A sentence for each cell that is shallow by one definition and deep by the other, and why."""
    return [
        f"{result.id}: {result.depth.classical} by the classical definition, {result.depth.cost_aware} by cost: "
        f"{result.depth.because}"
        for result in results
        if result.depth is not None and {result.depth.classical, result.depth.cost_aware} == {"shallow", "deep"}
    ]


def absent(results: Sequence[Result]) -> list[str]:
    """Why there is no figure or no verdict in the table, a sentence for all that have the same reason.

    Layers that can't be counted are `not_counted`'s, and a GPU's figures `gpu_notes`'.
    """
    figures: dict[tuple[str, str], list[str]] = defaultdict(list)
    for result in results:
        for because, names in _absent(result).items():
            figures[because, ", ".join(names)].append(result.id)
    return [
        f"{names}: {because}" if len(ids) == len(results) > 1 else f"{', '.join(ids)}: {names}: {because}"
        for (because, names), ids in figures.items()
    ]


def _absent(result: Result) -> Mapping[str, list[str]]:
    """Reason -> what is absent for it."""
    unfinished = "the cell was not finished"
    found: dict[str, list[str]] = defaultdict(list)
    if result.network is None:
        found[unfinished] += ["layers", "parameters"]
    if not result.rounds:
        found[unfinished].append("time")
    if result.accuracy is None:
        found[unfinished].append("accuracy")
    depth = result.depth
    if depth is None:
        found[unfinished].append("type by both definitions")
    elif depth.cost_aware is None:
        found[depth.because].append("no type by cost" if depth.classical is not None else "no type")
    elif depth.cost_aware == "undecided":
        found[depth.because].append("type by cost undecided")
    if result.trace is None and result.device.type == "cpu":
        found[result.trace_missing_because or unfinished].append("GPU utilization not measured")
    return found


def not_counted(results: Iterable[Result]) -> list[str]:
    """A sentence for each cell whose layers, or a part of whose operations, can't be counted."""
    lines = []
    for result in results:
        if (network := result.network) is not None:
            lines += [f"{result.id}: not counted: {sentence}" for sentence in network.not_counted]
            if network.layers_missing_because is not None:
                lines.append(f"{result.id}: layers not counted: {network.layers_missing_because}")
    return lines


def not_run(missing: Iterable[tuple[str, str]]) -> list[Part]:
    """A sentence for each reason why cells did not run."""
    cells: dict[str, list[str]] = {}
    for cell, because in missing:
        cells.setdefault(because, []).append(cell)
    return sentences(
        (f"not run: {', '.join(ids)}: {because}" for because, ids in cells.items()), max_length=MAX_MESSAGE
    )


def _table(results: Sequence[Result]) -> Table:
    """A row for each cell."""
    numbers = ("layers", "trainable\nparameters", "time (s)", "test\naccuracy")
    published = ("article:\ntime (s)", "article:\naccuracy", "article:\nGPU util.")
    compared = published if any(published_beside(result) for result in results) else ()
    texts = ("classical\ntype", "type\nby cost", "GPU\nutil.", "outcome")
    rows = [row((*_cells(result), *(_published(result) if compared else ()))) for result in results]
    headings = ("dataset", "network", *numbers, *texts, *compared)
    return table(headings, rows, right=(*numbers, "GPU\nutil.", *compared), dim=compared, below=_BELOW)


_BELOW: Mapping[str, str | tuple[str, str]] = {
    "trainable\nparameters": "layers",
    "type\nby cost": ("classical\ntype", "by cost:"),
    "article:\ntime (s)": ("time (s)", "article:"),
    "article:\naccuracy": ("test\naccuracy", "article:"),
    "article:\nGPU util.": ("GPU\nutil.", "article:"),
}


def _caption(results: Sequence[Result]) -> Sentence:
    """What all rows share."""
    first = results[0]
    rounds = sorted({len(result.rounds) for result in results if result.rounds}) or [0]
    n = "–".join(str(n) for n in dict.fromkeys((rounds[0], rounds[-1])))
    of_rounds = "one round" if n == "1" else f"mean of {n} rounds ± standard deviation"
    return Sentence(f"protocol {first.protocol.name}, pipeline {first.pipeline}, {first.device}, {of_rounds}")


def _cells(result: Result) -> tuple[str | Cell, ...]:
    network, depth = result.network, result.depth
    return (
        result.cell.dataset,
        result.cell.model,
        layers_text(network),
        ABSENT if network is None else f"{network.parameters:,}",
        _time(result),
        accuracy_text(result),
        ABSENT if depth is None or depth.classical is None else depth.classical,
        ABSENT if depth is None or depth.cost_aware is None else depth.cost_aware,
        # the trace's figure, as in the article; the driver's is in the GPU summary
        ABSENT if result.trace is None else f"{result.trace.gpu_utilization_pct:.2f} %",
        Cell(result.outcome.status, "good" if result.outcome.status == "passed" else "bad"),
    )


def _time(result: Result) -> str:
    if not result.rounds:
        return ABSENT
    mean = fmean(round_.time_s for round_ in result.rounds)
    return f"{mean:.{decimals(mean)}f}"


def layers_text(network: Network | None) -> str:
    """How many layers it has, counted or declared."""
    if network is None or network.layers is not None:
        return ABSENT if network is None else str(network.layers)
    return ABSENT if network.declared_layers is None else f"{network.declared_layers} declared"


def accuracy_text(result: Result) -> str:
    """The mean over the rounds, and their standard deviation."""
    if result.accuracy is None:
        return ABSENT
    spread = "" if result.accuracy.std is None else f" ± {result.accuracy.std:.4f}"
    return f"{result.accuracy.mean:.4f}{spread}"


def _published(result: Result) -> tuple[str, str, str]:
    published = published_beside(result)
    if published is None:
        return "", "", ""
    used = ABSENT if published.gpu_utilization_pct is None else f"{published.gpu_utilization_pct:.2f} %"
    return f"{published.time_s:.2f}", f"{published.accuracy:.4f}", used


def side_by_side(records: Iterable[SideBySide]) -> list[Part]:
    """A sentence for each side-by-side record: the times of both, and their ratio."""
    texts = []
    for record in records:
        ratio = record.ratio
        interval = f"{ratio.low:.4f}–{ratio.high:.4f}" if ratio.low is not None else "too few pairs for an interval"
        sides = ", ".join(_side(side) for side in record.sides)
        texts.append(
            f"{record.id}: {record.of}: {ratio.median:.4f} "
            f"({interval}, {ratio.confidence:.0%}, {ratio.n} pairs; {sides}; "
            f"{record.device})"
        )
    return sentences(texts)


def _side(side: TimedSide) -> str:
    how = f" on {side.execution.threads} threads" if side.execution is not None and side.execution.threads > 1 else ""
    return f"{side.name}{how} {median(side.seconds) * 1e3:.3f} ms a {side.per}"


def growth(records: Iterable[Growth]) -> list[Part]:
    """A table for each record: by batch size, then by set size."""
    parts: list[Part] = []
    for record in records:
        parts += sentences(
            [
                f"{record.id}, pipeline {record.pipeline}, {record.device}: the ceiling is "
                f"{record.ceiling_images_per_s:,.0f} images/s:",
                f"a large matrix product's {median(record.matmul_flop_per_s) / 1e9:,.0f} GFLOP/s "
                f"over {record.training_flop_per_image / 1e6:.2f} MFLOP an image",
            ]
        )
        headings = ("batch size", "set size", "mode", "threads", "ms a step", "images/s", "of ceiling")
        rows = (
            (
                Cell(f"{point.batch_size:,}", value=point.batch_size),
                Cell(f"{point.n_train:,}", value=point.n_train),
                point.mode,
                str(point.threads),
                f"{median(point.step_s) * 1e3:.3f}",
                Cell(f"{point.images_per_s:,.0f}", value=point.images_per_s),
                f"{record.share(point):.1%}",
            )
            for point in (*record.by_batch_size, *record.by_set_size)
        )
        parts.append(table(headings, rows, right=headings))
    return parts
