"""A history in sentences and a table, from its records alone: the changes by commit first, then every line."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import chain

from nets.errors import counted
from nets.history.commits import UNVERSIONED
from nets.history.records import Change, ChangedCommit, Condition, Direction, History, JointChange, Line
from nets.report.document import ALWAYS_SHOWN, Cell, Part, Section, Sentence, Table, Tone, sentences, table
from nets.report.sentence import MAX_SUBJECT
from nets.report.text import plain, value_text
from nets.report.trend import MAX_TREND_LENGTH, MIN_TREND_LENGTH, trend
from nets.stats.changepoints import ALPHA_BUMP, ALPHA_STEP

MAX_NAMED = 10
MAX_COMMITS = 20
MAX_CHANGES = 2
TONES: dict[Direction | None, Tone] = {"worse": "bad", "better": "good", None: "doubtful"}
Under = dict[tuple[str, tuple[Condition, ...]], str]


def history_parts(
    history: History, *, width: int | None, everything: bool = False, has_options: bool = True
) -> list[Part]:
    """What changed, by commit; the lines with a change of their own, and every total time and accuracy; the count.

    `width`: of a line, in characters; trends take what the other columns leave of it, as long as they can be with None.
    `has_options`: the options of `nets history` that show more are named.
    """
    shown = shown_lines(history, everything=everything)
    under = distinguishing_conditions(history)
    parts: list[Part] = [Sentence(_caption(history))]
    if history.changed_commits:
        changes = tuple(_commits(history.changed_commits, under, width, ", which --json names" if has_options else ""))
        parts.append(Section("Changes, the newest first", changes))
    parts += [_table(shown, under, width)] if shown else []
    parts += sentences(_sentences(history, len(history.lines) - len(shown), has_options=has_options))
    return [*parts, Sentence(count_of_changes(history), "strong")]


def shown_lines(history: History, *, everything: bool = False) -> list[Line]:
    """The lines with a change of their own, and every total time and accuracy."""
    own = {(each.cell, each.metric, each.under) for commit in history.changed_commits for each in commit.changes}
    return [
        line
        for line in history.lines
        if everything or (line.cell, line.metric, line.under) in own or line.metric in ALWAYS_SHOWN
    ]


def _caption(history: History) -> str:
    order = "in the repository's order" if history.topological else "in the order of their times"
    files, commits = counted(history.n_files, "result file"), counted(history.n_commits, "commit")
    return f"{files} of {commits}, {history.first[:10]} to {history.last[:10]}, {order}"


def _commits(commits: tuple[ChangedCommit, ...], under: Under, width: int | None, more: str) -> Iterator[Part]:
    """A line for each commit at which something begins, the newest first, and below it one for each change."""
    for commit in commits[: -MAX_COMMITS - 1 : -1]:
        place = f"{_name(commit.begins)}{'*' if commit.dirty else ''} ({commit.time[:10]})"
        room = MAX_SUBJECT if width is None else min(MAX_SUBJECT, max(20, width - len(place) - 2))
        yield Sentence(f"{place} {plain(commit.subject or '', room)}")
        for change in commit.changes:
            yield Sentence(_joint_text(change, commit, under), TONES[change.direction], level=1)
    if len(commits) > MAX_COMMITS:
        yield Sentence(f"... and at {counted(len(commits) - MAX_COMMITS, 'earlier commit')}{more}")


def _joint_text(change: JointChange, commit: ChangedCommit, under: Under) -> str:
    """A change, and in parentheses what goes with it."""
    conditions = under.get((change.cell, change.under), "")
    parts = [
        f"{part.metric} {effect_text(part.metric, part.effect)}"
        f"{'' if part.begins == commit.begins else f' at {_name(part.begins)}'}"
        for part in change.parts
    ]
    return (
        f"{change.cell}{f' [{conditions}]' if conditions else ''}  {change.metric} "
        f"{effect_text(change.metric, change.effect, change)}{' (' if parts else ''}{', '.join(parts)}"
        f"{')' if parts else ''}{', by disturbed rounds alone at first' if change.disturbed else ''}"
    )


def effect_text(metric: str, effect: float, change: JointChange | Change | None = None) -> str:
    """A ratio in percent, an accuracy's difference in points, a count's both values."""
    if metric in ("parameters", "layers") and change is not None:
        return f"{change.before:,.0f} → {change.after:,.0f}"
    return f"{100 * effect:+.2f} points" if metric == "accuracy" else f"{100 * effect:+.1f} %"


def _name(commit: str) -> str:
    return commit if commit == UNVERSIONED else commit[:7]


def _table(shown: list[Line], under: Under, width: int | None) -> Table:
    headings = ["cell", "metric", *(["under"] if under else []), "commits", "first", "last", "trend", "changes"]
    rows = [
        [
            plain(cell)
            for cell in (
                line.cell,
                line.metric,
                *([under.get((line.cell, line.under), "")] if under else []),
                str(len(line.points)),
                *(_value_text(line, i) for i in (0, -1)),
                "",
                _changes(line),
            )
        ]
        for line in shown
    ]
    taken = sum(
        max(len(row[i]) for row in [headings, *rows]) + 3 for i in range(len(headings)) if i != len(headings) - 2
    )
    n = MAX_TREND_LENGTH if width is None else min(MAX_TREND_LENGTH, max(MIN_TREND_LENGTH, width - taken - 1))
    made: list[list[str | Cell]] = [
        [
            *row[:-5],
            Cell(row[-5], value=len(line.points)),
            Cell(row[-4], value=line.points[0].value),
            Cell(row[-3], value=line.points[-1].value),
            trend(line, n),
            Cell(row[-1], TONES[line.changes[-1].direction] if line.changes else "plain"),
        ]
        for line, row in zip(shown, rows, strict=True)
    ]
    return table(headings, made, right=("commits", "first", "last"))


def _value_text(line: Line, i: int) -> str:
    mark = "~" if line.points[i].disturbed else ""
    return f"{mark}{value_text(line.metric, line.points[i].value, whole=line.unit == '')}"


def _changes(line: Line) -> str:
    """The commits at which levels begin, the newest first."""
    if line.state == "too few":
        return "too few"
    if not line.changes:
        return "none"
    n_earlier = len(line.changes) - MAX_CHANGES
    newest = [_place(line, change) for change in line.changes[: -MAX_CHANGES - 1 : -1]]
    return f"{', '.join(newest)}{f' and {n_earlier} earlier' if n_earlier > 0 else ''}"


def _place(line: Line, change: Change) -> str:
    return f"{_name(change.begins)}{'*' if line.points[change.index].dirty else ''}"


def distinguishing_conditions(history: History) -> Under:
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


def _sentences(history: History, n_hidden: int, *, has_options: bool) -> Iterator[str]:
    for named, word in ((history.passed_over, "passed over"), (history.notes, "note")):
        yield from (f"{word}: {sentence}" for sentence in named[:MAX_NAMED])
        if len(named) > MAX_NAMED:
            yield f"{word}: and {len(named) - MAX_NAMED} more{', which --json names' if has_options else ''}"
    if n_hidden:
        all_ = " (--all)" if has_options else ""
        yield f"not shown, without a change of their own: {counted(n_hidden, 'line')}{all_}"


def changes_in_words(history: History) -> str:
    """The number of changes, or that there is none, or nothing that could be told, as a sentence."""
    first, *_ = count_of_changes(history).split("; ")
    return f"{first[:1].upper()}{first[1:]}."


def count_of_changes(history: History) -> str:
    """The number of changes, how many are expected by chance, and of how many lines nothing can be told."""
    n = len(history.lines)
    n_changes = sum(len(commit.changes) for commit in history.changed_commits)
    n_changed = sum(bool(line.changes) for line in history.lines)
    n_tested = sum(line.state == "tested" for line in history.lines)
    n_too_few = sum(line.state == "too few" for line in history.lines)
    too_few = f"too few commits to tell{f' on {n_too_few} of {n} lines' if n_too_few < n else ''}"
    parts = []
    if n_changes:
        at = counted(len(history.changed_commits), "commit")
        parts.append(f"{counted(n_changes, 'change')} at {at}, on {n_changed} of {counted(n, 'line')}")
    elif n_too_few < n:
        parts.append(f"no change found on {counted(n - n_too_few, 'line')}")
    if n_tested:
        by_chance = n_tested * (ALPHA_STEP + ALPHA_BUMP)
        parts.append(f"{n_tested} were tested, of which {by_chance:.2g} would show one by chance")
    if n_too_few:
        parts.append(f"{too_few}: {history.min_commits} at least")
    return "; ".join(parts if n_tested or n_changes else reversed(parts))
