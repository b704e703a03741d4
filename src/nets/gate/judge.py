"""Base and head runs -> findings and an exit code; pure.

A cell that base has must be in head, and must have passed there. Two records of a cell are compared if nothing but
the code under test differs (`nets.gate.comparability`); what differs is named, and may be allowed. The network, and an
accuracy that has a band, are judged in any case. How time is judged, paired or not: `nets.gate.timing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from nets.errors import Unusable
from nets.gate.accuracy import accuracy_finding
from nets.gate.comparability import ComparedCell, compared_cells
from nets.gate.confirmation import confirmed, findings_again, findings_on_measured
from nets.gate.figures import depth_by_cost, incomparable_figures, network_findings
from nets.gate.findings import ComparedRun, Finding, Gate, Status, exit_code
from nets.gate.limits import Limits
from nets.gate.timing import TIMES
from nets.records.cell import Result
from nets.records.run import Run


def judge_runs(base: Run, head: Run, limits: Limits) -> Gate:
    """Compare head with base. Raises Unusable for a base without a cell, with which nothing can be compared."""
    for run in (base, head):
        run.demand_one_record_a_cell()
    if not base.cells:
        because = "".join(f"; {cell}: {why}" for cell, why in base.not_run[:1])
        raise Unusable(f"{base.source}: it holds no cell: there is nothing to compare with{because}")
    in_base, in_head = ({result.id for result in run.cells} for run in (base, head))
    both = compared_cells(base, head)
    is_paired = base.pairing is not None and base.pairing == head.pairing
    measured = findings_on_measured(base, head, limits, "screen")
    again = findings_again(base, head, limits)
    why_not_in_head = head.why_not_run
    results = {result.id: result for result in head.cells}
    found: list[Finding | None] = []
    for cell in sorted(in_base | in_head):
        if cell in both:
            of_cell = measured.get(cell, ())
            if is_paired:
                of_cell = [confirmed(finding, again.get(cell, {})) for finding in of_cell]
            found += _in_both(both[cell], of_cell, limits)
        elif cell in in_head:
            found += _new(results[cell], limits)
        else:
            because = why_not_in_head.get(cell) or "head's file says nothing of it"
            because = f"in base, not in head: {because}"
            found.append(Finding(cell=cell, metric="cell", status="missing", because=because))
    findings = tuple(filter(None, found))
    return Gate(
        exit_code=exit_code({finding.status for finding in findings}),
        base=_compared_run(base),
        head=_compared_run(head),
        paired=is_paired,
        limits=limits,
        notes=tuple(_notes(base, head, [both[cell] for cell in measured], limits, paired=is_paired)),
        findings=findings,
    )


def _new(head: Result, limits: Limits) -> Iterator[Finding | None]:
    yield Finding(cell=head.id, metric="cell", status="new", because="in head, not in base")
    if head.outcome.status != "passed":
        yield _outcome(None, head)
    yield accuracy_finding(None, head, limits)


def _in_both(cell: ComparedCell, measured: Sequence[Finding], limits: Limits) -> Iterator[Finding | None]:
    """The findings on a cell; `measured`: those on what was measured of it, none where it can't be compared."""
    base, head = cell.results
    if forbidding := cell.forbidding(limits):
        yield Finding(cell=head.id, metric="cell", status="incomparable", because="; ".join(forbidding))
    yield _outcome(base, head)
    if head.outcome.status == "error":
        return
    if base.outcome.status == "error":
        because = "base's cell broke off: there is nothing to compare with"
        yield Finding(cell=head.id, metric="total_s", status="not enough data", because=because)
    if not cell.is_comparable(limits):
        yield accuracy_finding(None, head, limits)
        yield from network_findings(base, head, limits)
        return
    allowed = "; ".join(f"compared on purpose across {difference}" for difference in cell.differences.values())
    yield from (finding.with_note(allowed) if finding.metric in TIMES else finding for finding in measured)
    yield from network_findings(base, head, limits)
    is_slower = any((finding.metric, finding.status) == ("total_s", "regressed") for finding in measured)
    yield depth_by_cost(base, head, is_slower=is_slower)


def _outcome(base: Result | None, head: Result) -> Finding:
    was = None if base is None else base.outcome.status
    is_ = head.outcome.status
    if is_ == "passed":
        status: Status = "ok" if was in (None, "passed") else "improved"
        return Finding(cell=head.id, metric="outcome", status=status, base=was, head=is_)
    because = "; ".join(head.outcome.failures) or "it gives no reason"
    if was == is_:
        because = f"base has failed, too, and nothing passes by that: {because}"
    return Finding(cell=head.id, metric="outcome", status="regressed", base=was, head=is_, because=because)


def _compared_run(run: Run) -> ComparedRun:
    return ComparedRun(source=run.source, n_cells=len(run.cells), **asdict(run.versions))


def _notes(base: Run, head: Run, cells: Iterable[ComparedCell], limits: Limits, *, paired: bool) -> Iterator[str]:
    """How all cells were compared, and what was not; `cells`: the comparable ones."""
    if paired:
        yield (
            f"paired: measured in turns, round by round; a total time has changed if it did by more than "
            f"{100 * limits.time:g} % and by a sign-flip test, and did so again in a second measurement; its parts are "
            f"held to {100 * limits.time_unpaired:g} %"
        )
    else:
        if base.pairing is not None and head.pairing is not None:
            yield "each file names a pairing, but not the same: their rounds are no pairs"
        yield (
            f"unpaired: two stored files are not measured side by side, and stored times differ by tens of per cent "
            f"from machine to machine and day to day; so the limit on time is wide ({100 * limits.time_unpaired:g} %), "
            f"and a smaller regression passes unseen"
        )
    for name, was, is_ in (
        ("Python", base.versions.python, head.versions.python),
        ("cuDNN", base.versions.cudnn, head.versions.cudnn),
        ("driver", _drivers(base), _drivers(head)),
    ):
        if was != is_ and was is not None and is_ is not None:
            yield f"another {name}, which forbids no comparison: base {was}, head {is_}"
    yield from incomparable_figures(cells)
    measured = {result.id for run in (base, head) for result in run.cells}
    for cell, because in dict([*head.not_run, *base.not_run]).items():
        if cell not in measured:
            yield f"neither side ran {cell}: {because}"


def _drivers(run: Run) -> str | None:
    return ", ".join(sorted({result.device.driver for result in run.cells if result.device.driver})) or None
