"""The band that head's accuracy is held against: base's, so that a change can't widen its own; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nets.gate.limits import Limits
from nets.records.cell import Accuracy, Band, Result
from nets.records.consistency import band_side
from nets.stats.inference import prediction_interval_of_others


@dataclass(frozen=True, slots=True)
class HeldBand:
    """A band with the verdict on head by it, or None; `whose`: its owner in a sentence; `note`: what else to say.

    `missing_because`: why there is none.
    """

    band: Band | None
    whose: str = "its"
    note: str = ""
    missing_because: str | None = None


def band_for(base: Result | None, head: Result, limits: Limits) -> HeldBand:
    """Base's band, for as many rounds as head has, where it has one for head's protocol; else head's own.

    Head's own, where it differs, is named; it judges if `bands` is allowed to differ. A band that was cut at 0 or 1
    can't be told for fewer rounds than base had: then there is none.
    """
    own = HeldBand(head.band, missing_because=head.band_missing_because)
    if base is None or head.accuracy is None or not is_same_training(base, head):
        return own
    if base.band is None:
        return own if head.band is None else HeldBand(head.band, note="; base has no band")
    of_base = _of_as_many_rounds(base.band, base, head, head.accuracy)
    if of_base is not None and head.band is not None and _is_same(of_base, head.band):
        return HeldBand(of_base)
    n = f"{len(head.rounds)} rounds, and it is for {len(base.rounds)}"
    cut = f"base's band is cut at 0 or 1, and can't be told for {n}"
    if "bands" in limits.allow:
        note = f"; {cut}" if of_base is None else "; " + band_text(of_base, "base's")
        return HeldBand(head.band, "head's own", note, head.band_missing_because)
    if of_base is None:
        return HeldBand(None, missing_because=cut)
    of_head = "head has no band" if head.band is None else band_text(head.band, "its own")
    return HeldBand(of_base, "base's", f"; {of_head}")


def is_same_training(base: Result, head: Result) -> bool:
    """Whether both were trained alike, so that a band of the one is one of the other."""
    of_base, of_head = (result.protocol.repeated(rounds=1, seed=0) for result in (base, head))
    return of_base == of_head


def _of_as_many_rounds(band: Band, base: Result, head: Result, accuracy: Accuracy) -> Band | None:
    limits = prediction_interval_of_others(band.low, band.high, band.n, len(base.rounds), len(head.rounds))
    if limits is None:
        return None
    return band.replace(low=limits[0], high=limits[1], verdict=band_side(accuracy.mean, *limits))


def _is_same(one: Band, other: Band) -> bool:
    limits = (one.low, other.low), (one.high, other.high)
    return one.n == other.n and all(math.isclose(a, b, abs_tol=1e-9) for a, b in limits)


def band_text(band: Band, whose: str) -> str:
    """A band with its verdict and its owner (`its`), for a sentence."""
    return f"{band.verdict} {whose} band {band.low:.4f}–{band.high:.4f} of {band.n} reference runs"
