"""Base and head rounds -> findings on time; pure.

**Paired** runs. The total time of a cell (train + evaluate) is tested: a sign-flip test on the log-ratios of the paired
rounds. It is one-sided, once for slower and once for faster, since these are two claims: either family of tests, one a
cell, makes any false claim with a chance of `alpha` at most, by Holm over the cells. A two-sided test could find
nothing with five pairs (2/32 > 0.05), and Holm over the metrics as well nothing with eight. A cell has regressed, or
improved, if the test says so *and* the effect is beyond the limit. Where the effect is beyond the limit and the test
does not confirm it, there is not enough data. The smallest p of n pairs is 2^-n, so that with m cells 2^-n <= alpha / m
must hold: 5 pairs decide one cell, 6 three, 7 six, 8 twelve, 10 fifty-one. Cells with fewer are not enough data
either, unless they pass the wide limit of unpaired files. Pairs of one sitting, run by the same two processes, count
as one pair, their middle one; and a cell that could stop at one of several looks is tested with an equal share of
`alpha` a look (`nets.ab.looks` says why).

**Unpaired** files: the ratio of geometric means against a wide limit, without a test: numbers from another machine
or day differ by tens of per cent, and no test on the rounds within a file can know by how much.

**Parts** (train, evaluate) are held to the wide limit alone, paired or not, so that they take no power from the total;
and a part whose change moves the total by less than the paired limit is let pass: milliseconds jitter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import fmean, median

from nets.gate.comparability import Sides
from nets.gate.findings import Finding, beyond, with_ratio
from nets.gate.limits import Limits
from nets.records.cell import Round
from nets.stats.inference import Shift, holm, paired_shift, pairs_needed, sign_flip, welch

MAX_S = 1e9
"""Thirty years: no round takes longer, and sums of what a damaged file says would overflow."""
Seconds = Callable[[Round], float]


def _total_s(round_: Round) -> float:
    return round_.time_s


def _train_s(round_: Round) -> float:
    return round_.train_s


def _eval_s(round_: Round) -> float:
    return round_.eval_s


@dataclass(frozen=True, slots=True)
class Tested:
    """A cell's paired test: p of slower and of faster, adjusted over `n_cells` and `n_looks`; the pairs it needs."""

    slower_p: float
    faster_p: float
    n_cells: int
    n_looks: int
    needed: int


def paired_tests(comparable: Iterable[Sides], limits: Limits) -> dict[str, Tested]:
    """The paired tests of all cells that have enough sittings to be tested at all, by the cell's id."""
    comparable = tuple(comparable)
    n_looks = max((sides.pairing.looks for sides in comparable if sides.pairing is not None), default=1)
    found = {sides.cell: d for sides in comparable if len(d := _log_ratios(sides, _total_s)) >= limits.min_pairs}
    slower = holm([sign_flip(d) for d in found.values()])
    faster = holm([sign_flip([-x for x in d]) for d in found.values()])
    return {
        cell: Tested(
            min(1.0, n_looks * slower_p),
            min(1.0, n_looks * faster_p),
            len(found),
            n_looks,
            max(limits.min_pairs, pairs_needed(len(found) * n_looks, limits.alpha)),
        )
        for cell, slower_p, faster_p in zip(found, slower, faster, strict=True)
    }


def time_findings(sides: Sides, tested: Tested | None, limits: Limits) -> Iterator[Finding]:
    """On the total, then on its parts; `tested` is None where there are too few pairs."""
    yield _total(sides, tested, limits).noted("; ".join([*_disturbed(sides), *_executed(sides)]) or None)
    for metric, seconds in (("train_s", _train_s), ("eval_s", _eval_s)):
        if _is_timed(sides, seconds):
            yield _part(sides, metric, seconds, limits)


def _total(sides: Sides, tested: Tested | None, limits: Limits) -> Finding:
    if not _is_timed(sides, _total_s):
        because = "there is no round, or one whose time can't be: 0, or above thirty years"
        return Finding(cell=sides.cell, metric="total_s", status="not enough data", because=because)
    bare = _bare(sides, "total_s", _total_s)
    shift = _log_shift(sides, _total_s)
    if not sides.paired:
        status = beyond(shift.point, limits.time_unpaired)
        return with_ratio(bare.model_copy(update={"status": status}), shift, limits.time_unpaired)
    n = len(sides.sittings)
    if tested is None or n < tested.needed:
        return _too_few(bare, shift, sides, tested, limits)
    p = tested.slower_p if shift.point > 0 else tested.faster_p
    status = beyond(shift.point, limits.time)
    because = f"{_several(n, sides)}, sign-flip p = {p:.2g} adjusted over {_counted(tested)}"
    if status != "ok" and p > limits.alpha:
        status, because = "not enough data", f"{because}: too noisy to tell, repeat with more rounds"
    return with_ratio(bare.model_copy(update={"status": status, "p": p, "because": because}), shift, limits.time)


