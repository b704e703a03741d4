"""A history's newest commit in github-action-benchmark's custom JSON: `customSmallerIsBetter`, `customBiggerIsBetter`.

Each entry has `name`, `unit`, `value`, and, as text, `range` and `extra`. The action draws one chart a name and
compares a value with the last one of that name, so that a name holds every fact of the line: what can't be compared has
another.
Source: the section "Custom benchmark result" in the action's README.
"""

from __future__ import annotations

import re

from nets.history.records import History, Line
from nets.records.metrics import Worse
from nets.report.text import plain

MAX_NAME = 500


def entries(history: History, worse: Worse) -> list[dict[str, str | float]]:
    """Of every line that has the newest commit, and of which more (smaller is better), or less, is worse."""
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
    runs = "one run" if point.n_runs == 1 else f"{point.n_runs} runs"
    values = "one value" if point.n_values == 1 else f"{point.n_values} values"
    dirty = ", with uncommitted changes" if point.dirty else ""
    entry["extra"] = _text(f"commit {point.commit}{dirty}, {point.time}, {values} of {runs}")
    return entry


def _short(value: str) -> str:
    """A checksum's first digits do."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1", value)


def _text(text: str) -> str:
    """Text from a file that the action puts into a page and a comment: no markup, no mention, no table's bar."""
    return re.sub(r"[<>|`\[\]\\*]|@(?=\w)", "�", plain(text, MAX_NAME))
