"""A line's values as a row of blocks, on a scale on which noise doesn't look like a step; pure."""

from __future__ import annotations

from statistics import median

from nets.history.records import Line
from nets.history.tracked import TRACKED, Scale

BLOCKS = "▁▂▃▄▅▆▇"
"""An odd number: small noise around the median stays in the middle one."""
MAX_TREND_LENGTH = 24
MIN_TREND_LENGTH = 8
MIN_RATIO = 0.10
MIN_POINTS = 0.025
"""The least half of the scale: of what is compared by ratios a tenth of the median, of accuracy 2.5 points.

That is five times the gate's least effect on a time, and on an accuracy. A larger least effect takes its place.
"""
_METRICS = {metric.name: metric for metric in TRACKED}


def trend(line: Line, length: int = MAX_TREND_LENGTH) -> str:
    """The values in order; of more points than there is room for, means of neighbours.

    The scale goes from the lowest to the highest, and at least so far on both sides of the median as `half_scale` says.
    """
    metric = _METRICS[line.metric]
    return blocks([point.value for point in line.points], metric.scale, metric.min_effect, length)


def half_scale(middle: float, scale: Scale, min_effect: float) -> float:
    """How far a trend's scale reaches at least on each side of the median, in the values' unit."""
    if scale == "ratio":
        return max(MIN_RATIO, min_effect) * abs(middle)
    return max(MIN_POINTS, min_effect) if scale == "difference" else 0.0


def blocks(values: list[float], scale: Scale, min_effect: float, length: int = MAX_TREND_LENGTH) -> str:
    """One value or more as blocks, `length` at most; a value that never varies is in the middle."""
    n = min(len(values), length)
    bins = [values[i * len(values) // n : (i + 1) * len(values) // n] for i in range(n)]
    means = [sum(each) / len(each) for each in bins]
    middle = median(values)
    half = half_scale(middle, scale, min_effect)
    low, high = min([*means, middle - half]), max([*means, middle + half])
    if low == high:
        return BLOCKS[3] * n
    return "".join(BLOCKS[round((mean - low) / (high - low) * (len(BLOCKS) - 1))] for mean in means)
