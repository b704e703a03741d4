"""What was measured of each cell, and the second measurement of what has changed in the first; pure.

Where base and head were measured in turns, a measured figure that has changed in the first measurement, the screen, has
regressed or improved only if the second one, the confirmation, says so too; docs/gate.md has the rates of both. What is
no matter of chance (another network, a cell that fails, a loss that is not finite) needs none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nets.gate.accuracy import accuracy_finding
from nets.gate.bands import band_for
from nets.gate.comparability import ComparedCell, compared_cells
from nets.gate.figures import figure_findings
from nets.gate.findings import CHANGED, CONFIRMED, Finding
from nets.gate.levels import Stage
from nets.gate.limits import Limits
from nets.gate.timing import PairedTest, paired_tests, time_findings
from nets.records.run import Run


def findings_on_measured(base: Run, head: Run, limits: Limits, stage: Stage) -> dict[str, list[Finding]]:
    """The findings on times, accuracy and figures of each cell that both runs have and that can be compared, by id."""
    comparable = {cell: each for cell, each in compared_cells(base, head).items() if each.is_comparable(limits)}
    tests = paired_tests(comparable.values(), limits, stage)
    return {
        cell: list(_measured(each, tests.get(cell), limits.for_cell(cell), stage)) for cell, each in comparable.items()
    }


def _measured(cell: ComparedCell, test: PairedTest | None, limits: Limits, stage: Stage) -> Iterator[Finding]:
    yield from time_findings(cell, test, limits, stage)
    band = band_for(*cell.results, limits)
    if (accuracy := accuracy_finding(*cell.results, band, limits, cell.pairs, stage)) is not None:
        yield accuracy
    yield from figure_findings(cell, limits)


def findings_again(base: Run, head: Run, limits: Limits) -> dict[str, dict[str, Finding]]:
    """The findings of the second measurement of two runs made in turns, by cell and metric."""
    runs = base.confirming, head.confirming
    if runs[0] is None or runs[1] is None or runs[0].pairing != runs[1].pairing:
        return {}
    found = findings_on_measured(runs[0], runs[1], limits, "confirmation")
    return {cell: {finding.metric: finding for finding in findings} for cell, findings in found.items()}


def to_confirm(base: Run, head: Run, limits: Limits) -> tuple[str, ...]:
    """The cells of which a measured figure has changed in the first measurement of two runs made in turns."""
    found = findings_on_measured(base, head, limits, "screen")
    return tuple(cell for cell, findings in found.items() if any(map(is_to_confirm, findings)))


def is_to_confirm(finding: Finding) -> bool:
    """Whether what was measured has changed in a way that chance could have made."""
    return finding.status in CHANGED and not finding.is_certain


def confirmed(finding: Finding, again: Mapping[str, Finding]) -> Finding:
    """A measured finding of the screen as the confirmation leaves it; `again`: that one's on the cell, by metric."""
    second, because = again.get(finding.metric), finding.because
    if second is not None and second.is_certain and not finding.is_certain:
        return second.with_note("in the second measurement")
    if not is_to_confirm(finding):
        return finding
    if second is None:
        if finding.status == "improved":
            return finding.with_note("it was not measured again")
        note = "it was not measured again, and one measurement blocks nothing"
        return finding.replace(status="not enough data").with_note(note)
    first = f"the first measurement: {finding.effect_text or finding.status}{f', {because}' if because else ''}"
    if second.status == finding.status:
        shown = f"{CONFIRMED}: {second.because or second.status}"
        return second.replace(because=f"{shown}; {first}")
    if second.status in ("not enough data", "not measured"):
        shown = f"a second measurement, of other data, could not confirm it: {second.because or second.status}"
        return second.replace(status="not enough data", because=f"{shown}; {first}")
    shown = f"a second measurement, of other data, does not confirm the first: {second.because or second.status}"
    return second.replace(status="ok", because=f"{shown}; {first}")
