"""Whether a record contradicts itself: figures that are made of its rounds, and verdicts that follow from others; pure.

What is written twice must agree, else one of the two was edited, or is another run's. A difference that writing and
adding up numbers can make is none (`DIGITS`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from statistics import fmean
from typing import Any

from nets.errors import Unusable
from nets.records.cell import Accuracy, Band, BandVerdict, Result
from nets.records.foreign import MAX_NUMBER
from nets.records.predictions import Prediction, Predictions

DIGITS = 1e-9
"""Relative, and absolute. An accuracy is a count over the number of test images, so that two different ones are further
apart; Python's versions differ in the last digit of a standard deviation."""
CLOCK_S = 1e-6
"""What differences of a clock's readings may be off by, after months of uptime, too."""
BESIDE_S, BESIDE = 0.05, 0.05
"""What pytest-benchmark's clock sees beside a round's own two clocks: some 0.3 ms, more where the process had to wait.

Seconds, and a fraction of the round; for the round in which it is least."""
WAITED_S, WAITED = 1.0, 0.1
"""The same for any round: a process may have to wait just there."""
MADE_OF: Mapping[str, Callable[[Sequence[float]], float]] = {"min": min, "max": max, "mean": fmean, "total": math.fsum}
"""How figures of pytest-benchmark's `stats` are made of its `data`, one a round."""


def demand_consistent(result: Result, timing: Mapping[str, Any] | None, where: str) -> None:
    """Refuse a record that contradicts itself, or pytest-benchmark's own entry of its test, if it has one.

    Raises Unusable, naming `where` and both fields.
    """
    found = chain(_of_the_record(result), () if timing is None else _of_the_timing(result, timing))
    if (contradiction := next(found, None)) is not None:
        raise Unusable(f"{where}: {contradiction}: it contradicts itself, measure it again")


def band_side(mean: float, low: float, high: float) -> BandVerdict:
    """On which side of its band an accuracy lies; on a limit it is inside."""
    return "below" if mean < low else "above" if mean > high else "inside"


def _of_the_record(result: Result) -> Iterator[str]:
    if (result.accuracy is None) != (not result.rounds):
        found = "null" if result.accuracy is None else "there"
        yield f"field 'accuracy' is {found}, but field 'rounds' has {len(result.rounds)} of them"
    if result.accuracy is not None and result.rounds:
        yield from _of_the_accuracy(result.accuracy, Accuracy.of(round_.accuracy for round_ in result.rounds))
    if result.band is not None:
        yield from _of_the_band(result.band, result)
    if result.predictions is not None:
        yield from _of_the_predictions(result.predictions, result)
    outcome = result.outcome
    if (outcome.status == "passed") != (not outcome.failures):
        n = len(outcome.failures)
        yield f"field 'outcome.status' is {outcome.status!r}, but field 'outcome.failures' has {n} of them"


def _of_the_accuracy(written: Accuracy, of_rounds: Accuracy) -> Iterator[str]:
    for field in Accuracy.model_fields:
        found, made = getattr(written, field), getattr(of_rounds, field)
        if not _is_same(found, made):
            yield f"field 'accuracy.{field}' is {_text(found)}, but field 'rounds' gives {_text(made)}"


def _of_the_band(band: Band, result: Result) -> Iterator[str]:
    if result.accuracy is None:
        yield "field 'band' is there, but field 'accuracy' is null"
        return
    if band.low > band.high:
        yield f"field 'band.low' is {_text(band.low)}, above field 'band.high', {_text(band.high)}"
    mean, diverged = result.accuracy.mean, any(round_.diverged for round_ in result.rounds)
    if diverged or band.verdict == "diverged":
        if not diverged or band.verdict != "diverged":
            losses = "a loss that is not finite" if diverged else "finite losses alone"
            yield f"field 'band.verdict' is {band.verdict!r}, but field 'rounds' has {losses}"
    elif band.verdict not in {band_side(mean + digits, band.low, band.high) for digits in (-DIGITS, 0, DIGITS)}:
        yield (
            f"field 'band.verdict' is {band.verdict!r}, but field 'accuracy.mean' is {_text(mean)}, "
            f"{band_side(mean, band.low, band.high)} {_text(band.low)} to {_text(band.high)}"
        )


def _of_the_predictions(predictions: Predictions, result: Result) -> Iterator[str]:
    """Those of a network answer for its round: their counts are its accuracy, and every image is one of the set."""
    if result.predictions_missing_because is not None:
        yield "field 'predictions' is there, but field 'predictions_missing_because' is, too"
    accuracy = {round_.seed: round_.accuracy for round_ in result.rounds}.get(predictions.seed)
    if accuracy is None:
        yield f"field 'predictions.seed' is {predictions.seed}, but field 'rounds' has none with it"
    n_tested, n_right = predictions.n_tested, predictions.n_right
    if n_tested is not None and n_right is not None:
        if (n_test := result.cell.n_test) is not None and n_tested != n_test:
            yield f"field 'predictions.confusion' counts {n_tested:,} images, but field 'cell.n_test' is {n_test:,}"
        if accuracy is not None and not _is_same(accuracy, n_right / n_tested):
            found = f"{n_right:,} of {n_tested:,} right"
            yield f"field 'predictions.confusion' has {found}, but field 'rounds' has the accuracy {_text(accuracy)}"
    for name, n in (("train", result.cell.n_train), ("test", result.cell.n_test), ("mistakes", result.cell.n_test)):
        places = [each.place for each in getattr(predictions, name)]
        if n is not None and max(places, default=-1) >= n:
            part = "n_train" if name == "train" else "n_test"
            yield f"field 'predictions.{name}' has the image {max(places)}, but field 'cell.{part}' is {n:,}"
    yield from _of_the_mistakes(predictions)


