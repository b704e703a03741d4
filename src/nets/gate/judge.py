"""Base and head runs -> findings, and what they come to; pure.

A cell that base has must be in head, and must have passed there. Two records of a cell are compared if nothing but
the code under test differs (`nets.gate.comparability`); what differs is named, and may be allowed. The network, and an
accuracy that has a band, are judged in any case. How time is judged, paired or not: `nets.gate.timing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nets.errors import Unusable
from nets.gate.accuracy import accuracy_finding
from nets.gate.comparability import Difference, Sides, differences
from nets.gate.figures import depth_by_cost, figure_findings, network_findings, uncompared
from nets.gate.findings import Compared, Finding, Gate, Status, exit_code
from nets.gate.limits import Limits
from nets.gate.timing import Tested, paired_tests, time_findings
from nets.records.cell import Result
from nets.records.run import Run


def judge_runs(base: Run, head: Run, limits: Limits) -> Gate:
    """Hold head against base. Raises Unusable for a base without a cell: there is nothing to hold head against."""
    for run in (base, head):
        run.demand_one_record_a_cell()
    if not base.cells:
        because = "".join(f"; {cell}: {why}" for cell, why in base.not_run[:1])
        raise Unusable(f"{base.source}: it holds no cell: there is nothing to compare with{because}")
    pairing = base.pairing if base.pairing == head.pairing else None
    paired = pairing is not None
    both = [
        (before, after)
        for cell in sorted({result.id for result in base.cells})
        if (before := base.cell(cell)) is not None and (after := head.cell(cell)) is not None
    ]
    different = {before.id: differences(base, head, before, after) for before, after in both}
    comparable = {
        before.id: Sides(before, after, pairing)
        for before, after in both
        if not _refused(different[before.id], limits) and "error" not in (before.outcome.status, after.outcome.status)
    }
    tested = paired_tests(comparable.values(), limits)
    found: list[Finding] = []
    for cell in sorted({result.id for result in (*base.cells, *head.cells)}):
        before, after = base.cell(cell), head.cell(cell)
        if after is None:
            found.append(_missing(cell, head))
        elif before is None:
            found += _new(after, limits)
        else:
            found += _both(before, after, different[cell], comparable.get(cell), tested.get(cell), limits)
    return Gate(
        exit_code=exit_code({finding.status for finding in found}),
        base=_compared(base),
        head=_compared(head),
        paired=paired,
        limits=limits,
        notes=(*_notes(base, head, paired, limits), *_uncompared(comparable.values()), *_nowhere(base, head)),
        findings=tuple(found),
    )


def _refused(different: tuple[Difference, ...], limits: Limits) -> list[Difference]:
    return [difference for difference in different if difference.fact not in limits.allow]


def _missing(cell: str, head: Run) -> Finding:
    because = head.why_not_run(cell) or "head's file says nothing of it"
    return Finding(cell=cell, metric="cell", status="missing", because=f"in base, not in head: {because}")


def _new(head: Result, limits: Limits) -> Iterator[Finding]:
    yield Finding(cell=head.id, metric="cell", status="new", because="in head, not in base")
    if head.outcome.status != "passed":
        yield _outcome(None, head)
    of_accuracy = accuracy_finding(None, head, limits)
    if of_accuracy is not None:
        yield of_accuracy


def _both(
    base: Result,
    head: Result,
    different: tuple[Difference, ...],
    sides: Sides | None,
    tested: Tested | None,
    limits: Limits,
) -> Iterator[Finding]:
    refused = _refused(different, limits)
    if refused:
        because = "; ".join(str(difference) for difference in refused)
        yield Finding(cell=head.id, metric="cell", status="incomparable", because=because)
    yield _outcome(base, head)
    if head.outcome.status == "error":
        return
    if base.outcome.status == "error":
        because = "base's cell broke off: there is nothing to compare with"
        yield Finding(cell=head.id, metric="total_s", status="not enough data", because=because)
    is_slower = False
    if sides is not None:
        allowed = "; ".join(f"compared on purpose across {difference}" for difference in different) or None
        for finding in time_findings(sides, tested, limits):
            is_slower |= (finding.metric, finding.status) == ("total_s", "regressed")
            yield finding.noted(allowed)
    of_accuracy = accuracy_finding(None if sides is None else base, head, limits, () if sides is None else sides.pairs)
    if of_accuracy is not None:
        yield of_accuracy
    if sides is not None:
        yield from figure_findings(sides, limits)
    yield from network_findings(base, head, limits)
    if sides is not None and (by_cost := depth_by_cost(base, head, is_slower=is_slower)) is not None:
        yield by_cost


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


def _compared(run: Run) -> Compared:
    versions = run.versions
    return Compared(
        source=run.source,
        n_cells=len(run.cells),
        torch=versions.torch,
        cuda=versions.cuda,
        cudnn=versions.cudnn,
        python=versions.python,
    )


def _notes(base: Run, head: Run, paired: bool, limits: Limits) -> Iterator[str]:
    """What holds for every finding."""
    if paired:
        yield (
            f"paired: measured in turns, round by round; a total time has changed if it did by more than "
            f"{100 * limits.time:g} % and by a sign-flip test at {limits.alpha:g} over all cells; its parts are held "
            f"to {100 * limits.time_unpaired:g} %"
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


def _uncompared(comparable: Iterable[Sides]) -> Iterator[str]:
    """Figures that can't be compared, by the reason, which is mostly that of all cells."""
    found: dict[str, list[str]] = {}
    for sides in comparable:
        for metric, because in uncompared(sides):
            found.setdefault(because, []).append(f"{sides.cell} {metric}")
    for because, which in found.items():
        yield f"not compared: {', '.join(which)}: {because}"


def _nowhere(base: Run, head: Run) -> Iterator[str]:
    """Cells that were asked for, and that neither side ran."""
    for cell, because in dict([*head.not_run, *base.not_run]).items():
        if base.cell(cell) is None and head.cell(cell) is None:
            yield f"neither side ran {cell}: {because}"


def _drivers(run: Run) -> str | None:
    return ", ".join(sorted({result.device.driver for result in run.cells if result.device.driver})) or None
