"""What changed from one run to another: effects with their intervals, beside the limit; pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from nets.errors import counted
from nets.gate.findings import FAILING, INCONCLUSIVE, Finding, Status
from nets.report.charts.marks import (
    CLEAR,
    INNER,
    MARGIN,
    Axis,
    Datum,
    Layer,
    Mark,
    Panel,
    bars,
    chart,
    heads,
    key,
    pixels,
    points,
    rules,
    strips,
    text,
    texts,
)
from nets.report.charts.style import BAD, BAND, DOUBTFUL, GOOD, INK, MUTED, linear_ticks, listed
from nets.report.document import Cell, Chart, Table, Tone, table
from nets.report.text import ABSENT, plain

Kind = Literal["ratio", "points"]
ROW, NAME, STRIP, HEAD, GAP = 40, 9, 26, 26, 62
MAX_ROWS = 60
"""Of a panel: what is worst comes first where there are more."""
BAND_OPACITY = 0.25
SHAPES: dict[Tone, str] = {"bad": "triangle-up", "doubtful": "diamond", "good": "circle", "plain": "circle"}
COLOURS: dict[Tone, str] = {"bad": BAD, "doubtful": DOUBTFUL, "good": GOOD, "plain": INK}
TITLES: dict[Kind, str] = {
    "ratio": "head over base, less 1 (per cent)",
    "points": "accuracy: head less base (percentage points)",
}


def compared_chart(findings: Sequence[Finding]) -> Chart | None:
    """A row for each finding that has an effect, ratios and accuracies apart; None where none has."""
    panels: list[Panel] = []
    shown: list[Finding] = []
    legend = key(
        [
            Mark("effect and its interval", INK),
            Mark("within the limit", BAND, "bar", opacity=BAND_OPACITY),
            Mark("regressed", BAD, "triangle-up"),
            Mark("improved", GOOD),
            Mark("can't be told", DOUBTFUL, "diamond"),
        ],
        INNER,
        above=4,
    )
    for kind in ("ratio", "points"):
        rows = [each for each in findings if each.effect is not None and (each.metric == "accuracy") == (kind == "points")]
        rows = sorted(sorted(rows, key=_rank)[:MAX_ROWS], key=rows.index)
        if rows:
            panels.append(_panel(rows, kind, () if panels else legend.layers))
            shown += rows
    if not panels:
        return None
    return chart(
        "compared", "What changed", _says(findings, shown), _table(shown), panels,
        top=MARGIN + 4 + legend.height, bottom=48, row_gap=GAP,
    )  # fmt: skip


def _rank(finding: Finding) -> int:
    tones: tuple[Tone, ...] = ("bad", "doubtful", "good", "plain")
    return tones.index(_tone(finding.status))


def _tone(status: Status) -> Tone:
    if status in FAILING:
        return "bad"
    if status in INCONCLUSIVE:
        return "doubtful"
    return "good" if status == "improved" else "plain"


def _panel(rows: Sequence[Finding], kind: Kind, legend: Sequence[Layer]) -> Panel:
    axis = _axis(rows, kind)
    tops: list[float] = []
    groups: list[Datum] = []
    y = 0.0
    for i, finding in enumerate(rows):
        if i == 0 or rows[i - 1].cell != finding.cell:
            groups.append(text(finding.cell, y=y + HEAD / 2))
            y += HEAD
        tops.append(y)
        y += ROW
    names = [text(f"{each.metric}", MUTED, y=top + NAME) for each, top in zip(rows, tops, strict=True)]
    said = [
        text(_said(each), COLOURS[_tone(each.status)], y=top + NAME) for each, top in zip(rows, tops, strict=True)
    ]
    layers = (
        *_marks(rows, tops, axis), texts(groups, at=0, is_bold=True), *heads(names, said, INNER, is_bold=False), *legend,
    )  # fmt: skip
    return Panel(INNER, y, axis, pixels(y), layers)


def _axis(rows: Sequence[Finding], kind: Kind) -> Axis:
    """Wide enough for the effects and the limits, and for intervals up to three times as far."""
    core = [abs(v) for each in rows for v in (each.effect, each.limit) if v is not None and math.isfinite(v)]
    most = max([*core, 0.001])
    bounds = [v for each in rows for v in (each.low, each.high) if v is not None and math.isfinite(v)]
    low = max(min([*bounds, -most]), -3 * most)
    high = min(max([*bounds, most]), 3 * most)
    if kind == "ratio":
        low = max(low, -1.0)
    pad = 0.04 * (high - low)
    form = "+.3~%" if kind == "ratio" else "+.3~%"
    return Axis(
        low - pad, high + pad, linear_ticks(low - pad, high + pad, 7), form, TITLES[kind], has_grid=False, start=4,
        end=INNER - 4,
    )  # fmt: skip
