"""How long each round took, beside its cell's median; pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from nets.errors import counted
from nets.records.cell import Result, Round
from nets.report.charts.marks import CLEAR, Datum, Mark, heads, key, points, rules, text
from nets.report.charts.panels import INNER, MARGIN, Axis, Panel, chart, pixels, strips
from nets.report.charts.style import INK, MUTED, log_padded, log_ticks, looks, seconds, thinned
from nets.report.document import Cell, Chart, Table, table
from nets.report.text import listed, plain

ROW, NAME, DOTS = 42, 10, 27
MAX_ROUNDS = 150
"""Of a cell, that are drawn: the fastest, the slowest and others between, in their order."""
STATES = {True: "disturbed", False: "undisturbed", None: "not known whether disturbed"}


def rounds_chart(results: Sequence[Result]) -> Chart | None:
    """A dot a round, hollow where other processes were busy; None where no cell has a round."""
    ran = [result for result in results if result.rounds and min(each.time_s for each in result.rounds) > 0]
    if not ran:
        return None
    medians = [median(each.time_s for each in result.rounds) for result in ran]
    ratios = [each.time_s / middle for result, middle in zip(ran, medians, strict=True) for each in result.rounds]
    low, high = log_padded([*ratios, 0.98, 1.02], 1.02)
    title = "a round's time (train + evaluate) over its cell's median, logarithmic"
    axis = Axis(low, high, log_ticks(low, high), title=title, is_log=True, has_grid=False, start=4, end=INNER - 4)
    tops = [ROW * i for i in range(len(ran))]
    look = looks(result.cell.model for result in results)
    dots = [
        _dot(result, i, each, middle, top + DOTS, look[result.cell.model].colour)
        for result, middle, top in zip(ran, medians, tops, strict=True)
        for i, each in thinned(list(enumerate(result.rounds)), MAX_ROUNDS, lambda pair: pair[1].time_s)
    ]
    names = [text(result.id, y=top + NAME) for result, top in zip(ran, tops, strict=True)]
    said = [
        text(_spread(result, middle), MUTED, y=y["y"]) for result, middle, y in zip(ran, medians, names, strict=True)
    ]
    height = ROW * len(ran)
    middles = [top + DOTS for top in tops]
    line = rules([{"x": 1, "x2": 1, "y": y - 9, "y2": y + 9, "colour": MUTED, "title": ""} for y in middles])
    legend = key([Mark("a round", INK), Mark("disturbed by other processes", INK, is_hollow=True)], INNER, above=4)
    layers = (strips(axis, middles), line, points(dots), *heads(names, said, INNER), *legend.layers)
    main = Panel(INNER, height, axis, pixels(height), layers)
    return chart(
        "rounds", "The time of each round", _says(ran), _table(ran, medians), [main],
        top=MARGIN + 4 + legend.height, bottom=48,
    )  # fmt: skip


def _dot(result: Result, i: int, each: Round, middle: float, y: float, colour: str) -> Datum:
    state = f", {STATES[each.disturbed]}" if each.disturbed is not False else ""
    title = f"{plain(result.id)}, round {i + 1} (seed {each.seed}): {seconds(each.time_s)}{state}"
    fill = CLEAR if each.disturbed else colour
    return {"x": each.time_s / middle, "y": y, "colour": colour, "fill": fill, "shape": "circle", "title": title}


def _spread(result: Result, middle: float) -> str:
    times = [each.time_s for each in result.rounds]
    if len(times) == 1:
        return f"one round, {seconds(middle)}"
    return f"median {seconds(middle)} ({seconds(min(times))} to {seconds(max(times))})"


def _says(ran: Sequence[Result]) -> str:
    spreads = {each.id: max(r.time_s for r in each.rounds) / min(r.time_s for r in each.rounds) - 1 for each in ran}
    widest = max(spreads, key=spreads.__getitem__)
    n = sum(len(each.rounds) for each in ran)
    disturbed = [each.id for each in ran if any(r.disturbed for r in each.rounds)]
    said = [counted(n, "round").capitalize()]
    if spreads[widest] > 0:
        said.append(
            f"they differ most in {plain(widest)}, where the slowest took {spreads[widest]:.1%} longer than the fastest"
        )
    said += [f"disturbed ones are in {listed(disturbed)}"] if disturbed else []
    return "; ".join(said) + "."


def _table(ran: Sequence[Result], medians: Sequence[float]) -> Table:
    headings = ("cell", "round", "seed", "training (s)", "evaluation (s)", "both over the median", "disturbed")
    rows = [
        (
            result.id, Cell(str(i + 1), value=i + 1), Cell(str(each.seed), value=each.seed),
            Cell(f"{each.train_s:.4g}", value=each.train_s), Cell(f"{each.eval_s:.4g}", value=each.eval_s),
            Cell(f"{each.time_s / middle:.3f}", value=each.time_s / middle),
            {True: "yes", False: "no", None: "not known"}[each.disturbed],
        )
        for result, middle in zip(ran, medians, strict=True)
        for i, each in enumerate(result.rounds)
    ]  # fmt: skip
    return table(headings, rows, right=headings[1:6], caption="The time of each round")
