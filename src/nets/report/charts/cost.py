"""What each network's accuracy costs in time, for each data set; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean, stdev

from nets.cells.catalog import Published
from nets.records.cell import Accuracy, Result
from nets.report.charts.marks import CLEAR, TEXT, Datum, Layer, Mark, in_pixels, key, points, rules, text, texts
from nets.report.charts.panels import MARGIN, SMALL, Axis, Panel, chart
from nets.report.charts.style import (
    INK,
    MUTED,
    Look,
    fitted,
    linear_ticks,
    log_padded,
    log_ticks,
    looks,
    padded,
    seconds,
    slug,
    width,
)
from nets.report.document import Cell, Chart, Table, number, table
from nets.report.gpu import published_beside
from nets.report.text import listed, plain

LEFT, PLOT, HEIGHT = 52, SMALL - 52 - MARGIN, 220
Measured = tuple[Result, Accuracy]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""


def cost_charts(results: Sequence[Result]) -> list[Chart]:
    """A chart for each data set: accuracy by time; under `article` the article's figures, too, hollow."""
    measured = [
        (result, result.accuracy)
        for result in results
        if result.accuracy is not None and result.rounds and _mean(result) > 0
    ]
    look = looks(result.cell.model for result in results)
    datasets = dict.fromkeys(result.cell.dataset for result, _ in measured)
    return [_chart(name, [each for each in measured if each[0].cell.dataset == name], look) for name in datasets]


def _chart(dataset: str, cells: Sequence[Measured], look: Mapping[str, Look]) -> Chart:
    published = _published(cells)
    times = [each for result, _ in cells for each in _time_range(result)]
    low, high = log_padded([*times, *(each.time_s for each in published.values())], 1.35)
    x = Axis(low, high, log_ticks(low, high, 5), title="time of a round (s, logarithmic)", is_log=True, end=PLOT)
    known = [each for _, accuracy in cells for each in _accuracy_range(accuracy)]
    bottom, top = padded([*known, *(each.accuracy for each in published.values())], 0.1, 0.01)
    y = Axis(max(bottom, -0.01), min(top, 1.01), linear_ticks(max(bottom, 0), min(top, 1), 5), title="", end=HEIGHT)
    data, names = _data(cells, published, look, x, y)
    marks = [Mark("mean ± standard deviation", INK)]
    marks += [Mark("the article's, Tesla K80", INK, is_hollow=True)] if published else []
    if names is None:
        room = SMALL - 2 * MARGIN - 30
        of = [(result.cell.model, look[result.cell.model]) for result, _ in cells]
        marks += [Mark(fitted(name, room, TEXT), each.colour, each.shape) for name, each in of]
    legend = key(marks, SMALL - 2 * MARGIN, above=22, left=MARGIN - LEFT)
    heading = in_pixels(texts([text("test accuracy", MUTED, x=MARGIN - LEFT, y=-12)]))
    panel = Panel(PLOT, HEIGHT, x, y, (heading, *data, *(names or ()), *legend.layers))
    return chart(
        slug("cost", dataset), f"Cost against accuracy: {plain(dataset)}", _says(cells), _table(cells, published),
        [panel], left=LEFT, top=MARGIN + 22 + legend.height, bottom=48,
    )  # fmt: skip


def _data(
    cells: Sequence[Measured], published: Mapping[str, Published], look: Mapping[str, Look], x: Axis, y: Axis
) -> tuple[list[Layer], list[Layer] | None]:
    """The points, and their names; None where there is no room for all of them."""
    spreads: list[Datum] = []
    marks: list[Datum] = []
    taken: list[Box] = []
    wanted: list[tuple[str, float, float]] = []
    for result, accuracy in cells:
        of = look[result.cell.model]
        time, (fast, slow), (least, greatest) = _mean(result), _time_range(result), _accuracy_range(accuracy)
        title = f"{plain(result.id)}: {seconds(time)}, accuracy {accuracy.mean:.4f}"
        base = {"colour": of.colour, "title": title}
        spreads.append({**base, "x": fast, "x2": slow, "y": accuracy.mean, "y2": accuracy.mean})
        spreads.append({**base, "x": time, "x2": time, "y": least, "y2": greatest})
        marks.append({**base, "fill": of.colour, "shape": of.shape, "x": time, "y": accuracy.mean})
        taken.append((x.at(fast), HEIGHT - y.at(accuracy.mean) - 1, x.at(slow), HEIGHT - y.at(accuracy.mean) + 1))
        taken.append((x.at(time) - 1, HEIGHT - y.at(greatest), x.at(time) + 1, HEIGHT - y.at(least)))
        places = [(time, accuracy.mean)]
        if (figures := published.get(result.id)) is not None:
            said = f"{plain(result.id)} in the article: {seconds(figures.time_s)}, accuracy {figures.accuracy:.4f}"
            place = {"x": figures.time_s, "y": figures.accuracy}
            marks.append({"colour": of.colour, "fill": CLEAR, "shape": of.shape, "title": said, **place})
            places.append((figures.time_s, figures.accuracy))
        taken += [_around(x.at(a), HEIGHT - y.at(b)) for a, b in places]
        wanted += [(result.cell.model, x.at(a), HEIGHT - y.at(b)) for a, b in places]
    named = list(_placed(wanted, taken))
    seen = [each for each in spreads if each["x"] != each["x2"] or each["y"] != each["y2"]]
    layers = [rules(seen), points(marks, size=70)]
    if len(named) < len(wanted):
        return layers, None
    return layers, [in_pixels(texts([text(label, x=left, y=top) for label, left, top in named]))]


