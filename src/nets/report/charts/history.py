"""How each figure went from commit to commit, with its levels and what changed them; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median

from nets.errors import counted
from nets.history.commits import UNVERSIONED
from nets.history.records import Change, Direction, History, Line, Point
from nets.history.tracked import TRACKED
from nets.report.charts.marks import CLEAR, TEXT, Datum, Layer, Mark, bars, in_pixels, key, points, rules, text, texts
from nets.report.charts.panels import MARGIN, SMALL, Axis, Panel, chart
from nets.report.charts.style import BAD, DOUBTFUL, GOOD, INK, MUTED, fitted, linear_ticks, looks, slug, thinned, width
from nets.report.document import Cell, Chart, Table, table
from nets.report.history import distinguishing_conditions, effect_text
from nets.report.sentence import MAX_SUBJECT
from nets.report.text import listed, plain, value_text
from nets.report.trend import half_scale

LEFT, HEIGHT, ROW_GAP, HEAD = 58, 84, 70, 44
WIDTH = SMALL - LEFT - MARGIN
MAX_POINTS, MAX_DOTS, MAX_PLACES = 300, 60, 60
"""Of a line: points that are drawn; so many have a dot each; places that say their values on hovering, else."""
FAINT = 0.35
"""The opacity of a small dot of disturbed rounds."""
MAX_SAID = 2
"""Commits that such a place names."""
COLOURS: dict[Direction | None, str] = {"worse": BAD, "better": GOOD, None: DOUBTFUL}
SHAPES: dict[Direction | None, str] = {"worse": "triangle-up", "better": "circle", None: "diamond"}
_METRICS = {metric.name: metric for metric in TRACKED}


def history_charts(history: History, shown: Sequence[Line]) -> list[Chart]:
    """A chart for each cell: a panel for each of its lines that is shown, all over the same commits."""
    subjects = {each.begins: each.subject or "" for each in history.changed_commits}
    under = distinguishing_conditions(history)
    look = looks(line.cell.partition("-")[2] for line in history.lines)
    charts = []
    for cell in dict.fromkeys(line.cell for line in shown):
        of_cell = [line for line in shown if line.cell == cell]
        conditions = [under.get((line.cell, line.under), "") for line in of_cell]
        charts.append(_chart(cell, of_cell, conditions, subjects, look[cell.partition("-")[2]].colour))
    return charts


def _chart(
    cell: str, shown: Sequence[Line], conditions: Sequence[str], subjects: Mapping[str, str], colour: str
) -> Chart:
    marks = [Mark("a commit", colour)]
    is_many = any(len(line.points) > MAX_DOTS for line in shown)
    disturbed = Mark("by disturbed rounds alone", colour, is_hollow=True)
    marks += [Mark(disturbed.says, colour, "bar", opacity=FAINT) if is_many else disturbed]
    marks += [Mark("level", INK, "line"), Mark("worse", BAD, "triangle-up"), Mark("better", GOOD)]
    legend = key(marks, SMALL - 2 * MARGIN, above=HEAD, left=MARGIN - LEFT)
    places = [point.place for line in shown for point in line.points]
    first, last = min(places), max(places)
    pad = max(0.5, 0.02 * (last - first))
    x = Axis(first - pad, last + pad, is_shown=False, end=WIDTH)
    panels: list[Panel] = []
    for line, condition in zip(shown, conditions, strict=True):
        layers = (*_layers(line, condition, x, subjects, colour), *(() if panels else legend.layers))
        panels.append(Panel(WIDTH, HEIGHT, x, _y(line), layers))
    return chart(
        slug("history", cell), f"History: {plain(cell)}", _says(shown, subjects),
        _table(shown, conditions, subjects), panels, left=LEFT, top=MARGIN + HEAD + legend.height, bottom=MARGIN + 18,
        row_gap=ROW_GAP,
    )  # fmt: skip


def _y(line: Line) -> Axis:
    """As far on both sides of the median as noise may go, at least, so that it doesn't look like a step."""
    factor = _factor(line)
    values = [point.value * factor for point in line.points]
    middle = median(values)
    metric = _METRICS.get(line.metric)
    half = abs(middle) * 0.1 if metric is None else half_scale(middle, metric.scale, metric.min_effect)
    low, high = min([*values, middle - half]), max([*values, middle + half])
    extra = 0.06 * (high - low) or 0.5
    return Axis(low - extra, high + extra, linear_ticks(low - extra, high + extra, 4), end=HEIGHT)


