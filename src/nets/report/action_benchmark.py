"""A history's newest commit in github-action-benchmark's custom JSON: `customSmallerIsBetter`, `customBiggerIsBetter`.

Each entry has `name`, `unit`, `value`, and, as text, `range` and `extra`. The action draws one chart a name and
compares a value with the last one of that name. So a name holds every fact of its line, and values that can't be
compared have different names.
Source: the section "Custom benchmark result" in the action's README.
"""

from __future__ import annotations

import re

from nets.errors import counted
from nets.history.records import History, Line
from nets.records.metrics import Worse
from nets.report.text import plain

MAX_NAME = 500


def entries(history: History, worse: Worse) -> list[dict[str, str | float]]:
    """An entry for each line with the newest commit that is worse in this direction (`more`: smaller is better)."""
    newest = max(line.points[-1].place for line in history.lines)
    return [_entry(line) for line in history.lines if line.worse == worse and line.points[-1].place == newest]


def _entry(line: Line) -> dict[str, str | float]:
    point = line.points[-1]
    under = ", ".join(f"{condition.fact} {_short(condition.value)}" for condition in line.under)
    entry: dict[str, str | float] = {
        "name": _text(f"{line.cell} {line.metric} ({under})"),
        "unit": line.unit,
        "value": point.value,
    }
    if point.std is not None:
        entry["range"] = f"± {point.std:.4g}"
    n = f"{counted(point.n_values, 'value')} of {counted(point.n_runs, 'run')}"
    dirty = ", with uncommitted changes" if point.dirty else ""
    disturbed = ", of disturbed rounds alone" if point.disturbed else ""
    entry["extra"] = _text(f"commit {point.commit}{dirty}, {point.time}, {n}{disturbed}")
    return entry


def _short(value: str) -> str:
    """The value, a SHA-256 in it cut to its first digits."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1", value)


def _text(text: str) -> str:
    """Text that is safe in the action's page and comment: without markup, mentions and the bars of tables."""
    return re.sub(r"[<>|`\[\]\\*]|@(?=\w)", "�", plain(text, MAX_NAME))