def _too_few(bare: Finding, shift: Shift, sides: Sides, tested: Tested | None, limits: Limits) -> Finding:
    """Even the clearest difference could not be significant; the wide limit still holds."""
    n = len(sides.sittings)
    too_few = f"{_several(n, sides)} {'is' if n == 1 else 'are'} too few"
    because = f"{too_few}, a test needs at least {limits.min_pairs}"
    if tested is not None:
        because = f"{too_few} to decide {_counted(tested)}, it takes at least {tested.needed}"
    elif n == 0:
        because = "no sitting is whole: they name one pairing, but too few of their rounds have the same seeds"
    status, limit = beyond(shift.point, limits.time_unpaired), limits.time_unpaired
    if status == "ok":
        status, limit = "not enough data", limits.time
    else:
        because = f"{because}; but this is beyond even the limit of unpaired files"
    return with_ratio(bare.model_copy(update={"status": status, "because": because}), shift, limit)


def _part(sides: Sides, metric: str, seconds: Seconds, limits: Limits) -> Finding:
    bare, shift = _bare(sides, metric, seconds), _log_shift(sides, seconds)
    status, because = beyond(shift.point, limits.time_unpaired), None
    base_s, head_s = (fmean(map(seconds, side.rounds)) for side in (sides.base, sides.head))
    total_s = min(fmean(map(_total_s, side.rounds)) for side in (sides.base, sides.head))
    if status != "ok" and abs(head_s - base_s) < limits.time * total_s:
        status, because = "ok", f"it moves the total by less than {100 * limits.time:g} %"
    return with_ratio(bare.model_copy(update={"status": status, "because": because}), shift, limits.time_unpaired)


def _bare(sides: Sides, metric: str, seconds: Seconds) -> Finding:
    base_s, head_s = (fmean(map(seconds, side.rounds)) for side in (sides.base, sides.head))
    return Finding(cell=sides.cell, metric=metric, status="ok", base=base_s, head=head_s)


def _is_timed(sides: Sides, seconds: Seconds) -> bool:
    return all(
        side.rounds and all(0 < seconds(round_) < MAX_S for round_ in side.rounds) for side in (sides.base, sides.head)
    )


def _log_ratios(sides: Sides, seconds: Seconds) -> list[float]:
    """Head over base of each sitting, its middle pair's, as logarithms; none without a time on each side."""
    if not _is_timed(sides, seconds):
        return []
    return [
        median(math.log(seconds(head)) - math.log(seconds(base)) for base, head in pairs) for pairs in sides.sittings
    ]


def _log_shift(sides: Sides, seconds: Seconds) -> Shift:
    """The logarithm of head over base: of pairs by their middle, else of geometric means with Welch's interval."""
    if sides.pairs:
        return paired_shift(_log_ratios(sides, seconds))
    base, head = ([math.log(seconds(round_)) for round_ in side.rounds] for side in (sides.base, sides.head))
    if min(len(base), len(head)) < 2:
        return Shift(fmean(head) - fmean(base))
    return welch(base, head).shift


def _several(n: int, sides: Sides) -> str:
    what = "pair" if sides.pairing is None or sides.pairing.rounds == 1 else "sitting"
    return f"one {what}" if n == 1 else f"{n} {what}s"


def _counted(tested: Tested) -> str:
    cells = "one cell" if tested.n_cells == 1 else f"{tested.n_cells} cells"
    return cells if tested.n_looks == 1 else f"{cells} and {tested.n_looks} looks"


def _disturbed(sides: Sides) -> Iterator[str]:
    """Which side's rounds were disturbed by other processes."""
    for name, result in (("base", sides.base), ("head", sides.head)):
        n = sum(bool(round_.disturbed) for round_ in result.rounds)
        if n:
            yield f"{n} of {len(result.rounds)} rounds of {name} were disturbed by other processes"


def _executed(sides: Sides) -> Iterator[str]:
    """What the code chose differently: it may explain a difference, and forbids no comparison."""
    was, is_ = sides.base.execution, sides.head.execution
    if was.mode != is_.mode:
        why = f" ({is_.fallback_because})" if is_.fallback_because else ""
        yield f"executed otherwise: base {was.mode}, head {is_.mode}{why}"
    if was.memory_format != is_.memory_format:
        yield f"another memory format: base {was.memory_format}, head {is_.memory_format}"
    if was.wait_policy != is_.wait_policy:
        yield f"another wait policy of OpenMP: base {was.wait_policy}, head {is_.wait_policy}"
    if was.tf32 != is_.tf32:
        yield f"another TF32 setting: base {was.tf32}, head {is_.tf32}"