def _factor(line: Line) -> float:
    """By which values are multiplied to be drawn: bytes are drawn as MiB."""
    return 2**-20 if line.unit == "bytes" else 1.0


def _layers(line: Line, condition: str, x: Axis, subjects: Mapping[str, str], colour: str) -> Iterator[Layer]:
    y = _y(line)
    unit = {"bytes": "MiB", "fraction": ""}.get(line.unit, line.unit)
    name = f"{line.metric}{f' ({unit})' if unit else ''}"
    room = SMALL - 2 * MARGIN
    head = text(fitted(name, room, TEXT, is_bold=True), x=MARGIN - LEFT, y=-34)
    yield in_pixels(texts([head], is_bold=True))
    if condition:
        rest = room - width(name, TEXT, is_bold=True) - 10
        if rest > 40:
            said = fitted(condition, rest, TEXT)
            yield in_pixels(texts([text(said, MUTED, x=WIDTH, y=-34)], align="right"))
    dates = [text(line.points[i].time[:10], MUTED, x=at, y=HEIGHT + 14) for i, at in ((0, 0.0), (-1, float(WIDTH)))]
    yield in_pixels(texts(dates[:1]))
    if len(line.points) > 1:
        yield in_pixels(texts(dates[1:], align="right"))
    yield from _values(line, x, y, colour)
    yield from _levels(line)
    yield from _changes(line, x, subjects)


