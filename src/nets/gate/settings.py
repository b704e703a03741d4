"""Versions and settings that differ between the sides and forbid no comparison, whatever a record may hold; pure.

Every field of a record is a setting, but for those that are measured, are verdicts, or say why one of these is null
(`MEASURED`), and for the one that is another each time without a meaning. So a new field is named without being
listed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nets.gate.comparability import FIELDS, ComparedCell
from nets.gate.limits import Limits
from nets.records.cell import Result
from nets.records.run import Run
from nets.records.versions import flat

MEASURED = frozenset(
    {"network", "rounds", "accuracy", "band", "gpu", "trace", "cpu", "depth", "outcome", "predictions"}
    | {f"{name}_missing_because" for name in ("band", "gpu", "trace", "predictions")}
)
WITHOUT_MEANING = "where.worker"
"""Which of xdist's workers a cell fell to."""
MAX_CELLS = 10
"""As many cells are named where a setting differs in some."""


def other_settings(base: Run, head: Run, cells: Sequence[ComparedCell], limits: Limits) -> Iterator[str]:
    """A sentence for each version and setting that differs, with both values, but for what forbids a comparison.

    What is allowed to differ comes first. `cells`: all that both runs have; where something differs in some of them
    alone, these are named.
    """
    allowed: dict[str, list[str]] = {}
    for cell in cells:
        for sentence in (cell.differences[fact] for fact in cell.differences if fact in limits.allow):
            allowed.setdefault(sentence, []).append(cell.id)
    for sentence, ids in allowed.items():
        yield f"compared on purpose across {sentence}{_where(ids, cells)}"
    was, is_ = base.versions.by_name(), head.versions.by_name()
    for name in was:
        if name in is_ and name not in ("torch", "cuda") and was[name] != is_[name]:
            yield _sentence(name, was[name], is_[name])
    found: dict[tuple[str, str | None, str | None], list[str]] = {}
    for cell in cells:
        for difference in _differences(cell):
            found.setdefault(difference, []).append(cell.id)
    for difference, ids in found.items():
        yield _sentence(*difference) + _where(ids, cells)


def _differences(cell: ComparedCell) -> Iterator[tuple[str, str | None, str | None]]:
    told = {field for fact in cell.differences for field in FIELDS.get(fact, ())} | {WITHOUT_MEANING}
    was, is_ = map(_settings, cell.results)
    for name in dict.fromkeys((*was, *is_)):
        if name not in told and was.get(name) != is_.get(name):
            yield name, was.get(name), is_.get(name)


def _settings(result: Result) -> dict[str, str | None]:
    return dict(flat(result.model_dump(exclude=set(MEASURED))))


def _sentence(name: str, was: str | None, is_: str | None) -> str:
    values = f"base {'none' if was is None else was}, head {'none' if is_ is None else is_}"
    return f"another {name}, which forbids no comparison: {values}"


def _where(ids: Sequence[str], cells: Sequence[ComparedCell]) -> str:
    """The cells by their ids, unless it is all of them."""
    more = f" and {len(ids) - MAX_CELLS} more" if len(ids) > MAX_CELLS else ""
    return f" (in {', '.join(ids[:MAX_CELLS])}{more})" if len(ids) < len(cells) else ""
