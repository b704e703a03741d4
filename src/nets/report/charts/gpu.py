"""How much of the GPU each cell used, as the profiler's trace and as the driver saw it; pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nets.cells.catalog import Published
from nets.records.cell import Result
from nets.report.charts.marks import CLEAR, Datum, Mark, key, points, text, texts
from nets.report.charts.panels import INNER, MARGIN, Axis, Panel, chart, pixels, strips
from nets.report.charts.style import INK, MUTED, fitted, looks
from nets.report.document import Cell, Chart, Table, table
from nets.report.gpu import published_beside
from nets.report.text import ABSENT, plain

NAMES, FIGURES = 210, 64
"""Pixels: of a row's name, and of its figure."""
ROW, HEAD = 20, 34
"""Pixels: the height of a row, and of a metric's name above its rows."""
TICKS = (0.0, 25.0, 50.0, 75.0, 100.0)


@dataclass(frozen=True, slots=True)
class _Metric:
    """A figure in per cent: whose it is, what it is of a record, and of the article's figures."""

    name: str
    of: Callable[[Result], float | None]
    published: Callable[[Published], float | None] = lambda _: None
    is_drivers: bool = False


def _of(part: str, field: str) -> Callable[[Result], float | None]:
    """A field of a part of the record; None where there is no such part."""
    return lambda result: getattr(getattr(result, part), field, None)


METRICS = (
    _Metric(
        "trace: GPU utilization",
        _of("trace", "gpu_utilization_pct"),
        lambda published: published.gpu_utilization_pct,
    ),
    _Metric(
        "trace: est. SM efficiency",
        _of("trace", "sm_efficiency_pct"),
        lambda published: published.sm_efficiency_pct,
    ),
    _Metric(
        "trace: est. achieved occupancy",
        _of("trace", "achieved_occupancy_pct"),
        lambda published: published.achieved_occupancy_pct,
    ),
    _Metric("driver: utilization (NVML)", _of("gpu", "utilization_pct"), is_drivers=True),
    _Metric("driver: SM utilization (GPM)", _of("gpu", "sm_utilization_pct"), is_drivers=True),
)


def gpu_chart(results: Sequence[Result]) -> Chart | None:
    """The shares, a row a cell under each figure; hollow beside it the article's. None where nothing was measured."""
    on_gpu = [result for result in results if result.device.type == "cuda"]
    shown = [metric for metric in METRICS if any(metric.of(result) is not None for result in on_gpu)]
    if not shown:
        return None
    axis = Axis(0, 100, TICKS, title="per cent", has_grid=False, start=NAMES, end=INNER - FIGURES)
    look = looks(result.cell.model for result in results)
    heads: list[Datum] = []
    names: list[Datum] = []
    figures: list[Datum] = []
    marks: list[Datum] = []
    y = 0.0
    for metric in shown:
        heads.append(text(metric.name, y=y + HEAD - 14))
        y += HEAD
        for result in on_gpu:
            of, middle, value = look[result.cell.model], y + ROW / 2, metric.of(result)
            names.append(text(fitted(result.id, NAMES - 16, 12), MUTED, y=middle))
            said = _text(metric, result)
            figures.append(text(said, INK if value is not None else MUTED, y=middle))
            base = {"colour": of.colour, "shape": of.shape, "y": middle}
            if (published := _published(metric, result)) is not None:
                title = f"{plain(result.id)}: {metric.name}, the article's, Tesla K80: {published:.2f} %"
                marks.append({**base, "x": published, "fill": CLEAR, "title": title})
            if value is not None:
                title = f"{plain(result.id)}: {metric.name} {said}"
                marks.append({**base, "x": value, "fill": of.colour, "title": title})
            y += ROW
    keys = [Mark("measured here", INK)]
    if any(_published(metric, result) is not None for metric in shown for result in on_gpu):
        keys.append(Mark("the article's, Tesla K80", INK, is_hollow=True))
    if any(not _is_valid(metric, result) for metric in shown for result in on_gpu):
        keys.append(Mark("! not fit for comparison", CLEAR, "line"))
    legend = key(keys, INNER, above=0)
    grid = strips(axis, [float(str(each["y"])) for each in names], ROW / 2)
    layers = (
        grid, texts(heads, at=0, is_bold=True), texts(names, at=4), texts(figures, at=INNER, align="right"),
        points(marks, size=50), *legend.layers,
    )  # fmt: skip
    main = Panel(INNER, y + 6, axis, pixels(y + 6), layers)
    return chart(
        "gpu", "How much of the GPU was used", _says(on_gpu, shown), _table(on_gpu, shown), [main],
        top=MARGIN + legend.height, bottom=46,
    )  # fmt: skip


def _is_valid(metric: _Metric, result: Result) -> bool:
    return not metric.is_drivers or result.gpu is None or result.gpu.valid


def _text(metric: _Metric, result: Result) -> str:
    value = metric.of(result)
    if value is None:
        return ABSENT
    return f"{value:.2f} %{'' if _is_valid(metric, result) else ' !'}"


def _published(metric: _Metric, result: Result) -> float | None:
    figures = published_beside(result)
    return None if figures is None else metric.published(figures)


def _says(on_gpu: Sequence[Result], shown: Sequence[_Metric]) -> str:
    said = []
    for metric in shown:
        values = {result.id: value for result in on_gpu if (value := metric.of(result)) is not None}
        least, most = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
        spread = f"{values[least]:.1f} % ({plain(least)}) to {values[most]:.1f} % ({plain(most)})"
        said.append(f"{metric.name} {spread if least != most else f'{values[most]:.1f} %'}")
    return "; ".join(said) + "."


def _table(on_gpu: Sequence[Result], shown: Sequence[_Metric]) -> Table:
    articles = [metric for metric in shown if any(_published(metric, result) is not None for result in on_gpu)]
    headings = ["cell", *(metric.name for metric in shown), *(f"article: {metric.name[7:]}" for metric in articles)]
    rows = []
    for result in on_gpu:
        row = [Cell(result.id), *(Cell(_text(metric, result), value=metric.of(result)) for metric in shown)]
        for metric in articles:
            published = _published(metric, result)
            row.append(Cell(ABSENT if published is None else f"{published:.2f} %", value=published))
        rows.append(row)
    return table(headings, rows, right=headings[1:], caption="Shares of the GPU, in per cent")
