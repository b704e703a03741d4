"""How each round's training went: its loss and its accuracy, epoch by epoch; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nets.errors import counted
from nets.records.cell import Result, Round
from nets.report.charts.marks import BAND_OPACITY, Datum, Layer, Mark, bars, in_pixels, key, lines, points, text, texts
from nets.report.charts.panels import MARGIN, SMALL, Axis, Panel, chart
from nets.report.charts.style import (
    BAD,
    BAND,
    INK,
    MUTED,
    Look,
    fitted,
    linear_ticks,
    looks,
    padded,
    slug,
    thinned,
)
from nets.report.document import Cell, Chart, Table, table
from nets.report.text import ABSENT, listed, plain

LEFT, GAP, HEIGHT, ROW_GAP = 42, 44, 96, 62
WIDTH = (SMALL - LEFT - GAP - MARGIN) / 2
MAX_ROUNDS, MAX_EPOCHS = 12, 100
"""That are drawn of a cell, evenly spread; of the epochs the first and the last are among them."""
Drawn = tuple[tuple[int, Round], ...]


def curves_charts(results: Sequence[Result]) -> list[Chart]:
    """A chart for each data set, with the loss and the accuracy of each cell that has a finished epoch."""
    trained = [each for each in results if any(round_.train_loss for round_ in each.rounds)]
    look = looks(result.cell.model for result in results)
    datasets = dict.fromkeys(result.cell.dataset for result in trained)
    return [_chart(name, [each for each in trained if each.cell.dataset == name], look) for name in datasets]


def _chart(dataset: str, cells: Sequence[Result], look: Mapping[str, Look]) -> Chart:
    marks = [Mark("a round", INK, "line"), Mark("test accuracy", INK)]
    marks += [Mark("its band", BAND, "bar", opacity=BAND_OPACITY)] if any(each.band for each in cells) else []
    legend = key(marks, SMALL - 2 * MARGIN, above=44, left=MARGIN - LEFT)
    panels: list[Panel] = []
    for result in cells:
        rounds = tuple(thinned(list(enumerate(result.rounds)), MAX_ROUNDS, lambda pair: pair[1].accuracy))
        of = look[result.cell.model]
        is_last = result is cells[-1]
        panels.append(_loss(result, rounds, of, legend.layers if not panels else (), is_last=is_last))
        panels.append(_accuracy(result, rounds, of, is_last=is_last))
    return chart(
        slug("curves", dataset), f"Training curves: {plain(dataset)}", _says(cells), _table(cells), panels,
        columns=2, left=LEFT, top=MARGIN + 44 + legend.height, bottom=46, row_gap=ROW_GAP, column_gap=GAP,
    )  # fmt: skip


def _loss(result: Result, rounds: Drawn, of: Look, legend: Sequence[Layer], *, is_last: bool) -> Panel:
    values = [each for _, round_ in rounds for each in round_.train_loss if each is not None]
    low, high = padded([*values, 0.0] if values else [0.0, 1.0])
    low = max(low, -0.02 * high)
    y = Axis(low, high, linear_ticks(max(low, 0), high, 4), end=HEIGHT)
    x = _epochs(result, 0, is_last=is_last)
    data = [
        {**_at(result, i, round_, epoch, "loss", value), "x": epoch, "y": value, "series": i, "colour": of.colour}
        for i, round_ in rounds
        for epoch, value in _thin(round_.train_loss)
    ]
    gaps = [_diverged(i, round_) for i, round_ in rounds if None in round_.train_loss]
    name = fitted(result.id, SMALL - 2 * MARGIN, 12, is_bold=True)
    head = in_pixels(texts([text(name, x=MARGIN - LEFT, y=-30)], is_bold=True))
    return Panel(WIDTH, HEIGHT, x, y, (head, _title("training loss"), *_drawn(data, of), *_named(gaps, x), *legend))


def _accuracy(result: Result, rounds: Drawn, of: Look, *, is_last: bool) -> Panel:
    n_epochs = max(len(round_.train_accuracy) for _, round_ in rounds)
    end = max(1.0, 0.22 * n_epochs)
    tests = [round_.accuracy for _, round_ in rounds]
    band = [] if result.band is None else [result.band.low, result.band.high]
    low, high = padded([*tests, *band, *(each for _, round_ in rounds for each in round_.train_accuracy)], least=0.01)
    y = Axis(low, high, linear_ticks(low, min(high, 1.0), 4), end=HEIGHT)
    x = _epochs(result, end, is_last=is_last)
    data = [
        {
            **_at(result, i, round_, epoch, "training accuracy", value),
            "x": epoch,
            "y": value,
            "series": i,
            "colour": of.colour,
        }
        for i, round_ in rounds
        for epoch, value in _thin(round_.train_accuracy)
    ]
    at = n_epochs + 0.62 * end
    dots: list[Datum] = [
        {
            "x": at, "y": round_.accuracy, "colour": of.colour, "fill": of.colour, "shape": of.shape,
            "title": f"{plain(result.id)}, round {i + 1} (seed {round_.seed}): test accuracy {round_.accuracy:.4f}",
        }
        for i, round_ in rounds
    ]  # fmt: skip
    bands: list[Datum] = []
    if (b := result.band) is not None:
        title = f"{plain(result.id)}: the band of the mean, {b.low:.4f} to {b.high:.4f}"
        ends = {"x": at - 0.33 * end, "x2": at + 0.33 * end, "y": b.low, "y2": b.high}
        bands.append({**ends, "colour": BAND, "opacity": BAND_OPACITY, "title": title})
    return Panel(WIDTH, HEIGHT, x, y, (_title("accuracy"), bars(bands), *_drawn(data, of), points(dots, size=35)))


def _title(said: str) -> Layer:
    return in_pixels(texts([text(said, MUTED, x=0, y=-12)]))


def _epochs(result: Result, extra: float, *, is_last: bool) -> Axis:
    n = max(len(round_.train_loss) for round_ in result.rounds)
    ticks = tuple(each for each in linear_ticks(1, max(n, 2), 4) if each.is_integer() and each <= n)
    title = "epoch" if is_last else ""
    ticks = (1.0, *(each for each in ticks if each > 1 + 0.15 * n))
    return Axis(1 - 0.04 * n - 0.1, n + 0.04 * n + 0.1 + extra, ticks, title=title, end=WIDTH)


def _drawn(data: Sequence[Datum], of: Look) -> tuple[Layer, ...]:
    """Lines; what has no neighbour in its line is a point instead."""
    known = {(each["series"], each["x"]) for each in data if each["y"] is not None}
    per_series: dict[object, list[Datum]] = {}
    for each in data:
        per_series.setdefault(each["series"], []).append(each)
    alone: list[Datum] = []
    for series in per_series.values():
        for i, each in enumerate(series):
            beside = [series[j] for j in (i - 1, i + 1) if 0 <= j < len(series)]
            if each["y"] is not None and not any((o["series"], o["x"]) in known for o in beside):
                alone.append({**each, "fill": of.colour, "shape": "circle"})
    return lines([{**each, "title": each["line"]} for each in data]), points(alone, size=18)


def _at(result: Result, i: int, round_: Round, epoch: int, what: str, value: float | None) -> Datum:
    where = f"{plain(result.id)}, round {i + 1} (seed {round_.seed})"
    last = round_.train_loss[-1] if what == "loss" else round_.train_accuracy[-1]
    said = "no number" if value is None else f"{value:.4g}"
    line = f"{where}: {what}, at last {'no number' if last is None else f'{last:.4g}'}"
    return {"title": f"{where}, epoch {epoch}: {what} {said}", "line": line}


def _diverged(i: int, round_: Round) -> tuple[int, int]:
    """The round, and its first epoch without a loss."""
    return i, round_.train_loss.index(None) + 1


def _named(gaps: Sequence[tuple[int, int]], x: Axis) -> tuple[Layer, ...]:
    """The word where the first loss is none."""
    if not gaps:
        return ()
    place = x.at(min(epoch for _, epoch in gaps))
    said = text("diverged", BAD, x=place, y=8)
    return (in_pixels(texts([said], align="left" if place < WIDTH / 2 else "right", is_bold=True)),)


def _thin(values: Sequence[float | None]) -> list[tuple[int, float | None]]:
    """(epoch, value), of many epochs evenly spread ones."""
    n = len(values)
    if n <= MAX_EPOCHS:
        return list(enumerate(values, 1))
    kept = sorted({round(i * (n - 1) / (MAX_EPOCHS - 1)) for i in range(MAX_EPOCHS)})
    return [(i + 1, values[i]) for i in kept]


def _says(cells: Sequence[Result]) -> str:
    diverged = [result.id for result in cells if any(None in round_.train_loss for round_ in result.rounds)]
    n_epochs = max(len(round_.train_loss) for result in cells for round_ in result.rounds)
    said = [f"The training loss and accuracy of {counted(len(cells), 'network')} over {counted(n_epochs, 'epoch')}"]
    falls = [
        f"{plain(result.cell.model)} {first:.3g} to {last:.3g}"
        for result in cells
        if len(result.rounds[0].train_loss) > 1
        for first, last in [(result.rounds[0].train_loss[0], result.rounds[0].train_loss[-1])]
        if first is not None and last is not None
    ]
    said += [f"loss in the first round: {listed(falls, 3)}"] if falls else []
    said += [f"diverged: {listed(diverged)}"] if diverged else []
    if (n := max(len(result.rounds) for result in cells)) > MAX_ROUNDS:
        said.append(f"{MAX_ROUNDS} of at most {n:,} rounds are drawn")
    return "; ".join(said) + "."


def _table(cells: Sequence[Result]) -> Table:
    """A row for each epoch that is drawn, with the values of all rounds that are; then the test's."""
    rows: list[list[str | Cell]] = []
    for result in cells:
        drawn = [
            round_ for _, round_ in thinned(list(enumerate(result.rounds)), MAX_ROUNDS, lambda pair: pair[1].accuracy)
        ]
        for epoch, _ in _thin(max((each.train_loss for each in drawn), key=len)):
            losses = [each.train_loss[epoch - 1] for each in drawn if len(each.train_loss) >= epoch]
            accuracies = [each.train_accuracy[epoch - 1] for each in drawn if len(each.train_accuracy) >= epoch]
            rows.append([result.id, Cell(str(epoch), value=epoch), _values(losses), _values(accuracies)])
        tested = [each.accuracy for each in drawn]
        rows.append([result.id, "test", _values([each.loss for each in drawn]), _values(tested)])
    headings = ("cell", "epoch", "loss of each round", "accuracy of each round")
    return table(headings, rows, right=("epoch",), caption="Training by epoch, and the test at its end")


def _values(values: Sequence[float | None]) -> str:
    return ", ".join("diverged" if each is None else f"{each:.4f}" for each in values) or ABSENT