def _of_the_mistakes(predictions: Predictions) -> Iterator[str]:
    """Each is a mistake, and no less confident than the next; an image of `test` has the same said of it there."""
    mistakes, where = predictions.mistakes, "field 'predictions.mistakes'"
    for i, each in enumerate(mistakes):
        if each.is_right:
            yield f"{where} has the image {each.place}, but field 'predictions.mistakes.{i}.predicted' is its class"
    confidences = [-1.0 if each.confidence is None else each.confidence for each in mistakes]
    if confidences != sorted(confidences, reverse=True):
        yield f"{where} begins with the greatest, but field 'predictions.mistakes.0.confidence' is not in this order"
    test = {each.place: each for each in predictions.test}
    for each in mistakes:
        if test.get(each.place, each) != each:
            yield f"{where} says one thing of the image {each.place}, but field 'predictions.test' another"
    yield from _of_the_counts(predictions)


def _of_the_counts(predictions: Predictions) -> Iterator[str]:
    """Every image of the test set that is named is among the counts."""
    if predictions.confusion is None:
        return
    for name in ("test", "mistakes"):
        images: tuple[Prediction, ...] = getattr(predictions, name)
        for (label, predicted), n in Counter((each.label, each.predicted) for each in images).items():
            if n > predictions.confusion[label][predicted]:
                yield (
                    f"field 'predictions.{name}' has {n} images of class {label} taken for {predicted}, but field "
                    f"'predictions.confusion.{label}.{predicted}' is {predictions.confusion[label][predicted]}"
                )


def _of_the_timing(result: Result, timing: Mapping[str, Any]) -> Iterator[str]:
    """Of pytest-benchmark's `stats`: as many as rounds; of one another; and no shorter, nor much longer, than these.

    Its clock may be another (`--benchmark-timer`): then only the numbers are held together. Without `data` it is of a
    file that pytest-benchmark stored itself.
    """
    stats, options = timing.get("stats"), timing.get("options")
    if not isinstance(stats, dict):
        return
    written = stats.get("data") if isinstance(stats.get("data"), list) else None
    for field, n in (("rounds", stats.get("rounds")), ("data", None if written is None else len(written))):
        if isinstance(n, int) and n != len(result.rounds):
            yield f"field 'stats.{field}' has {n!r:.20} rounds, but field 'rounds' has {len(result.rounds)}"
            return
    data = [found for each in written or () if (found := _number(each)) is not None]
    seconds = [round_.time_s for round_ in result.rounds]
    timer = options.get("timer") if isinstance(options, dict) else None
    is_same_clock = timer == "perf_counter" and stats.get("iterations") == 1
    if not seconds:
        return
    if len(data) != len(seconds):
        yield from _of_stored_figures(stats, seconds) if is_same_clock else ()
        return
    if is_same_clock:
        yield from _of_each_round(data, seconds)
    for field, made_of in MADE_OF.items():
        found = _number(stats.get(field))
        if found is not None and not _is_same(found, made_of(data)):
            yield f"field 'stats.{field}' is {_text(found)}, but field 'stats.data' gives {_text(made_of(data))}"


def _of_stored_figures(stats: Mapping[str, Any], seconds: Sequence[float]) -> Iterator[str]:
    for field, made_of in MADE_OF.items():
        found = _number(stats.get(field))
        if found is not None and not _encloses(found, made_of(seconds), len(seconds) if field == "total" else 1):
            yield f"field 'stats.{field}' is {_text(found)}, but field 'rounds' gives {_text(made_of(seconds))}"


def _of_each_round(data: Sequence[float], seconds: Sequence[float]) -> Iterator[str]:
    for i, (found, own) in enumerate(zip(data, seconds, strict=True)):
        if not _encloses(found, own):
            yield f"field 'stats.data.{i}' is {_text(found)}, but field 'rounds.{i}' took {_text(own)} s"
    if all(found - own > BESIDE_S + BESIDE * found for found, own in zip(data, seconds, strict=True)):
        yield f"field 'stats.data' has {_text(fmean(data))} s a round, but field 'rounds' {_text(fmean(seconds))} s"


def _encloses(found: float, own: float, n: int = 1) -> bool:
    """Whether pytest-benchmark's seconds can be those around a round's own, or around `n` of them."""
    return -n * CLOCK_S <= found - own <= n * WAITED_S + WAITED * found


def _number(value: object) -> float | None:
    """A number that something may be made of; None for anything else, since this part of a file is not ours."""
    return float(value) if isinstance(value, int | float) and abs(value) <= MAX_NUMBER else None


def _is_same(found: float | None, made: float | None) -> bool:
    if found is None or made is None:
        return found is made
    return math.isclose(found, made, rel_tol=DIGITS, abs_tol=DIGITS)


def _text(value: float | None) -> str:
    return "null" if value is None else f"{value:.12g}"
