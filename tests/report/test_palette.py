"""Colours are seen on both themes, and told apart by those who see fewer of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from nets.report.palette import BAD, BAND, COLORS, DOUBTFUL, GOOD, INK, MUTED, SERIES, SURFACE, Color

Array = NDArray[np.float64]
Theme = Callable[[Color], str]

# Severity 1 of each, on linear RGB. Source: Machado, Oliveira and Fernandes, IEEE TVCG 15 (6), 2009, table 1.
VISION = {
    "full": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# Source: Ottosson, A perceptual color space for image processing, 2020.
CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
themes = pytest.mark.parametrize("theme", [lambda color: color.light, lambda color: color.dark], ids=["light", "dark"])


def linear(color: str) -> Array:
    """The color's linear RGB."""
    srgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """The ratio of luminances, by WCAG 2.2."""
    low, high = sorted(float(linear(each) @ (0.2126, 0.7152, 0.0722)) for each in (one, other))
    return (high + 0.05) / (low + 0.05)


def difference(one: str, other: str, vision: str) -> float:
    """The distance in OKLab as somebody with this vision sees it."""
    seen = [np.cbrt(CONES @ np.clip(VISION[vision] @ linear(each), 0, 1)) for each in (one, other)]
    return float(np.linalg.norm(OKLAB @ (seen[0] - seen[1])))


@themes
def test_contrast(theme: Theme) -> None:
    """Text has a contrast of 4.5 with the surface, a mark one of 3."""
    for color in (INK, MUTED, GOOD, DOUBTFUL, BAD):
        assert contrast(theme(color), theme(SURFACE)) >= 4.5, color
    for color in (BAND, *SERIES):
        assert contrast(theme(color), theme(SURFACE)) >= 3, color


@themes
@pytest.mark.parametrize("vision", VISION)
def test_told_apart(theme: Theme, vision: str) -> None:
    """Any two series differ, and so do good, doubtful and bad, for every kind of colour vision."""
    for one, other in combinations(SERIES, 2):
        assert difference(theme(one), theme(other), vision) >= 0.09, (one, other)
    for one, other in combinations((GOOD, DOUBTFUL, BAD), 2):
        assert difference(theme(one), theme(other), vision) >= 0.08, (one, other)


def test_replaceable() -> None:
    """No two roles have the same name or the same light colour, which a page replaces by the role."""
    assert len({color.role for color in COLORS}) == len({color.light for color in COLORS}) == len(COLORS)
