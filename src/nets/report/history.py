"""A history as lines for a terminal, from its records alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import chain

from rich.text import Text

from nets.errors import counted
from nets.history.archive import UNVERSIONED
from nets.history.records import Change, Condition, History, Line, Point
from nets.report.document import ALWAYS_SHOWN, MAX_SENTENCE, Grid, terminal_lines
from nets.report.text import plain, value_text
from nets.stats.changepoints import ALPHA_BUMP, ALPHA_STEP, MIN_COMMITS

MAX_NAMED = 10
MAX_CHANGES = 4
BLOCKS = "▁▂▃▄▅▆▇█"
MAX_TREND_LENGTH = 24


def history_lines(history: History, *, width: int, color: bool, everything: bool = False) -> list[str]:
    """The lines with a change, and every time and accuracy; what was skipped; the number of changes last."""
    shown = [line for line in history.lines if everything or line.changes or line.metric in ALWAYS_SHOWN]
    under = _distinguishing_conditions(history)
    headings = ["cell", "metric", *(["under"] if under else []), "commits", "first", "last", "trend", "changes"]
    table = Grid(headings, right=("commits", "first", "last"))
    for line in shown:
        row = [
            line.cell,
            line.metric,
            *([under.get((line.cell, line.under), "")] if under else []),
            str(len(line.points)),
            *(value_text(line.metric, line.points[i].value, whole=line.state == "exact") for i in (0, -1)),
            trend(line.points),
            _changes(line),
        ]
        table.add_row(*(Text(plain(cell)) for cell in row[:-1]), Text(plain(row[-1], MAX_SENTENCE), style=_style(line)))
    parts: list[Text | Grid] = [Text(_caption(history))]
    parts += [table] if shown else []
    parts += [Text(plain(sentence, MAX_SENTENCE)) for sentence in _sentences(history, len(history.lines) - len(shown))]
    parts.append(Text(_count(history), style="bold"))
    return terminal_lines(parts, width=width, color=color)


def trend(points: tuple[Point, ...]) -> str:
    """The values from lowest to highest as blocks; of more points than there is room for, means of neighbours."""
    values = [point.value for point in points]
    n = min(len(values), MAX_TREND_LENGTH)
    bins = [values[i * len(values) // n : (i + 1) * len(values) // n] for i in range(n)]
    means = [sum(each) / len(each) for each in bins]
    low, high = min(means), max(means)
    if low == high:
        return BLOCKS[3] * n
    return "".join(BLOCKS[round((mean - low) / (high - low) * (len(BLOCKS) - 1))] for mean in means)


def _caption(history: History) -> str:
    order = "in the repository's order" if history.topological else "in the order of their times"
    files, commits = counted(history.n_files, "result file"), counted(history.n_commits, "commit")
    return f"{files} of {commits}, {history.first[:10]} to {history.last[:10]}, {order}"


def _distinguishing_conditions(history: History) -> dict[tuple[str, tuple[Condition, ...]], str]:
    """For each cell measured under several conditions: the facts in which they differ."""
    found = {}
    of_cell: dict[str, set[tuple[Condition, ...]]] = defaultdict(set)
    for line in history.lines:
        of_cell[line.cell].add(line.under)
    for cell, conditions in of_cell.items():
        n_values = Counter(condition.fact for condition in set(chain.from_iterable(conditions)))
        for each in conditions:
            if differing := [f"{c.fact} {c.value}" for c in each if n_values[c.fact] > 1]:
                found[cell, each] = ", ".join(differing)
    return found


def _changes(line: Line) -> str:
    if line.state == "too few":
        return f"too few commits to tell: {MIN_COMMITS} at least"
    if not line.changes:
        return "none"
    n_earlier = len(line.changes) - MAX_CHANGES
    earlier = [f"{n_earlier} earlier"] if n_earlier > 0 else []
    return "; ".join([*earlier, *(_change_text(line, change) for change in line.changes[-MAX_CHANGES:])])


def _change_text(line: Line, change: Change) -> str:
    if line.state == "exact":
        effect = f"{change.before:,.0f} → {change.after:,.0f}"
    elif line.metric == "accuracy":
        effect = f"{100 * change.effect:+.2f} points"
    else:
        effect = f"{100 * change.effect:+.1f} %"
    name = change.begins if change.begins == UNVERSIONED else change.begins[:7]
    star = "*" if line.points[change.index].dirty else ""
    return f"{effect} at {name}{star} ({change.time[:10]})"


def _style(line: Line) -> str:
    if not line.changes:
        return ""
    return {"worse": "red", "better": "green", None: "yellow"}[line.changes[-1].direction]


def _sentences(history: History, n_hidden: int) -> Iterator[str]:
    for named, word in ((history.passed_over, "passed over"), (history.notes, "note")):
        yield from (f"{word}: {sentence}" for sentence in named[:MAX_NAMED])
        if len(named) > MAX_NAMED:
            yield f"{word}: and {len(named) - MAX_NAMED} more, which --json names"
    if n_hidden:
        yield f"{n_hidden} lines without a change are not shown: --all"


def _count(history: History) -> str:
    """The number of changes, and how many are expected by chance."""
    n_changes = sum(len(line.changes) for line in history.lines)
    n_changed = sum(bool(line.changes) for line in history.lines)
    n_tested = sum(line.state == "tested" for line in history.lines)
    changes = "no change" if n_changes == 0 else "1 change" if n_changes == 1 else f"{n_changes} changes"
    on = f" on {n_changed} of {len(history.lines)} lines" if n_changes else f" on {len(history.lines)} lines"
    by_chance = n_tested * (ALPHA_STEP + ALPHA_BUMP)
    return f"{changes}{on}; {n_tested} were tested, of which {by_chance:.2g} would show one by chance"
