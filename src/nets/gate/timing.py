"""Base and head rounds -> findings on time; pure.

**Paired** runs. The total time of a cell (train + evaluate) is tested: a sign-flip test on the log-ratios of the paired
rounds, one-sided, once for slower and once for faster, since these are two claims. A cell has changed if the test says
so *and* the effect is beyond the limit. Where the effect is beyond the limit and the test does not confirm it, there is
not enough data. Pairs of one sitting, run by the same two processes, count as one pair, the median one. The levels are
those of `nets.gate.levels`: in the screen the same for each cell and look, in the confirmation divided among them. The
smallest p of n pairs is 2^-n; cells with fewer than could be significant are not enough data either, unless they exceed
the wide limit of unpaired files.

**Unpaired** files: the ratio of geometric means against a wide limit, without a test: numbers from another machine
or day differ by tens of per cent, and no test on the rounds within a file can know by how much.

**Parts** (train, evaluate) have the wide limit alone, paired or not, so that they take no power from the total. A part
whose change moves the total by less than the paired limit is ok: milliseconds jitter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from statistics import fmean, median

from nets.errors import counted
from nets.gate.comparability import ComparedCell
from nets.gate.findings import Finding, ratio_status
from nets.gate.levels import RULED_OUT, Stage, rules_out, share
from nets.gate.limits import Limits
from nets.records.cell import Result, Round
from nets.stats.inference import Shift, holm, paired_shift, pairs_needed, sign_flip, welch

MAX_S = 1e9
"""Thirty years: no round takes longer, and sums of a damaged file's numbers would overflow."""
TIMES: Mapping[str, Callable[[Round], float]] = {
    "total_s": attrgetter("time_s"),
    "train_s": attrgetter("train_s"),
    "eval_s": attrgetter("eval_s"),
}
"""How each metric of time is taken from a round."""


@dataclass(frozen=True, slots=True)
class PairedTest:
    """A cell's paired test: p of slower and of faster, to be held against `level`; the pairs it needs.

    In the confirmation both are adjusted over the looks and over `n_cells`.
    """

    slower_p: float
    faster_p: float
    level: float
    n_needed: int
    adjusted: str


def paired_tests(comparable: Iterable[ComparedCell], limits: Limits, stage: Stage) -> dict[str, PairedTest]:
    """The paired tests of all cells that have enough sittings to be tested at all, by the cell's id."""
    found = {cell.id: d for cell in comparable if len(d := _log_ratios(cell, "total_s")) >= limits.min_pairs}
    shares = [share(stage, len(d)) for d in found.values()]
    slower, faster = (
        [min(1.0, sign_flip([sign * x for x in d]) / part) for d, part in zip(found.values(), shares, strict=True)]
        for sign in (1, -1)
    )
    level, adjusted, n_tests = limits.alpha, "", 1
    if stage == "confirmation":
        slower, faster = list(holm(slower)), list(holm(faster))
        level, adjusted = limits.confirm_alpha, f" adjusted over {counted(len(found), 'cell')} and the looks"
        n_tests = max(1, len(found))
    return {
        cell: PairedTest(
            slower_p=slower_p,
            faster_p=faster_p,
            level=level,
            n_needed=max(limits.min_pairs, pairs_needed(n_tests, level * part)),
            adjusted=adjusted,
        )
        for cell, slower_p, faster_p, part in zip(found, slower, faster, shares, strict=True)
    }


def time_findings(
    cell: ComparedCell, test: PairedTest | None, limits: Limits, stage: Stage = "screen"
) -> Iterator[Finding]:
    """The findings on the total and on its parts; `test` is None where there are too few pairs."""
    yield _total(cell, test, limits, stage).with_note("; ".join(_notes(cell)))
    for metric in ("train_s", "eval_s"):
        if _is_timed(cell, metric):
            yield _part(cell, metric, limits)


def _total(cell: ComparedCell, test: PairedTest | None, limits: Limits, stage: Stage) -> Finding:
    if not _is_timed(cell, "total_s"):
        because = "there is no round, or one whose time can't be: 0, or above thirty years"
        return Finding(cell=cell.id, metric="total_s", status="not enough data", because=because)
    found, shift = _mean_times(cell, "total_s"), _log_shift(cell, "total_s")
    if cell.pairing is None:
        status = ratio_status(shift.point, limits.time_unpaired)
        may_be_none = (
            status != "ok" and shift.low is not None and shift.high is not None and shift.low <= 0 <= shift.high
        )
        scatter = "its interval holds 0: the rounds' scatter alone may have made it" if may_be_none else None
        return found.with_ratio(shift, limits.time_unpaired, status=status, because=scatter)
    if test is None or len(cell.sittings) < test.n_needed:
        return _too_few(found, shift, cell, test, limits, stage)
    p = test.slower_p if shift.point > 0 else test.faster_p
    status = ratio_status(shift.point, limits.time)
    because = f"{_counted_pairs(cell)}, sign-flip p = {p:.2g}{test.adjusted}"
    if status != "ok" and p > test.level:
        status, because = "not enough data", f"{because}: too noisy to tell, give it more sittings"
    elif status == "ok" and not rules_out(shift, limits.time):
        beyond = f"{100 * RULED_OUT * limits.time:g} %"
        status, because = "not enough data", f"{because}: too noisy to rule out {beyond}, give it more sittings"
    return found.with_ratio(shift, limits.time, status=status, p=p, because=because)


