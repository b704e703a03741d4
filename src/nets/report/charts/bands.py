"""Each cell's accuracy, beside the band in which it is expected; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nets.errors import counted
from nets.records.cell import Accuracy, Result
from nets.report.charts.marks import BAND_OPACITY, Datum, Layer, Mark, bars, heads, key, points, rules, text, texts
from nets.report.charts.panels import INNER, MARGIN, Axis, Panel, chart, pixels, strips
from nets.report.charts.style import BAD, BAND, GOOD, INK, MUTED, Look, linear_ticks, looks, padded
from nets.report.document import Cell, Chart, Table, Tone, number, table
from nets.report.text import listed, plain

ROW, NAME, LINE_AT, HALF = 42, 10, 28, 6
GAP = 66
"""Pixels between the rows of two data sets: the axis of one, and the name of the next."""
Measured = tuple[Result, Accuracy]


def bands_chart(results: Sequence[Result]) -> Chart | None:
    """Mean ± standard deviation of the test accuracy, and the band; each data set has an axis of its own."""
    measured = [(result, result.accuracy) for result in results if result.accuracy is not None]
    if not measured:
        return None
    legend = key(
        [
            Mark("mean over the rounds", INK),
            Mark("± standard deviation", INK, "line"),
            Mark("band in which the mean is expected", BAND, "bar", opacity=BAND_OPACITY),
        ],
        INNER,
        above=30,
    )
    panels: list[Panel] = []
    for dataset in dict.fromkeys(result.cell.dataset for result, _ in measured):
        cells = [each for each in measured if each[0].cell.dataset == dataset]
        panels.append(_panel(dataset, cells, results, () if panels else legend.layers))
    says, top = _says(measured), MARGIN + 30 + legend.height
    return chart(
        "accuracy", "Test accuracy and its band", says, _table(measured), panels, row_gap=GAP, top=top, bottom=48
    )


def _panel(dataset: str, cells: Sequence[Measured], results: Sequence[Result], legend: tuple[Layer, ...]) -> Panel:
    low, high = padded([each for result, accuracy in cells for each in _extent(result, accuracy)], least=0.01)
    low, high = max(low, -0.005), min(high, 1.005)
    axis = Axis(low, high, linear_ticks(low, high, 6), title="test accuracy", has_grid=False, start=4, end=INNER - 4)
    height = ROW * len(cells)
    grid = strips(axis, [ROW * i + LINE_AT for i in range(len(cells))])
    layers = (grid, *_layers(cells, looks(each.cell.model for each in results)), *legend)
    name = texts([text(dataset, MUTED, y=-14)], at=0)
    return Panel(INNER, height, axis, pixels(height), (name, *layers))


def _layers(cells: Sequence[Measured], look: Mapping[str, Look]) -> Iterator[Layer]:
    bars_: list[Datum] = []
    spreads: list[Datum] = []
    means: list[Datum] = []
    names: list[Datum] = []
    said: list[Datum] = []
    for i, (result, accuracy) in enumerate(cells):
        y = ROW * i + LINE_AT
        of = look[result.cell.model]
        title = f"{plain(result.id)}: {_figures(accuracy)}, {_verdict(result)}"
        names.append(text(result.id, y=ROW * i + NAME))
        said.append(text(f"{_figures(accuracy)}, {_verdict(result)}", _COLOURS[_tone(result)], y=ROW * i + NAME))
        if result.band is not None:
            ends = {"x": result.band.low, "x2": result.band.high, "y": y - HALF, "y2": y + HALF}
            bars_.append({**ends, "colour": BAND, "opacity": BAND_OPACITY, "title": title})
        if accuracy.std:
            ends = {"x": accuracy.mean - accuracy.std, "x2": accuracy.mean + accuracy.std, "y": y, "y2": y}
            spreads.append({**ends, "colour": of.colour, "title": title})
        means.append(
            {"x": accuracy.mean, "y": y, "colour": of.colour, "fill": of.colour, "shape": of.shape, "title": title}
        )
    yield bars(bars_)
    yield rules(spreads, width=2)
    yield points(means)
    yield from heads(names, said, INNER)


_COLOURS: dict[Tone, str] = {"good": GOOD, "bad": BAD, "dim": MUTED}


def _tone(result: Result) -> Tone:
    if result.band is None:
        return "dim"
    return "good" if result.band.verdict == "inside" else "bad"


def _figures(accuracy: Accuracy) -> str:
    return f"{accuracy.mean:.4f}{'' if accuracy.std is None else f' ± {accuracy.std:.4f}'}"


def _verdict(result: Result) -> str:
    if result.band is None:
        return "no band"
    where = "diverged" if result.band.verdict == "diverged" else f"{result.band.verdict} the band"
    return f"{where} {result.band.low:.4f}–{result.band.high:.4f}"


def _extent(result: Result, accuracy: Accuracy) -> list[float]:
    """What is to be seen of a cell on the axis."""
    spread = accuracy.std or 0.0
    band = () if result.band is None else (result.band.low, result.band.high)
    return [accuracy.mean - spread, accuracy.mean + spread, *band]


def _says(measured: Sequence[Measured]) -> str:
    banded = [result for result, _ in measured if result.band is not None]
    outside = [
        f"{each.id} ({_verdict(each)})" for each in banded if each.band is not None and each.band.verdict != "inside"
    ]
    if not banded:
        return f"The accuracy of {counted(len(measured), 'cell')}, none of which has a band."
    said = [f"Inside of its band: {len(banded) - len(outside)} of {counted(len(banded), 'cell')}"]
    said += [f"not so {listed(outside)}"] if outside else []
    n_without = len(measured) - len(banded)
    said += [f"{counted(n_without, 'cell')} without one"] if n_without else []
    return "; ".join(said) + "."


def _table(measured: Sequence[Measured]) -> Table:
    headings = ("cell", "mean", "standard deviation", "least", "greatest", "band from", "band to", "runs", "verdict")
    rows = []
    for result, accuracy in measured:
        band = result.band
        figures = (accuracy.mean, accuracy.std, accuracy.min, accuracy.max)
        numbers = (*figures, *((None, None) if band is None else (band.low, band.high)))
        n = number(None if band is None else band.n, "d")
        verdict = Cell("no band" if band is None else band.verdict, _tone(result))
        rows.append([Cell(result.id), *(number(each, ".4f") for each in numbers), n, verdict])
    return table(headings, rows, right=headings[1:8], caption="Test accuracy over the rounds, and the band of its mean")