def _around(x: float, y: float, r: float = 6) -> Box:
    return x - r, y - r, x + r, y + r


def _placed(wanted: Sequence[tuple[str, float, float]], points_: Sequence[Box]) -> Iterator[tuple[str, float, float]]:
    """Each name with the left end and the middle of its text, beside its point, where nothing else is."""
    taken = list(points_)
    for name, x, y in wanted:
        label = fitted(name, PLOT - 20, TEXT)
        wide = width(label, TEXT)
        tried = (
            (x + 9, y), (x - 9 - wide, y), (x - wide / 2, y - 15), (x - wide / 2, y + 15), (x + 6, y - 14),
            (x + 6, y + 14), (x - 6 - wide, y - 14), (x - 6 - wide, y + 14),
        )  # fmt: skip
        for left, middle in tried:
            box = (left, middle - 7, left + wide, middle + 7)
            if (
                left >= 2
                and box[2] <= PLOT + 6
                and box[1] >= -6
                and box[3] <= HEIGHT
                and not any(_meet(box, b) for b in taken)
            ):
                taken.append(box)
                yield label, left, middle
                break


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _published(cells: Sequence[Measured]) -> dict[str, Published]:
    """The article's figures of these cells, where they were trained as in the article."""
    found = {result.id: published_beside(result) for result, _ in cells}
    return {name: figures for name, figures in found.items() if figures is not None}


def _mean(result: Result) -> float:
    return fmean(each.time_s for each in result.rounds)


def _time_range(result: Result) -> tuple[float, float]:
    """Mean ± standard deviation; not below the fastest round, for the axis has no zero."""
    times = [each.time_s for each in result.rounds]
    mean, spread = fmean(times), stdev(times) if len(times) > 1 else 0.0
    return max(mean - spread, min(times)) or mean, mean + spread


def _accuracy_range(accuracy: Accuracy) -> tuple[float, float]:
    spread = accuracy.std or 0.0
    return accuracy.mean - spread, accuracy.mean + spread


def _says(cells: Sequence[Measured]) -> str:
    """Between which means times and accuracies lie, and whose those are; what did not pass is left out."""
    passed = [each for each in cells if each[0].outcome.status == "passed"]
    if not passed:
        return "No network passed."
    times = {plain(result.cell.model): _mean(result) for result, _ in passed}
    accuracies = {plain(result.cell.model): accuracy.mean for result, accuracy in passed}
    if len(passed) == 1:
        ((name, time),) = times.items()
        return f"A round of {name} takes {seconds(time)}, and its accuracy is {accuracies[name]:.4f}."
    return f"A round takes {_range(times, seconds)}; accuracy is {_range(accuracies, '{:.4f}'.format)}; by means alone."


def _range(values: Mapping[str, float], text: Callable[[float], str]) -> str:
    """From the least to the greatest, with all that have it as it is written."""
    ends = text(min(values.values())), text(max(values.values()))
    named = [f"{end} ({listed([name for name, value in values.items() if text(value) == end])})" for end in ends]
    return " to ".join(dict.fromkeys(named))


def _table(cells: Sequence[Measured], published: Mapping[str, Published]) -> Table:
    headings = ["cell", "time (s)", "± (s)", "accuracy", "±"]
    headings += ["article: time (s)", "article: accuracy"] if published else []
    rows = []
    for result, accuracy in cells:
        times = [each.time_s for each in result.rounds]
        spread = stdev(times) if len(times) > 1 else None
        row = [Cell(result.id), number(_mean(result), ".4g"), number(spread, ".2g")]
        row += [number(accuracy.mean, ".4f"), number(accuracy.std, ".4f")]
        if published:
            figures = published.get(result.id)
            row += [
                number(None if figures is None else figures.time_s, ".2f"),
                number(None if figures is None else figures.accuracy, ".4f"),
            ]
        rows.append(row)
    return table(headings, rows, right=headings[1:], caption="Time of a round and test accuracy, means over the rounds")
