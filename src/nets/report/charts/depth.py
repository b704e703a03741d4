"""Shallow or deep: each cell's three criteria, with their ratios to the reference on one axis; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nets.cells.catalog import REFERENCE
from nets.errors import counted
from nets.records.cell import Criterion, Depth, Result, State
from nets.report.charts.marks import CLEAR, HEADING, Datum, Layer, Mark, bars, key, points, rules, text, texts
from nets.report.charts.panels import MARGIN, WIDE, Axis, Panel, chart, pixels
from nets.report.charts.style import DEEP, INK, MUTED, SHALLOW, fitted, log_padded, log_ticks
from nets.report.document import Cell, Chart, Table, table
from nets.report.text import ABSENT, listed, plain
from nets.verdicts.depth import DEEP_ABOVE, LEAST_RATIO

INNER = WIDE - 2 * MARGIN
ROW, NAME, LINES = 80, 13, (33, 50, 67)
"""Pixels: the height of a cell's rows, and where in it its name, layers, time and demand stand."""
STATES, LABELS, FIGURES, START, END, VERDICTS = 6, 18, 68, 178, 404, 414
"""Pixels from the left: the criteria's states, their names, figures, both ends of the ratios' axis, the verdicts."""
CRITERIA = ("layers", "time", "demand")
TINT = 0.07
COLOURS: dict[str | None, str] = {
    "holds": DEEP, "deep": DEEP, "fails": SHALLOW, "shallow": SHALLOW, "undecided": MUTED, None: MUTED,
}  # fmt: skip
SHAPES: dict[State, str] = {"holds": "circle", "fails": "square", "undecided": "diamond"}
Judged = tuple[Result, Depth]


def depth_chart(results: Sequence[Result]) -> Chart | None:
    """The picture of both definitions; None where no cell was compared with a reference."""
    judged = [(each, each.depth) for each in results if each.depth is not None and each.depth.criteria is not None]
    if not judged:
        return None
    bounds = [each for _, depth in judged for criterion in _ratios(depth) for each in _known(criterion)]
    low, high = log_padded([*bounds, LEAST_RATIO / 1.5, LEAST_RATIO * 1.5], 1.1)
    title = f"ratio to {REFERENCE} on the same data (logarithmic)"
    axis = Axis(low, high, log_ticks(low, high), title=title, is_log=True, start=START, end=END)
    height = ROW * len(judged)
    legend = key(
        [
            Mark("a criterion that holds", COLOURS["holds"], SHAPES["holds"]),
            Mark("that fails", COLOURS["fails"], SHAPES["fails"]),
            Mark("undecided", COLOURS["undecided"], SHAPES["undecided"], is_hollow=True),
            Mark("95 % bounds of a ratio", MUTED, "line"),
        ],
        INNER,
        above=28,
    )
    main = Panel(INNER, height, axis, pixels(height), (*_layers(judged, axis, height), *legend.layers))
    title, top = "Shallow or deep, and why", MARGIN + 28 + legend.height
    return chart("depth", title, _says(judged), _table(judged), [main], top=top, bottom=48)


def _layers(judged: Sequence[Judged], axis: Axis, height: float) -> Iterator[Layer]:
    tops = [ROW * i for i in range(len(judged))]
    halves = ((axis.low, LEAST_RATIO, SHALLOW), (LEAST_RATIO, axis.high, DEEP))
    yield bars(
        [{"x": a, "x2": b, "y": 0, "y2": height, "colour": c, "opacity": TINT, "title": ""} for a, b, c in halves]
    )
    yield rules([{"x": LEAST_RATIO, "x2": LEAST_RATIO, "y": -4, "y2": height, "colour": INK, "title": ""}], dash=(4, 3))
    limit = axis.at(LEAST_RATIO)
    yield texts([text(f"{LEAST_RATIO}", y=-12)], at=limit, align="center", is_bold=True)
    yield texts([text("fails", SHALLOW, y=-12)], at=limit - 18, align="right")
    yield texts([text("holds", DEEP, y=-12)], at=limit + 18)
    yield texts([text("criterion", MUTED, y=-12)], at=LABELS)
    yield texts([text("definition: verdict", MUTED, y=-12)], at=VERDICTS)
    for start, end in ((0, START - 8), (START, END), (VERDICTS, INNER)):
        ends = {"colour": MUTED, "title": ""}
        yield _across([{**ends, "y": top, "y2": top} for top in tops], start, end)
    names = [fitted(each.id, VERDICTS - 10, HEADING, is_bold=True) for each, _ in judged]
    named = [text(name, y=top + NAME) for name, top in zip(names, tops, strict=True)]
    yield texts(named, at=0, size=HEADING, is_bold=True)
    for label, line in zip(CRITERIA, LINES, strict=True):
        yield texts([text(label, MUTED, y=top + line) for top in tops], at=LABELS)
    yield from _criteria(judged, tops)
    classical = [depth.classical for _, depth in judged]
    by_cost = [depth.cost_aware for _, depth in judged]
    for label, verdicts, at in (("classical:", classical, LINES[0]), ("by cost:", by_cost, sum(LINES[1:]) / 2)):
        yield texts([text(label, MUTED, y=top + at) for top in tops], at=VERDICTS)
        said = [text(v or ABSENT, COLOURS[v], y=top + at) for v, top in zip(verdicts, tops, strict=True)]
        yield texts(said, at=VERDICTS + 64, is_bold=True)
    opposed = [
        text("they disagree", y=top + NAME) for (_, depth), top in zip(judged, tops, strict=True) if _opposed(depth)
    ]
    yield texts(opposed, at=VERDICTS)


