"""The gate's findings and verdict, for a terminal, and as Markdown for a job summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, get_args

from nets.errors import EXIT_CODES, Exit, counted
from nets.gate.findings import FAILING, INCONCLUSIVE, ComparedRun, Finding, Gate, Status
from nets.report.document import (
    ALWAYS_SHOWN,
    Cell,
    Part,
    Section,
    Sentence,
    Table,
    Tone,
    sentences,
    table,
)
from nets.report.markdown import markdown_text
from nets.report.sentence import commit_text, sentence
from nets.report.text import ABSENT, value_text

HEADINGS = ("cell", "metric", "base", "head", "effect", "interval", "limit", "finding")
VERDICTS: Mapping[int, str] = {Exit.FINE: "pass", Exit.REGRESSED: "FAIL", Exit.CANT_TELL: EXIT_CODES[Exit.CANT_TELL]}


def gate_document(gate: Gate) -> list[Part]:
    """For a terminal, where the last lines are seen first: the verdict ends it."""
    return [*gate_parts(gate), Sentence(sentence(gate), "strong"), Sentence(verdict(gate), "strong")]


def gate_markdown(gate: Gate) -> str:
    """The same for a job summary, whose first lines are seen first."""
    title = f"nets gate: {VERDICTS[gate.exit_code]}"
    parts = (Sentence(sentence(gate), "strong"), *gate_parts(gate), Sentence(verdict(gate), "strong"))
    return markdown_text([Section(title, parts)])


def gate_json(gate: Gate) -> dict[str, Any]:
    """The same for programs: every finding, and the sentence."""
    return {**gate.to_json(), "sentence": sentence(gate)}


def gate_parts(gate: Gate) -> list[Part]:
    """What is compared; what was found; the notes."""
    found = findings_table(gate)
    notes = sentences(f"note: {note}" for note in gate.notes)
    parts = [*sentences(captions(gate)), *([found] if found.rows else []), *_not_in_the_table(gate)]
    return [*parts, *findings_sentences(gate), *notes]


def findings_table(gate: Gate) -> Table:
    """What is not ok, with every time and accuracy, or no row."""
    rows = [_cells(finding, paired=gate.paired) for finding in shown_findings(gate)]
    below = {"metric": "cell", "interval": "effect"}
    return table(HEADINGS, rows, right=HEADINGS[2:7], below=below)


def _not_in_the_table(gate: Gate) -> list[Part]:
    """How many findings the table leaves out, and of what: the verdict counts them."""
    others = [finding.metric for finding in gate.findings if not _is_shown(finding)]
    if not others:
        return []
    metrics = ", ".join(dict.fromkeys(others))
    return [Sentence(f"not in the table, since ok: {counted(len(others), 'more finding')}, of {metrics}")]


def findings_sentences(gate: Gate) -> list[Part]:
    """Why each is not ok, the worst first."""
    return [Sentence(_sentence(finding), tone_of(finding.status)) for finding in _worst_first(gate)]


def verdict(gate: Gate) -> str:
    """The verdict, with the number of findings of each status, the worst first."""
    counts = Counter((finding.status, status_text(finding, paired=gate.paired)) for finding in gate.findings)
    worst_first = sorted(counts, key=lambda found: (get_args(Status).index(found[0]), -counts[found], found[1]))
    statuses = ", ".join(f"{counts[found]} {found[1]}" for found in worst_first)
    return f"{VERDICTS[gate.exit_code]} ({statuses}; exit {gate.exit_code})"


def shown_findings(gate: Gate) -> list[Finding]:
    """What is not ok, and every time and accuracy."""
    return [finding for finding in gate.findings if _is_shown(finding)]


def _is_shown(finding: Finding) -> bool:
    return finding.status != "ok" or finding.metric in ALWAYS_SHOWN


def _worst_first(gate: Gate) -> list[Finding]:
    """The findings that are not ok."""
    return [finding for status in get_args(Status) if status != "ok" for finding in gate.with_status(status)]


def captions(gate: Gate) -> Iterator[str]:
    """The files that are compared, what they ran under, and what they are of."""
    for name, run in (("base", gate.base), ("head", gate.head)):
        parts = [counted(run.n_cells, "cell"), f"torch {run.torch or 'unknown'}"]
        parts += ["no CUDA" if run.cuda is None else f"CUDA {run.cuda}", *run.devices]
        parts += [f"protocol {' and '.join(run.protocols)}"] if run.protocols else []
        yield f"{name}: {run.source}: {', '.join(parts)}"
        if run.commit is not None or run.ran is not None:
            yield f"{name}: {_commit(run)}{'' if run.ran is None else f', run on {moment(run.ran)}'}"


def _commit(run: ComparedRun) -> str:
    commit = commit_text(run.commit, run.subject, dirty=run.dirty)
    return "of no known commit" if commit is None else f"commit {commit}"


def moment(ran: str) -> str:
    """Of a date and time in ISO 8601 up to the minute, with its offset from UTC; anything else as it is."""
    try:
        moment = datetime.fromisoformat(ran)
    except ValueError:
        return ran
    return f"{moment:%Y-%m-%d %H:%M}{f' {moment:%Z}' if moment.tzinfo else ''}"


def _sentence(finding: Finding) -> str:
    """A finding with its reason; of one by the limit alone this is the limit, and what may explain it follows."""
    by_limit_alone = finding.status in ("regressed", "improved") and finding.limit is not None and finding.p is None
    beyond = f"beyond the limit of {limit_text(finding)}" if by_limit_alone else None
    reasons = "; ".join(filter(None, (beyond, finding.because)))
    return f"{finding.status}: {finding.cell} {finding.metric}: {reasons}"


def _cells(finding: Finding, *, paired: bool) -> tuple[str | Cell, ...]:
    return (
        finding.cell,
        finding.metric,
        _value(finding.metric, finding.base),
        _value(finding.metric, finding.head),
        Cell(finding.effect_text or ABSENT, value=finding.effect),
        interval_text(finding),
        Cell(limit_text(finding), value=finding.limit),
        Cell(status_text(finding, paired=paired), tone_of(finding.status)),
    )


def status_text(finding: Finding, *, paired: bool) -> str:
    """The status; of a ratio that is ok between two stored files no more is known than that it is within the limit."""
    if paired or finding.status != "ok" or finding.metric == "accuracy":
        return finding.status
    if finding.limit is None or finding.effect is None:
        return finding.status
    is_within = 1 / (1 + finding.limit) <= 1 + finding.effect <= 1 + finding.limit
    return f"within {limit_text(finding)}" if is_within else finding.status


def _value(metric: str, value: int | float | str | None) -> Cell:
    if value is None or isinstance(value, str):
        return Cell(value or ABSENT)
    return Cell(value_text(metric, value, whole=isinstance(value, int)), value=value)


def interval_text(finding: Finding) -> str:
    """An effect's interval with its confidence."""
    if finding.low is None or finding.high is None or finding.confidence is None:
        return ABSENT
    low, high = (finding.replace(effect=bound).effect_text for bound in (finding.low, finding.high))
    return f"{low} to {high} ({100 * finding.confidence:.4g} %)"


def limit_text(finding: Finding) -> str:
    """Its limit, a ratio's in per cent, an accuracy's in percentage points."""
    if finding.limit is None:
        return ABSENT
    return f"{100 * finding.limit:g} points" if finding.metric == "accuracy" else f"{100 * finding.limit:g} %"


def tone_of(status: Status) -> Tone:
    """How a finding is marked; one that neither improved nor failed, `ok` and `new`, has no mark."""
    if status in FAILING:
        return "bad"
    if status in INCONCLUSIVE:
        return "doubtful"
    return "good" if status == "improved" else "plain"