def _values(line: Line, x: Axis, y: Axis, colour: str) -> Iterator[Layer]:
    """A dot a commit; of many small ones, and places that say the values of a few commits each."""
    factor = _factor(line)
    if len(line.points) <= MAX_DOTS:
        yield points(
            [
                {
                    "x": each.place, "y": each.value * factor, "colour": colour, "shape": "circle",
                    "fill": CLEAR if each.disturbed else colour, "title": _point_text(line, each),
                }
                for each in line.points
            ],
            size=22,
        )  # fmt: skip
        return
    drawn = sorted(thinned(line.points, MAX_POINTS, lambda each: each.value), key=lambda each: each.disturbed)
    dots: list[Datum] = []
    for each in drawn:
        left, top = round(x.at(each.place)) - 1, round(HEIGHT - y.at(each.value * factor)) - 1
        opacity = FAINT if each.disturbed else 1
        dots.append(
            {"x": left, "x2": left + 2, "y": top, "y2": top + 2, "colour": colour, "opacity": opacity, "title": ""}
        )
    yield in_pixels(bars(dots))
    n = len(line.points)
    places: list[Datum] = []
    edges = [i * n // MAX_PLACES for i in range(MAX_PLACES + 1)]
    for a, b in pairwise(edges):
        stretch = line.points[a:b]
        said = "; ".join(_point_text(line, each) for each in stretch[:MAX_SAID])
        more = f"; and {len(stretch) - MAX_SAID} more" if len(stretch) > MAX_SAID else ""
        ends = {
            "x": round(x.at(stretch[0].place), 1),
            "x2": round(x.at(stretch[-1].place + 1), 1),
            "y": 0,
            "y2": HEIGHT,
        }
        places.append({**ends, "colour": CLEAR, "opacity": 1, "title": said + more})
    yield in_pixels(bars(places))


def _levels(line: Line) -> Iterator[Layer]:
    """The value of each stretch without a change, as a line over its commits."""
    ends = [0, *(change.index for change in line.changes), len(line.points)]
    values = [_first_level(line), *(change.after for change in line.changes)]
    if line.state in ("too few", "constant") and not line.changes:
        return
    steps = [
        {
            "x": line.points[a].place - 0.4, "x2": line.points[b - 1].place + 0.4, "y": value * _factor(line),
            "y2": value * _factor(line), "colour": INK, "title": f"level: {_value(line, value)}",
        }
        for (a, b), value in zip(pairwise(ends), values, strict=True)
    ]  # fmt: skip
    yield rules(steps, width=1.5)


def _first_level(line: Line) -> float:
    return line.changes[0].before if line.changes else median(point.value for point in line.points)


def _changes(line: Line, x: Axis, subjects: Mapping[str, str]) -> Iterator[Layer]:
    """A mark above where each level begins, with the commit and the effect where there is room."""
    marks: list[Datum] = []
    drops: list[Datum] = []
    said: dict[bool, list[Datum]] = {True: [], False: []}
    places = [x.at(line.points[change.index].place - 0.5) for change in line.changes]
    taken = [(at - 6, at + 6) for at in places]
    for change, at in zip(line.changes, places, strict=True):
        colour = COLOURS[change.direction]
        title = _change_text(line, change, subjects)
        drops.append({"x": at, "x2": at, "y": -6, "y2": HEIGHT, "colour": colour, "title": title})
        look = {"colour": colour, "fill": colour, "shape": SHAPES[change.direction], "title": title}
        marks.append({"x": at, "y": -12, **look})
        label = f"{_name(change.begins)} {effect_text(line.metric, change.effect, change)}"
        room = width(label, TEXT)
        for is_left, start in ((False, at + 8), (True, at - 8 - room)):
            end = start + room
            if start >= MARGIN - LEFT and end <= WIDTH and not any(start < b and a < end for a, b in taken):
                taken.append((start, end))
                said[is_left].append(text(label, colour, x=at - 8 if is_left else at + 8, y=-12))
                break
    yield in_pixels(rules(drops, width=1, dash=(3, 2)))
    yield in_pixels(points(marks, size=40))
    yield in_pixels(texts(said[False]))
    yield in_pixels(texts(said[True], align="right"))


def _name(commit: str) -> str:
    return commit if commit == UNVERSIONED else plain(commit[:7])


def _value(line: Line, value: float) -> str:
    return f"{value_text(line.metric, value, whole=line.unit == '')}{' s' if line.unit == 's' else ''}"


def _point_text(line: Line, point: Point) -> str:
    disturbed = ", disturbed" if point.disturbed else ""
    return (
        f"{_name(point.commit)}{'*' if point.dirty else ''} {point.time[:10]}: {_value(line, point.value)}{disturbed}"
    )


def _change_text(line: Line, change: Change, subjects: Mapping[str, str]) -> str:
    subject = subjects.get(change.begins, "")
    commit = f"{_name(change.begins)} ({change.time[:10]}){f' {plain(subject, MAX_SUBJECT)}' if subject else ''}"
    effect = effect_text(line.metric, change.effect, change)
    return f"{commit}: {line.metric} {effect}, {_value(line, change.before)} to {_value(line, change.after)}"


def _says(shown: Sequence[Line], subjects: Mapping[str, str]) -> str:
    changed = [_change_text(line, change, subjects) for line in shown for change in line.changes]
    n_commits = max(len(line.points) for line in shown)
    said = f"{counted(len(shown), 'figure').capitalize()} over {counted(n_commits, 'commit')}"
    if not changed:
        untold = all(line.state == "too few" for line in shown)
        return f"{said}; {'too few commits to tell' if untold else 'no change was found'}."
    told = listed(changed, 3, between="; ")
    return f"{said}; {counted(len(changed), 'change')}: {told}."


def _table(shown: Sequence[Line], conditions: Sequence[str], subjects: Mapping[str, str]) -> Table:
    """A row for each level of each line."""
    rows: list[list[str | Cell]] = []
    for line, condition in zip(shown, conditions, strict=True):
        ends = [0, *(change.index for change in line.changes), len(line.points)]
        values = [_first_level(line), *(change.after for change in line.changes)]
        changes: list[Change | None] = [None, *line.changes]
        for (a, b), value, change in zip(pairwise(ends), values, changes, strict=True):
            begins, newest = line.points[a], line.points[b - 1]
            effect = "" if change is None else effect_text(line.metric, change.effect, change)
            subject = "" if change is None else plain(subjects.get(change.begins, ""), MAX_SUBJECT)
            rows.append(
                [
                    line.metric, *([condition] if any(conditions) else []),
                    f"{_name(begins.commit)} ({begins.time[:10]})",
                    Cell(str(b - a), value=b - a), Cell(_value(line, value), value=value),
                    Cell(_value(line, newest.value), value=newest.value), effect, subject,
                ]
            )  # fmt: skip
    under = ["under"] if any(conditions) else []
    headings = ["metric", *under, "from", "commits", "level", "last value", "change", "with"]
    caption = "Levels: the median of each stretch of commits without a change"
    return table(headings, rows, right=("commits", "level", "last value"), caption=caption)