def _too_few(
    found: Finding, shift: Shift, cell: ComparedCell, test: PairedTest | None, limits: Limits, stage: Stage
) -> Finding:
    """The finding where not even the clearest difference could be significant.

    In the screen the wide limit still holds, which asks for a confirmation; that has to be by a test.
    """
    n = len(cell.sittings)
    because = f"{_counted_pairs(cell)} {'is' if n == 1 else 'are'} too few"
    if test is not None:
        because += f", it takes at least {test.n_needed}"
    elif n == 0:
        because = "no sitting is whole: they name one pairing, but too few of their rounds have the same seeds"
    else:
        because += f", a test needs at least {limits.min_pairs}"
    status = ratio_status(shift.point, limits.time_unpaired)
    if status == "ok" or stage == "confirmation":
        return found.with_ratio(shift, limits.time, status="not enough data", because=because)
    because += "; but this is beyond even the limit of unpaired files"
    return found.with_ratio(shift, limits.time_unpaired, status=status, because=because)


def _part(cell: ComparedCell, metric: str, limits: Limits) -> Finding:
    shift = _log_shift(cell, metric)
    status, because = ratio_status(shift.point, limits.time_unpaired), None
    base_s, head_s = (fmean(_seconds(result, metric)) for result in cell.results)
    total_s = min(fmean(_seconds(result, "total_s")) for result in cell.results)
    if status != "ok" and abs(head_s - base_s) < limits.time * total_s:
        status, because = "ok", f"it moves the total by less than {100 * limits.time:g} %"
    return _mean_times(cell, metric).with_ratio(shift, limits.time_unpaired, status=status, because=because)


def _mean_times(cell: ComparedCell, metric: str) -> Finding:
    base_s, head_s = (fmean(_seconds(result, metric)) for result in cell.results)
    return Finding(cell=cell.id, metric=metric, status="ok", base=base_s, head=head_s)


def _seconds(result: Result, metric: str) -> list[float]:
    return [TIMES[metric](round_) for round_ in result.rounds]


def _is_timed(cell: ComparedCell, metric: str) -> bool:
    return all(
        result.rounds and all(0 < seconds < MAX_S for seconds in _seconds(result, metric)) for result in cell.results
    )


def _log_ratios(cell: ComparedCell, metric: str) -> list[float]:
    """The logarithm of head over base of each sitting's median pair; none without a time in every round."""
    if not _is_timed(cell, metric):
        return []
    seconds = TIMES[metric]
    return [
        median(math.log(seconds(head)) - math.log(seconds(base)) for base, head in pairs) for pairs in cell.sittings
    ]


def _log_shift(cell: ComparedCell, metric: str) -> Shift:
    """The logarithm of head over base: the middle of the pairs, else of geometric means with Welch's interval."""
    if cell.pairs:
        return paired_shift(_log_ratios(cell, metric))
    base, head = ([math.log(seconds) for seconds in _seconds(result, metric)] for result in cell.results)
    if min(len(base), len(head)) < 2:
        return Shift(fmean(head) - fmean(base))
    return welch(base, head).shift


def _counted_pairs(cell: ComparedCell) -> str:
    return counted(len(cell.sittings), "pair" if cell.pairing is None or cell.pairing.rounds == 1 else "sitting")


def _notes(cell: ComparedCell) -> Iterator[str]:
    """What may explain a difference: disturbed rounds, and another mode; other settings are named for all cells."""
    for name, result in (("base", cell.base), ("head", cell.head)):
        n = sum(bool(round_.disturbed) for round_ in result.rounds)
        if n:
            yield f"{n} of {len(result.rounds)} rounds of {name} were disturbed by other processes"
    was, is_ = cell.base.execution, cell.head.execution
    if was.mode != is_.mode:
        why = f" ({is_.fallback_because})" if is_.fallback_because else ""
        yield f"executed otherwise: base {was.mode}, head {is_.mode}{why}"
