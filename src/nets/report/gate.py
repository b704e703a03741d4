"""The gate's verdict as lines for a terminal and as Markdown for a job summary, from findings alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import get_args

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from nets.gate.findings import FAILING, THIN, Compared, Finding, Gate, Status
from nets.report.document import markdown, terminal_lines
from nets.report.text import plain

HEADINGS = ("cell", "metric", "base", "head", "effect", "interval", "limit", "finding")
ALWAYS = ("total_s", "accuracy")
"""Shown even where they are ok."""
MAX_SENTENCE = 1_000
ABSENT = "–"
VERDICTS = {0: "pass", 1: "FAIL", 3: "can't tell: something is incomparable, not measured, or has too little data"}


def gate_lines(gate: Gate, *, width: int, color: bool) -> list[str]:
    """The table of what is not ok, with every time and accuracy; the reasons; the verdict last."""
    grid = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, heading in enumerate(HEADINGS):
        grid.add_column(heading, no_wrap=True, justify="right" if 2 <= i <= 6 else "left")
    shown = _shown(gate)
    for finding in shown:
        cells = [Text(plain(cell)) for cell in _row(finding)]
        cells[-1].stylize(_style(finding.status))
        grid.add_row(*cells)
    parts: list[Text | Table] = [Text(plain(caption)) for caption in _captions(gate)]
    parts += [grid] if shown else []
    parts += [
        Text(plain(_sentence(finding), MAX_SENTENCE), style=_style(finding.status)) for finding in _worst_first(gate)
    ]
    parts += [Text(f"note: {plain(note, MAX_SENTENCE)}") for note in gate.notes]
    parts.append(Text(verdict(gate), style="bold"))
    return terminal_lines(parts, width=width, color=color)


def gate_markdown(gate: Gate) -> str:
    """The same as GitHub's Markdown, for a job summary."""
    rows = [_row(finding) for finding in _shown(gate)]
    parts = [f"### nets gate: {markdown(VERDICTS[gate.exit_code])}", "", *_bullets(_captions(gate)), ""]
    if rows:
        parts += [_table_row(HEADINGS, str), _table_row(("---",) * 2 + ("---:",) * 5 + ("---",), str)]
        parts += [*(_table_row(row, markdown) for row in rows), ""]
    parts += _bullets(map(_sentence, _worst_first(gate)))
    parts += ["", *_bullets(gate.notes), "", markdown(verdict(gate))]
    return "\n".join(parts) + "\n"


def verdict(gate: Gate) -> str:
    """How many findings of each status, the worst first, and what they come to."""
    counts = Counter(finding.status for finding in gate.findings)
    counted = ", ".join(f"{counts[status]} {status}" for status in get_args(Status) if counts[status])
    return f"{VERDICTS[gate.exit_code]} ({counted}; exit {gate.exit_code})"


def _shown(gate: Gate) -> list[Finding]:
    return [finding for finding in gate.findings if finding.status != "ok" or finding.metric in ALWAYS]


def _worst_first(gate: Gate) -> list[Finding]:
    """What is not ok."""
    return [finding for status in get_args(Status) if status != "ok" for finding in gate.with_status(status)]


def _captions(gate: Gate) -> list[str]:
    return [_caption("base", gate.base), _caption("head", gate.head)]


def _caption(name: str, side: Compared) -> str:
    cuda = "no CUDA" if side.cuda is None else f"CUDA {side.cuda}"
    cells = "one cell" if side.n_cells == 1 else f"{side.n_cells} cells"
    return f"{name}: {side.source}: {cells}, torch {side.torch or 'unknown'}, {cuda}"


def _sentence(finding: Finding) -> str:
    because = finding.because or f"beyond the limit of {_limit(finding)}"
    return f"{finding.status}: {finding.cell} {finding.metric}: {because}"


def _row(finding: Finding) -> tuple[str, ...]:
    return (
        finding.cell,
        finding.metric,
        _value(finding.metric, finding.base),
        _value(finding.metric, finding.head),
        _effect(finding, finding.effect),
        _interval(finding),
        _limit(finding),
        finding.status,
    )


def _value(metric: str, value: int | float | str | None) -> str:
    if value is None:
        return ABSENT
    if isinstance(value, str):
        return value
    if metric == "accuracy":
        return f"{value:.4f}"
    if metric.endswith("_bytes") and 0 <= value < 2**63:
        return f"{value / 2**20:,.1f} MiB"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _effect(finding: Finding, value: float | None) -> str:
    """A ratio less 1 in per cent, a difference of accuracies in points of a hundred."""
    if value is None:
        return ABSENT
    return f"{100 * value:+.2f} points" if finding.metric == "accuracy" else f"{value:+.2%}"


def _interval(finding: Finding) -> str:
    if finding.low is None or finding.high is None or finding.confidence is None:
        return ABSENT
    low, high = _effect(finding, finding.low), _effect(finding, finding.high)
    return f"{low} to {high} ({100 * finding.confidence:.4g} %)"


def _limit(finding: Finding) -> str:
    if finding.limit is None:
        return ABSENT
    return f"{100 * finding.limit:g} points" if finding.metric == "accuracy" else f"{100 * finding.limit:g} %"


def _style(status: Status) -> str:
    if status in FAILING:
        return "red"
    return "yellow" if status in THIN else "green"


def _bullets(sentences: Iterable[str]) -> list[str]:
    return [f"- {markdown(sentence, MAX_SENTENCE)}" for sentence in sentences]


def _table_row(cells: Iterable[str], escape: Callable[[str], str]) -> str:
    return f"| {' | '.join(escape(cell) for cell in cells)} |"
