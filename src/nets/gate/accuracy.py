"""Head's accuracy against a band, or against base's accuracy where there is none; pure.

A band is a prediction interval of reference runs (see `nets.verdicts.bands`); whose it is: `nets.gate.bands`. With
three rounds it is wide, so rounds that were measured in turns with the same seeds are also compared with each other by
the sign-flip test, at the levels of the screen and of the confirmation (`nets.gate.levels`); six pairs of each can show
what no band shows (images that are no longer shuffled, say). Without a band or pairs the rounds are compared by Welch's
test, at a strict level. The difference must reach a limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from nets.gate.bands import HeldBand, band_text
from nets.gate.findings import DIVERGED, Finding, Status
from nets.gate.levels import Stage
from nets.gate.limits import Limits
from nets.records.cell import Result, Round
from nets.stats.inference import CONFIDENCE, paired_shift, sign_flip, welch

Pairs = Sequence[tuple[Round, Round]]

SUGGESTIVE_P = 1 - CONFIDENCE
"""A difference with a smaller p that is not yet significant is worth more rounds."""


def accuracy_finding(
    base: Result | None,
    head: Result,
    held: HeldBand,
    limits: Limits,
    pairs: Pairs = (),
    stage: Stage = "screen",
) -> Finding | None:
    """The finding on head's accuracy; None where there is nothing to compare it with.

    `base`: None where it is not comparable. `held`: the band that judges, or why there is none. `pairs`: base's and
    head's rounds of the same seeds, if both were measured in turns, in that stage.
    """
    was = None if base is None or base.accuracy is None else base.accuracy.mean
    found = Finding(cell=head.id, metric="accuracy", status="ok", base=was)
    if not head.rounds or head.accuracy is None:
        return None if was is None else found.replace(status="not measured", because="head has no finished round")
    is_ = head.accuracy.mean
    found = found.replace(head=is_, effect=None if was is None else is_ - was)
    diverged, band = sum(round_.diverged for round_ in head.rounds), held.band
    if diverged or (band is not None and band.verdict == "diverged"):
        because = f"{DIVERGED}in {diverged} of {len(head.rounds)} rounds a loss was not finite"
        return found.replace(status="regressed", because=because)
    if band is not None:
        meaning = {"below": ": training is broken", "above": ": a leak, are there test images in training?"}
        because = f"{band_text(band, held.whose)}{meaning.get(band.verdict, '')}{held.note}"
        if band.verdict != "inside":
            other = head.band is not None and head.band.verdict == "inside"
            hint = "; if the bands were changed on purpose, --allow bands judges by head's" if other else ""
            return found.replace(status="regressed", because=f"{because}{hint}")
        found = found.replace(because=because)
    if (paired := _with_pairs(found, pairs, stage, limits)) is not None:
        return paired
    if band is not None:
        return found
    return None if base is None or was is None or not base.rounds else _without_band(found, base, head, held, limits)


def _with_pairs(found: Finding, pairs: Pairs, stage: Stage, limits: Limits) -> Finding | None:
    """A significant difference of the rounds with the same seeds, which may be too small for a band; None if none."""
    differences = [head.accuracy - base.accuracy for base, head in pairs]
    if not differences or abs(effect := fmean(differences)) < limits.accuracy:
        return None
    p = sign_flip(differences if effect > 0 else [-x for x in differences])
    is_sure = p <= (limits.alpha if stage == "screen" else limits.confirm_alpha)
    if not is_sure and stage == "screen":
        return None
    shift = paired_shift(differences)
    because = f"{len(differences)} pairs of the same seeds, sign-flip p = {p:.2g}"
    changed: Status = "regressed" if effect < 0 else "improved"
    return found.replace(
        status=changed if is_sure else "not enough data",
        effect=effect,
        low=shift.low,
        high=shift.high,
        confidence=shift.confidence,
        limit=limits.accuracy,
        p=p,
        because=because if found.because is None else f"{found.because}; but by {because}",
    )


def _without_band(found: Finding, base: Result, head: Result, held: HeldBand, limits: Limits) -> Finding:
    before, after = ([round_.accuracy for round_ in result.rounds] for result in (base, head))
    effect = fmean(after) - fmean(before)
    because = f"it has no band: {held.missing_because or 'no reason is given'}"
    is_large = abs(effect) >= limits.accuracy
    found = found.replace(effect=effect, limit=limits.accuracy)
    status: Status = "ok"
    if min(len(before), len(after)) < 2:
        if is_large:
            status, because = "not enough data", f"{because}; one round can't be told from chance"
        return found.replace(status=status, because=because)
    test = welch(before, after)
    if is_large and test.p <= limits.accuracy_alpha:
        status = "regressed" if effect < 0 else "improved"
        because += f"; against base, Welch's p = {test.p:.2g}"
    elif is_large and test.p < SUGGESTIVE_P:
        status = "not enough data"
        because += f"; Welch's p = {test.p:.2g} is no proof, and too little for chance: repeat with more rounds"
    interval = {"low": test.shift.low, "high": test.shift.high, "confidence": test.shift.confidence}
    return found.replace(status=status, p=test.p, because=because, **interval)
