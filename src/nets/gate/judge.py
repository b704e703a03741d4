"""Base and head runs -> findings and an exit code; pure.

A cell that base has must be in head, and must have passed there. Two records of a cell are compared if nothing but
the code under test differs (`nets.gate.comparability`); what differs is named, and may be allowed. The network, and an
accuracy that has a band, are judged in any case. How time is judged, paired or not: `nets.gate.timing`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from nets.errors import Unusable
from nets.gate.accuracy import accuracy_finding
from nets.gate.bands import band_for
from nets.gate.comparability import ComparedCell, compared_cells
from nets.gate.confirmation import confirmed, findings_again, findings_on_measured
from nets.gate.figures import depth_by_cost, network_findings
from nets.gate.findings import ComparedRun, Finding, Gate, Status, exit_code
from nets.gate.limits import Limits
from nets.gate.notes import notes, of_choice
from nets.gate.speedups import doubted
from nets.gate.timing import TIMES
from nets.records.cell import Outcome, Result
from nets.records.run import Run


def judge_runs(base: Run, head: Run, limits: Limits, cells: Collection[str] = ()) -> Gate:
    """Compare head with base; of the cells with these ids, or of all.

    Raises Unusable for a base without a cell, with which nothing can be compared, and for an id that neither run has.
    """
    for run in (base, head):
        run.demand_one_record_a_cell()
    whole = base, head
    if cells:
        _demand_known(cells, base, head)
        base, head = base.only(cells), head.only(cells)
    if not base.cells:
        because = "".join(f"; {cell}: {why}" for cell, why in base.not_run[:1])
        raise Unusable(f"{base.source}: it holds no cell: there is nothing to compare with{because}")
    in_base, in_head = ({result.id for result in run.cells} for run in (base, head))
    both = compared_cells(base, head)
    is_paired = base.pairing is not None and base.pairing == head.pairing
    measured = findings_on_measured(base, head, limits, "screen")
    again = findings_again(base, head, limits)
    outcomes_again = {} if head.confirmation is None else {each.id: each.outcome for each in head.confirmation.results}
    why_not_in_head = head.why_not_run
    results = {result.id: result for result in head.cells}
    found: list[Finding | None] = []
    for cell in sorted(in_base | in_head):
        if cell in both:
            of_cell = measured.get(cell, ())
            if is_paired:
                of_cell = [confirmed(finding, again.get(cell, {})) for finding in of_cell]
            found += _in_both(both[cell], of_cell, outcomes_again.get(cell), limits.for_cell(cell))
        elif cell in in_head:
            found += _new(results[cell], limits.for_cell(cell))
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
        notes=(*of_choice(whole, cells, limits), *notes(base, head, tuple(both.values()), findings, limits)),
        findings=findings,
    )


def _demand_known(cells: Collection[str], base: Run, head: Run) -> None:
    known = {result.id for run in (base, head) for result in run.cells}
    known |= {cell for run in (base, head) for cell, _ in run.not_run}
    for cell in cells:
        if cell not in known:
            raise Unusable(f"--cells {cell}: neither file has it; they have {', '.join(sorted(known)) or 'none'}")


def _new(head: Result, limits: Limits) -> Iterator[Finding | None]:
    yield Finding(cell=head.id, metric="cell", status="new", because="in head, not in base")
    if head.outcome.status != "passed":
        yield _outcome(None, head)
    yield accuracy_finding(None, head, band_for(None, head, limits), limits)


def _in_both(
    cell: ComparedCell, measured: Sequence[Finding], again: Outcome | None, limits: Limits
) -> Iterator[Finding | None]:
    """The findings on a cell; `measured`: those on what was measured of it, none where it can't be compared.

    `again`: how head's cell ended in a second measurement, if there was one.
    """
    base, head = cell.results
    band = band_for(base, head, limits)
    if forbidding := cell.forbidding(limits):
        yield Finding(cell=head.id, metric="cell", status="incomparable", because="; ".join(forbidding))
    yield _outcome(base, head, again)
    if head.outcome.status == "error":
        return
    if base.outcome.status == "error":
        because = "base's cell broke off: there is nothing to compare with"
        yield Finding(cell=head.id, metric="total_s", status="not enough data", because=because)
    if not cell.is_comparable(limits):
        yield accuracy_finding(None, head, band, limits)
        yield from network_findings(base, head, limits)
        return
    allowed = "; ".join(f"compared on purpose across {difference}" for difference in cell.differences.values())
    of_time = [finding.with_note(allowed) for finding in measured if finding.metric in TIMES]
    yield from of_time if allowed else doubted(of_time, limits)
    yield from (finding for finding in measured if finding.metric not in TIMES)
    yield from network_findings(base, head, limits)
    is_slower = any((finding.metric, finding.status) == ("total_s", "regressed") for finding in measured)
    yield depth_by_cost(base, head, is_slower=is_slower)


def _outcome(base: Result | None, head: Result, again: Outcome | None = None) -> Finding:
    """A cell that fails, be it in the second measurement alone, has failed."""
    was = None if base is None else base.outcome.status
    is_ = head.outcome.status
    if is_ == "passed" and again is not None and again.status != "passed":
        because = f"in the second measurement: {'; '.join(again.failures) or 'it gives no reason'}"
        return Finding(cell=head.id, metric="outcome", status="regressed", base=was, head=again.status, because=because)
    if is_ == "passed":
        status: Status = "ok" if was in (None, "passed") else "improved"
        return Finding(cell=head.id, metric="outcome", status=status, base=was, head=is_)
    because = "; ".join(head.outcome.failures) or "it gives no reason"
    if was == is_:
        because = f"base has failed, too, and nothing passes by that: {because}"
    return Finding(cell=head.id, metric="outcome", status="regressed", base=was, head=is_, because=because)


def _compared_run(run: Run) -> ComparedRun:
    devices = (str(result.device) for result in run.cells)
    return ComparedRun(
        source=run.source,
        n_cells=len(run.cells),
        torch=run.versions.torch,
        cuda=run.versions.cuda,
        cudnn=run.versions.cudnn,
        python=run.versions.python,
        devices=tuple(dict.fromkeys(devices)),
        protocols=tuple(dict.fromkeys(result.protocol.name for result in run.cells)),
        commit=run.commit.id,
        subject=run.commit.subject,
        dirty=run.commit.dirty,
        ran=run.ran,
    )