def _across(data: Sequence[Datum], start: float, end: float) -> Layer:
    layer = rules(data, width=0.5)
    layer["encoding"] |= {"x": {"value": start}, "x2": {"value": end}}
    return layer


def _criteria(judged: Sequence[Judged], tops: Sequence[float]) -> Iterator[Layer]:
    """All three: a mark for the state, the figures; of time and demand the bounds and the ratio on the axis, too."""
    states: list[Datum] = []
    figures: list[Datum] = []
    bounds: list[Datum] = []
    ratios: list[Datum] = []
    for (result, depth), top in zip(judged, tops, strict=True):
        assert depth.criteria is not None
        layers = depth.criteria.layers
        said = (_hidden(result), *map(_figures, _ratios(depth)))
        for name, criterion, figure, line in zip(CRITERIA, (layers, *_ratios(depth)), said, LINES, strict=True):
            y = top + line
            limit = f"deep: more than {DEEP_ABOVE}" if name == "layers" else f"limit: {LEAST_RATIO}"
            title = f"{plain(result.id)}: {name}: {figure}: {criterion.state} ({limit})"
            states.append(_mark(criterion.state, title, y=y))
            figures.append(text(figure, y=y))
            if criterion.ratio is None:
                continue
            if criterion.low is not None and criterion.high is not None and criterion.low < criterion.high:
                colour = COLOURS[criterion.state]
                bounds.append(
                    {"x": criterion.low, "x2": criterion.high, "y": y, "y2": y, "colour": colour, "title": title}
                )
            ratios.append(_mark(criterion.state, title, x=criterion.ratio, y=y))
    layer = points(states)
    layer["encoding"]["x"] = {"value": STATES}
    yield layer
    yield texts(figures, at=FIGURES)
    yield rules(bounds, width=2.5)
    yield points(ratios, size=60)


def _mark(state: State, title: str, **place: float) -> Datum:
    colour = COLOURS[state]
    fill = CLEAR if state == "undecided" else colour
    return {"colour": colour, "fill": fill, "shape": SHAPES[state], "title": title, **place}


def _ratios(depth: Depth) -> tuple[Criterion, Criterion]:
    assert depth.criteria is not None
    return depth.criteria.time, depth.criteria.demand


def _known(criterion: Criterion) -> list[float]:
    """What is to be seen of a criterion on the axis."""
    return [each for each in (criterion.ratio, criterion.low, criterion.high) if each is not None]


def _opposed(depth: Depth) -> bool:
    return {depth.classical, depth.cost_aware} == {"shallow", "deep"}


def _hidden(result: Result) -> str:
    hidden = None if result.network is None else result.network.hidden_layers
    return "not counted" if hidden is None else f"{hidden} hidden"


def _figures(criterion: Criterion) -> str:
    """A ratio and its bounds, if it has any that differ."""
    if criterion.ratio is None:
        return ABSENT
    if criterion.low is None or criterion.high is None or criterion.low == criterion.high:
        return _ratio(criterion.ratio)
    return f"{_ratio(criterion.ratio)} ({_ratio(criterion.low)}–{_ratio(criterion.high)})"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def _says(judged: Sequence[Judged]) -> str:
    opposed = [result.id for result, depth in judged if _opposed(depth)]
    undecided = sum(depth.cost_aware == "undecided" for _, depth in judged)
    agree = sum(depth.classical == depth.cost_aware for _, depth in judged)
    said = [f"Both definitions agree on {agree} of {counted(len(judged), 'cell')}"]
    said += [f"they contradict each other on {listed(opposed)}"] if opposed else []
    said += [f"by cost {undecided} can't be decided"] if undecided else []
    return "; ".join(said) + "."


def _table(judged: Sequence[Judged]) -> Table:
    numbers = ("hidden layers", "time", "demand")
    rows = []
    for result, depth in judged:
        assert depth.criteria is not None
        hidden = None if result.network is None else result.network.hidden_layers
        cells = [Cell(result.id), Cell(ABSENT if hidden is None else str(hidden), value=hidden)]
        cells.append(Cell(depth.criteria.layers.state))
        for criterion in _ratios(depth):
            cells += [Cell(_figures(criterion), value=criterion.ratio), Cell(criterion.state)]
        rows.append([*cells, Cell(depth.classical or ABSENT), Cell(depth.cost_aware or ABSENT)])
    headings = ("cell", numbers[0], "layers", "time", "time: state", "demand", "demand: state", "classical", "by cost")
    return table(headings, rows, right=numbers, caption=f"Ratios to {REFERENCE} with their 95 % bounds")
