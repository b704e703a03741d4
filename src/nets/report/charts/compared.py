"""What changed from one run to another: effects with their intervals, beside the limit; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

from nets.errors import counted
from nets.gate.findings import FAILING, Finding, Gate
from nets.report.charts.marks import BAND_OPACITY, Datum, Layer, Mark, bars, heads, key, points, rules, text
from nets.report.charts.panels import INNER, MARGIN, Axis, Panel, chart, pixels, strips
from nets.report.charts.style import BAD, BAND, DOUBTFUL, GOOD, INK, MUTED, linear_ticks
from nets.report.document import Chart, Tone
from nets.report.gate import findings_table, interval_text, limit_text, shown_findings, status_text, tone_of
from nets.report.text import ABSENT, listed, plain

Kind = Literal["ratio", "points"]
ROW, NAME, STRIP, GAP = 42, 10, 28, 62
MAX_ROWS = 60
"""Of a panel: what is worst comes first where there are more."""
SHAPES: dict[Tone, str] = {"bad": "triangle-up", "doubtful": "diamond", "good": "cross", "plain": "circle"}
COLOURS: dict[Tone, str] = {"bad": BAD, "doubtful": DOUBTFUL, "good": GOOD, "plain": INK}
KEY: dict[str, Tone] = {"regressed": "bad", "improved": "good", "can't be told": "doubtful"}
TITLES: dict[Kind, str] = {
    "ratio": "effect: head over base, less 1 (per cent)",
    "points": "effect: head less base (percentage points)",
}


def compared_chart(gate: Gate) -> Chart | None:
    """A row for each finding that the gate's table shows and that has an effect; None where there is none.

    Ratios and accuracies have a panel each.
    """
    findings = shown_findings(gate)
    panels: list[Panel] = []
    legend = key(
        [
            Mark("effect and its interval", INK),
            Mark("within the limit", BAND, "bar", opacity=BAND_OPACITY),
            *(Mark(says, COLOURS[tone], SHAPES[tone]) for says, tone in KEY.items()),
        ],
        INNER,
        above=4,
    )
    for kind in ("ratio", "points"):
        rows = [
            each for each in findings if each.effect is not None and (each.metric == "accuracy") == (kind == "points")
        ]
        rows = sorted(sorted(rows, key=_rank)[:MAX_ROWS], key=rows.index)
        if rows:
            panels.append(_panel(rows, kind, () if panels else legend.layers, paired=gate.paired))
    if not panels:
        return None
    return chart(
        "compared", "What changed", _says(gate), findings_table(gate), panels,
        top=MARGIN + 4 + legend.height, bottom=48, row_gap=GAP,
    )  # fmt: skip


def _rank(finding: Finding) -> int:
    tones: tuple[Tone, ...] = ("bad", "doubtful", "good", "plain")
    return tones.index(tone_of(finding.status))


def _panel(rows: Sequence[Finding], kind: Kind, legend: Sequence[Layer], *, paired: bool) -> Panel:
    axis = _axis(rows, kind)
    tops = [float(ROW * i) for i in range(len(rows))]
    names = [text(f"{each.cell} {each.metric}", y=top + NAME) for each, top in zip(rows, tops, strict=True)]
    said = [
        text(_said(each, paired=paired), COLOURS[tone_of(each.status)], y=top + NAME)
        for each, top in zip(rows, tops, strict=True)
    ]
    layers = (
        *_marks(rows, tops, axis, paired=paired), *heads(names, said, INNER), *legend,
    )  # fmt: skip
    height = float(ROW * len(rows))
    return Panel(INNER, height, axis, pixels(height), layers)


def _axis(rows: Sequence[Finding], kind: Kind) -> Axis:
    """In per cent or points: wide enough for effects and limits, and for intervals up to three times as far."""
    most = 100 * max(*(abs(v) for each in rows for v in (each.effect, each.limit) if v is not None), 0.001)
    bounds = [100 * v for each in rows for v in (each.low, each.high) if v is not None]
    low, high = max(min([*bounds, -most]), -3 * most), min(max([*bounds, most]), 3 * most)
    if kind == "ratio":
        low = max(low, -100.0)
    low, high = low - 0.04 * (high - low), high + 0.04 * (high - low)
    title, ticks = TITLES[kind], linear_ticks(low, high, 7)
    return Axis(low, high, ticks, "+.5~g", title, has_grid=False, start=4, end=INNER - 4)


def _marks(rows: Sequence[Finding], tops: Sequence[float], axis: Axis, *, paired: bool) -> Iterator[Layer]:
    limits: list[Datum] = []
    intervals: list[Datum] = []
    effects: list[Datum] = []
    zeros: list[Datum] = []
    for finding, top in zip(rows, tops, strict=True):
        assert finding.effect is not None
        y, tone = top + STRIP, tone_of(finding.status)
        title = f"{plain(finding.cell)} {plain(finding.metric)}: {_said(finding, paired=paired)}"
        zeros.append({"x": 0, "x2": 0, "y": y - 9, "y2": y + 9, "colour": MUTED, "title": ""})
        if finding.limit is not None:
            ends = [100 * each for each in _limits(finding.metric, finding.limit)]
            limits.append(
                {
                    "x": max(ends[0], axis.low), "x2": min(ends[1], axis.high), "y": y - 6, "y2": y + 6, "colour": BAND,
                    "opacity": BAND_OPACITY, "title": f"the limit: {limit_text(finding)}",
                }
            )  # fmt: skip
        look = {"colour": COLOURS[tone], "title": title, "y": y}
        if finding.low is not None and finding.high is not None:
            low, high = (min(max(100 * each, axis.low), axis.high) for each in (finding.low, finding.high))
            intervals.append({**look, "x": low, "x2": high, "y2": y})
        effects.append({**look, "x": 100 * finding.effect, "fill": COLOURS[tone], "shape": SHAPES[tone]})
    yield bars(limits)
    yield strips(axis, [top + STRIP for top in tops])
    yield rules(zeros)
    yield rules(intervals, width=2.5)
    yield points(effects, size=55)


def _limits(metric: str, limit: float) -> tuple[float, float]:
    """Between which effects nothing counts: exchanging both sides of a ratio exchanges the ends."""
    return (-limit, limit) if metric == "accuracy" else (1 / (1 + limit) - 1, limit)


def _said(finding: Finding, *, paired: bool) -> str:
    """The effect, its interval and the finding, in the gate's own words."""
    interval = interval_text(finding)
    return (
        f"{finding.effect_text}{'' if interval == ABSENT else f', {interval}'}: {status_text(finding, paired=paired)}"
    )


def _says(gate: Gate) -> str:
    counts = Counter(finding.status for finding in gate.findings)
    said = ", ".join(f"{n} {status}" for status, n in counts.most_common())
    worse = [f"{each.cell} {each.metric} ({each.effect_text})" for each in gate.with_status(*FAILING) if each.effect]
    return f"Of {counted(len(gate.findings), 'figure')} {said}{f'; regressed: {listed(worse, 3)}' if worse else ''}."
