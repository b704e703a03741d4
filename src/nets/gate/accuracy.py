"""Head's accuracy against its band, or against base's where it has none; pure.

A band is a prediction interval of reference runs (see `nets.verdicts.bands`) and needs no base. Three rounds leave it
wide, so rounds that were measured in turns, with the same seeds, are held against each other as well, by the sign-flip
test; ten of them can show what no band sees (shuffling that was lost, say). Without a band or pairs the rounds are
compared by Welch's test. Both tests are at a strict level, and a least difference must be passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from nets.gate.findings import Finding, Status
from nets.gate.limits import Limits
from nets.records.cell import Result, Round
from nets.stats.inference import CONFIDENCE, paired_shift, sign_flip, welch

Pairs = Sequence[tuple[Round, Round]]

SUGGESTIVE = 1 - CONFIDENCE
"""A difference this unlikely, and not yet significant, is worth more rounds."""


def accuracy_finding(base: Result | None, head: Result, limits: Limits, pairs: Pairs = ()) -> Finding | None:
    """What to say of head's accuracy, None where there is nothing to hold it against; no `base` if not comparable.

    `pairs`: base's and head's rounds of the same seeds, if both were measured in turns.
    """
    if not head.rounds or head.accuracy is None:
        return None if base is None or base.accuracy is None else _lost(base, head)
    was = base.accuracy.mean if base is not None and base.rounds and base.accuracy is not None else None
    is_ = head.accuracy.mean
    bare = Finding(cell=head.id, metric="accuracy", status="ok", base=was, head=is_)
    effect = None if was is None else is_ - was
    diverged = sum(round_.diverged for round_ in head.rounds)
    if diverged or (head.band is not None and head.band.verdict == "diverged"):
        because = f"diverged: in {diverged} of {len(head.rounds)} rounds a loss was not finite"
        return bare.model_copy(update={"status": "regressed", "effect": effect, "because": because})
    if head.band is not None:
        band = head.band
        status: Status = "ok" if band.verdict == "inside" else "regressed"
        meaning = {"below": ": training is broken", "above": ": a leak, are there test images in training?"}
        because = (
            f"{band.verdict} its band {band.low:.4f}–{band.high:.4f} of {band.n} reference runs"
            f"{meaning.get(band.verdict, '')}"
        )
        banded = bare.model_copy(update={"status": status, "effect": effect, "because": because})
        return banded if status == "regressed" else _with_pairs(banded, pairs, limits) or banded
    if (paired := _with_pairs(bare, pairs, limits)) is not None:
        return paired
    return None if base is None or was is None else _without_band(bare, base, head, limits)


def _with_pairs(bare: Finding, pairs: Pairs, limits: Limits) -> Finding | None:
    """The same seeds on both sides show a change that is too small for a band; None where they don't, or can't."""
    differences = [head.accuracy - base.accuracy for base, head in pairs]
    if not differences or abs(effect := fmean(differences)) < limits.accuracy:
        return None
    status: Status = "regressed" if effect < 0 else "improved"
    p = sign_flip(differences if effect > 0 else [-x for x in differences])
    if p > limits.accuracy_alpha:
        return None
    shift = paired_shift(differences)
    said = f"{len(differences)} pairs of the same seeds, sign-flip p = {p:.2g}"
    update: dict[str, object] = {
        "status": status,
        "effect": effect,
        "low": shift.low,
        "high": shift.high,
        "confidence": shift.confidence,
        "limit": limits.accuracy,
        "p": p,
        "because": said if bare.because is None else f"{bare.because}; but by {said}",
    }
    return bare.model_copy(update=update)


def _without_band(bare: Finding, base: Result, head: Result, limits: Limits) -> Finding:
    before = [round_.accuracy for round_ in base.rounds]
    after = [round_.accuracy for round_ in head.rounds]
    effect = fmean(after) - fmean(before)
    because = f"it has no band: {head.band_missing_because or 'no reason is given'}"
    is_beyond = abs(effect) >= limits.accuracy
    update: dict[str, object] = {"effect": effect, "limit": limits.accuracy}
    status: Status = "ok"
    if min(len(before), len(after)) < 2:
        if is_beyond:
            status, because = "not enough data", f"{because}; one round can't be told from chance"
    else:
        found = welch(before, after)
        shift = found.shift
        update |= {"low": shift.low, "high": shift.high, "confidence": shift.confidence, "p": found.p}
        if is_beyond and found.p <= limits.accuracy_alpha:
            status = "regressed" if effect < 0 else "improved"
            because = f"{because}; against base, Welch's p = {found.p:.2g}"
        elif is_beyond and found.p < SUGGESTIVE:
            status = "not enough data"
            because = (
                f"{because}; Welch's p = {found.p:.2g} is no proof, and too little for chance: repeat with more rounds"
            )
    return bare.model_copy(update={**update, "status": status, "because": because})


def _lost(base: Result, head: Result) -> Finding:
    was = None if base.accuracy is None else base.accuracy.mean
    because = "head has no finished round"
    return Finding(cell=head.id, metric="accuracy", status="not measured", base=was, because=because)
