"""Times that fell too far to be believed: a benchmark that stopped doing its work is fast; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nets.gate.findings import Finding
from nets.gate.limits import CellLimits


def doubted(times: Iterable[Finding], limits: CellLimits) -> Iterator[Finding]:
    """A cell's findings on time; of the total, or else of its parts, one that fell beyond `time_faster` can't tell.

    A part that moves the total too little to count is none of them.
    """
    is_told = False
    for finding in times:
        statuses = ("improved", "ok") if finding.metric == "total_s" else ("improved",)
        ratio = 1.0 if finding.effect is None else 1 + finding.effect
        if is_told or finding.status not in statuses or ratio >= 1 / (1 + limits.time_faster):
            yield finding
            continue
        is_told = finding.metric == "total_s"
        yield finding.replace(status="incomparable", limit=limits.time_faster).with_note(_question(ratio, limits))


def _question(ratio: float, limits: CellLimits) -> str:
    times = f"{1 / ratio:.3g}" if ratio > 0 else "countless"
    return (
        f"{times} times as fast as base, where more than {1 + limits.time_faster:g} times is not believed: does head "
        f"still do all of the work? If it does, set the limit time_faster"
    )
