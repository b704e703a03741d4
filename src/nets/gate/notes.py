"""Sentences on how all cells were compared, on what differs between the sides, and on what was not compared; pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from fnmatch import fnmatchcase

from nets.errors import counted
from nets.gate.comparability import ComparedCell
from nets.gate.figures import incomparable_figures
from nets.gate.findings import Finding
from nets.gate.limits import Limits
from nets.gate.settings import other_settings
from nets.records.run import CommitInfo, Run

_HASH = re.compile(r"[0-9a-f]{12,64}")


def notes(
    base: Run, head: Run, cells: Sequence[ComparedCell], findings: Sequence[Finding], limits: Limits
) -> Iterator[str]:
    """All notes on a gate; `cells`: those that both runs have, comparable or not."""
    if base.pairing is not None and base.pairing == head.pairing:
        some = " (another for some cells, see above)" if limits.cells else ""
        yield (
            f"paired: measured in turns, round by round; a total time has changed if it did by more than "
            f"{100 * limits.time:g} %{some} and by a sign-flip test, and did so again in a second measurement; its "
            f"parts are held to {100 * limits.time_unpaired:g} %"
        )
    else:
        yield from _of_two_files(base, head, findings, limits)
    yield from other_settings(base, head, cells, limits)
    yield from incomparable_figures(cell for cell in cells if cell.is_comparable(limits))
    measured = {result.id for run in (base, head) for result in run.cells}
    for cell, because in dict([*head.not_run, *base.not_run]).items():
        if cell not in measured:
            yield f"neither side ran {cell}: {because}"


def of_choice(runs: tuple[Run, Run], cells: Collection[str], limits: Limits) -> Iterator[str]:
    """What was chosen: the cells, and limits of some of them; a pattern of which matches no cell of either run."""
    known = sorted({result.id for run in runs for result in run.cells})
    if cells:
        yield f"--cells: {len(set(cells).intersection(known))} of {counted(len(known), 'cell')} are judged"
    for pattern, of_them in limits.cells.items():
        matching = [cell for cell in known if fnmatchcase(cell, pattern)]
        values = ", ".join(f"{name} = {getattr(of_them, name):g}" for name in sorted(of_them.model_fields_set))
        which = f"for {', '.join(matching)}" if matching else "no cell of base or head has such an id"
        yield f'gate.cells."{pattern}": {values or "nothing"}, {which}'


def _of_two_files(base: Run, head: Run, findings: Sequence[Finding], limits: Limits) -> Iterator[str]:
    if base.pairing is not None and head.pairing is not None:
        yield "each file names a pairing, but not the same: their rounds are no pairs"
    yield (
        f"unpaired: two stored files are not measured side by side, and stored times differ by tens of per cent "
        f"from machine to machine and day to day; so the limit on time is wide ({100 * limits.time_unpaired:g} %), "
        f"and a smaller regression passes unseen"
    )
    if (direction := _common_direction(findings)) is not None:
        yield (
            f"every interval of a total time excludes 0: head is {direction}, by more than chance among the rounds "
            f"explains, be it another day, another machine or the code; `{_nets_ab(base.commit, head.commit)}` "
            f"measures both in turns, and can tell which"
        )


def _common_direction(findings: Sequence[Finding]) -> str | None:
    """How all total times differ whose interval is known; None where any may be the same, or none is known."""
    intervals = [
        (finding.low, finding.high)
        for finding in findings
        if finding.metric == "total_s" and finding.low is not None and finding.high is not None
    ]
    if not intervals or any(low <= 0 <= high for low, high in intervals):
        return None
    slower = sum(low > 0 for low, _ in intervals)
    return {len(intervals): "slower", 0: "faster"}.get(slower, "slower or faster")


def _nets_ab(base: CommitInfo, head: CommitInfo) -> str:
    """The command, with both commits where each is known, and they are not the same."""
    ids = [info.id for info in (base, head) if info.id and not info.dirty and _HASH.fullmatch(info.id)]
    named = [each[:12] for each in ids] if len(set(ids)) == 2 else ["BASE", "HEAD"]
    return f"nets ab {' '.join(named)}"
