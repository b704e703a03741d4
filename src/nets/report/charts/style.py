"""How things look in every chart: a network's colour and shape, texts that fit, nice marks for axes; pure."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from nets.cells.catalog import CELLS
from nets.report import palette
from nets.report.text import plain

T = TypeVar("T")
INK, MUTED, GRID, SURFACE, BAND = (
    each.light for each in (palette.INK, palette.MUTED, palette.GRID, palette.SURFACE, palette.BAND)
)
GOOD, DOUBTFUL, BAD = (each.light for each in (palette.GOOD, palette.DOUBTFUL, palette.BAD))
"""Of verdicts alone."""
*NETWORKS, SHALLOW, DEEP = (each.light for each in palette.SERIES)
"""The series' colours: of networks; of the depth's verdicts, and of the criteria that speak for each."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right")
"""With four colours: of 28 networks no two look alike."""
MEAN_WIDTH = 0.56
"""Of a character of text, in heights; a bold one is a tenth wider."""
SLACK = 1.08
"""Room that is left for a font that is wider than the one that was measured."""


@dataclass(frozen=True, slots=True)
class Look:
    """A network's colour and shape."""

    colour: str
    shape: str


def looks(models: Iterable[str]) -> Mapping[str, Look]:
    """Each network's look: the suite's own always have theirs, others the next ones, in order."""
    names = dict.fromkeys((*(cell.model for cell in CELLS), *models))
    return {name: Look(NETWORKS[i % len(NETWORKS)], SHAPES[i % len(SHAPES)]) for i, name in enumerate(names)}


def width(text: str, size: float, *, is_bold: bool = False) -> float:
    """About how many pixels a text is wide."""
    n = sum(_WIDTHS.get(each, 2 if unicodedata.east_asian_width(each) in "WF" else 1) for each in text)
    return n * size * MEAN_WIDTH * (1.1 if is_bold else 1) * SLACK


_WIDTHS = dict.fromkeys("iIjlt.,:;|'!()[]fr -", 0.5) | dict.fromkeys("mMwW@%", 1.5) | {"�": 2}


def fitted(text: str, room: float, size: float, *, is_bold: bool = False) -> str:
    """The text in one line, its middle left out where it is wider than `room` pixels."""
    whole = plain(text)
    if width(whole, size, is_bold=is_bold) <= room:
        return whole
    n = len(whole) - 1
    while n > 2 and width(whole[: (n + 1) // 2] + "…" + whole[len(whole) - n // 2 :], size, is_bold=is_bold) > room:
        n -= 1
    return whole[: (n + 1) // 2] + "…" + whole[len(whole) - n // 2 :]


def slug(*parts: str) -> str:
    """A file's name of letters, digits, - and _; what isn't one already gets a mark of its own, to be told apart."""
    whole = "-".join(parts)
    safe = re.sub(r"[^a-z0-9_]+", "-", whole.lower()).strip("-")[:60]
    return safe if safe == whole else f"{safe}-{hashlib.sha256(whole.encode(errors='replace')).hexdigest()[:6]}"


def seconds(value: float) -> str:
    """A time with its unit, to three figures."""
    return f"{value:,.0f} s" if value >= 1_000 else f"{value:.3g} s"


def linear_ticks(low: float, high: float, n: int = 5) -> tuple[float, ...]:
    """At most `n` round numbers from `low` to `high`."""
    span = high - low
    if span <= 0:
        return (low,)
    power = 10.0 ** math.floor(math.log10(span / n))
    for step in (power, 2 * power, 5 * power, 10 * power, 20 * power):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= n:
            return tuple(float(f"{i * step:.12g}") for i in range(first, last + 1))
    return (low,)


def log_ticks(low: float, high: float, n: int = 6) -> tuple[float, ...]:
    """At most `n` round numbers from `low` to `high`, for a logarithmic axis; less than a decade is divided evenly."""
    if high < 4 * low:
        return linear_ticks(low, high, n)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = tuple(d * 10.0**p for p in powers for d in digits if low * 0.999999 <= d * 10.0**p <= high * 1.000001)
        if len(ticks) <= n:
            return ticks if len(ticks) > 1 else linear_ticks(low, high, n)
    every = math.ceil(len(powers) / n)
    return tuple(10.0**p for p in powers if p % every == 0 and low <= 10.0**p <= high)


def padded(values: Iterable[float], share: float = 0.06, least: float = 0.0) -> tuple[float, float]:
    """The range of values and a share of it on each side; `least`: its width at least."""
    known = [each for each in values if math.isfinite(each)]
    low, high = min(known), max(known)
    extra = max((high - low) * share, (least - (high - low)) / 2, abs(high) * 1e-6, 1e-9)
    return low - extra, high + extra


def log_padded(values: Iterable[float], factor: float = 1.15) -> tuple[float, float]:
    """The same for a logarithmic axis, of values above 0."""
    known = [each for each in values if each > 0 and math.isfinite(each)]
    return min(known) / factor, max(known) * factor


def thinned(items: Sequence[T], n: int, by: Callable[[T], float]) -> list[T]:
    """At most `n` of the items, in order: of each of n / 2 stretches the least and the greatest, by `by`."""
    if len(items) <= n:
        return list(items)
    n_stretches = max(1, n // 2)
    kept: list[T] = []
    for i in range(n_stretches):
        stretch = range(i * len(items) // n_stretches, (i + 1) * len(items) // n_stretches)
        values = {j: by(items[j]) for j in stretch}
        kept += [items[j] for j in sorted({min(values, key=values.__getitem__), max(values, key=values.__getitem__)})]
    return kept
