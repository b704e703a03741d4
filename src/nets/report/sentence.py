"""The gate's verdict in one sentence that can be forwarded: what, by how much, how sure, where, since which commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nets.errors import Exit, counted
from nets.gate.findings import FAILING, INCONCLUSIVE, ComparedRun, Finding, Gate
from nets.report.text import listed, plain

MAX_FIGURES = 3
"""So many are named; of the others the number is told."""
MAX_SUBJECT = 72
"""Characters of a commit's first line that are shown."""
NO_COMMIT = (None, "unversioned", "unknown")
"""pytest-benchmark's words for it, too."""


def _percent(worse: str, better: str) -> Callable[[float], str]:
    return lambda effect: f"{100 * abs(effect):.1f} % {worse if effect > 0 else better}"


def _points(effect: float) -> str:
    return f"{100 * abs(effect):.2f} points {'more' if effect > 0 else 'less'} accurate"


PHRASES: Mapping[str, Callable[[float], str]] = {
    "total_s": lambda effect: f"is {_percent('slower', 'faster')(effect)}",
    "train_s": lambda effect: f"trains {_percent('slower', 'faster')(effect)}",
    "eval_s": lambda effect: f"evaluates {_percent('slower', 'faster')(effect)}",
    "accuracy": lambda effect: f"is {_points(effect)}",
    "rss_peak_bytes": lambda effect: f"takes {_percent('more', 'less')(effect)} of the host's memory",
    "memory_peak_training_bytes": lambda effect: (
        f"takes {_percent('more', 'less')(effect)} of the GPU's memory to train"
    ),
    "memory_peak_evaluation_bytes": lambda effect: (
        f"takes {_percent('more', 'less')(effect)} of the GPU's memory to evaluate"
    ),
    "core_s": lambda effect: f"takes {_percent('more', 'less')(effect)} of the processor",
    "energy_j": lambda effect: f"takes {_percent('more', 'less')(effect)} energy",
}
"""How a change of a metric is said of a cell."""


def sentence(gate: Gate) -> str:
    """The verdict, made safe to print."""
    where = f"{_at(gate.head)}, against base{_at(gate.base)}{_where(gate)}."
    if gate.exit_code == Exit.REGRESSED:
        worse = gate.with_status(*FAILING)
        said = _told([_change(finding, gate) for finding in worse])
        return plain(f"{said}{where}", 1_000)
    if gate.exit_code == Exit.CANT_TELL:
        unknown = [f"{each.cell} {each.metric} ({each.status})" for each in gate.with_status(*INCONCLUSIVE)]
        return plain(f"It can't be told of {_told(unknown)}{where}", 1_000)
    cells = {finding.cell for finding in gate.findings}
    better = [_change(finding, gate) for finding in gate.with_status("improved")]
    wide = "" if gate.paired else f" by more than {100 * gate.limits.time_unpaired:g} % of time"
    said = f"Nothing regressed{wide} in {counted(len(cells), 'cell')}{_range(gate)}"
    also = f"; {_told(better)}" if better else ""
    return plain(f"{said}{also}{where}", 1_000)


def _change(finding: Finding, gate: Gate) -> str:
    phrase = PHRASES.get(finding.metric)
    if phrase is None or finding.effect is None:
        return f"{finding.cell} {finding.metric} {finding.status} ({finding.because or 'no reason is given'})"
    sure = []
    if finding.low is not None and finding.high is not None and finding.confidence is not None:
        low, high = (finding.replace(effect=bound).effect_text for bound in (finding.low, finding.high))
        sure.append(f"{low} to {high} with {100 * finding.confidence:.3g} % confidence")
    if finding.is_confirmed:
        sure.append("measured twice")
    elif gate.paired and finding.status == "improved":
        sure.append("measured once")
    how_sure = f" ({', '.join(sure)})" if sure else ""
    return f"{finding.cell} {phrase(finding.effect)}{how_sure}"


def _told(figures: list[str]) -> str:
    return listed(figures, MAX_FIGURES, between="; ")


def _range(gate: Gate) -> str:
    """Between which bounds the total times have changed."""
    effects = [each.effect for each in gate.findings if each.metric == "total_s" and each.effect is not None]
    if not effects:
        return ""
    low, high = (f"{100 * effect:+.1f} %" for effect in (min(effects), max(effects)))
    return f", total time {low if low == high else f'{low} to {high}'}"


def _at(run: ComparedRun) -> str:
    """Of which commit a run is, with its subject; nothing where that is not known."""
    commit = commit_text(run.commit, run.subject, dirty=run.dirty)
    return "" if commit is None else f" at {commit}"


def commit_text(commit: str | None, subject: str | None, *, dirty: bool) -> str | None:
    """A commit, its subject, and whether there were changes besides; None where it is not known."""
    if commit in NO_COMMIT:
        return None
    named = f" ({plain(subject, MAX_SUBJECT)})" if subject else ""
    return f"{str(commit)[:12]}{named}{', with uncommitted changes' if dirty else ''}"


def _where(gate: Gate) -> str:
    devices = ", ".join(gate.head.devices)
    how = "measured in turns" if gate.paired else "two stored files"
    return f"; {how}{f' on {devices}' if devices else ''}"
