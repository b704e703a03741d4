"""shapes: ten classes of drawn figures, 3×32×32, made by a seeded generator.

Every figure has a random place, size, tilt, colours and noise; colours and place say nothing of the class.
Only integers, comparisons and IEEE's exact operations (+ - * / sqrt) are used, so that every machine draws
the same bytes.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from nets.datasets.data import Data, Split, embedded

CLASSES = (
    "disc",
    "ring",
    "square",
    "frame",
    "triangle",
    "plus",
    "bar",
    "two bars",
    "half disc",
    "crescent",
)
SIZE = 32
N_TRAIN, N_TEST = 5_000, 1_000
SEED = 20_240_501

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def shapes() -> Data:
    """5,000 training and 1,000 test images, uint8 3×32×32, every class equally often."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    train = draw(rng, N_TRAIN)
    test = draw(rng, N_TEST)
    return embedded("shapes", train, test, class_names=CLASSES, centred=True)


def draw(rng: np.random.Generator, n: int) -> Split:
    """`n` images (a multiple of ten), in random order, from `rng`."""
    labels = rng.permutation(np.arange(n, dtype=np.int64) % len(CLASSES))
    x, y = _own_axes(rng, n)
    inside = np.zeros((n, SIZE, SIZE), dtype=np.bool_)
    for label in range(len(CLASSES)):
        chosen = labels == label
        inside[chosen] = _inside(label, x[chosen], y[chosen])
    figure, ground = _colours(rng, n)
    clean = np.where(inside[:, None], figure[:, :, None, None], ground[:, :, None, None])
    # the sum of four uniform integers is close to a normal one, of standard deviation 104 here
    noise = rng.integers(-90, 91, size=(4, n, 3, SIZE, SIZE), dtype=np.int16).sum(axis=0, dtype=np.int16)
    pixels = np.clip(clean + noise, 0, 255).astype(np.uint8)
    return Split(torch.from_numpy(pixels), torch.from_numpy(labels))


def _own_axes(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    """Each pixel's coordinates (n, SIZE, SIZE) in the figure's own axes: centre at 0, extent 1."""
    centre = rng.integers(13 * 16, 19 * 16 + 1, size=(2, n)) / 16
    radius = rng.integers(8 * 16, 10 * 16 + 1, size=n) / 16
    tilt = rng.integers(-48, 49, size=n) / 128  # tangent: up to 20 degrees either way
    cos = 1 / np.sqrt(1 + tilt * tilt)
    sin = tilt * cos
    pixel = np.arange(SIZE) + 0.5
    dx = pixel[None, None, :] - centre[0][:, None, None]
    dy = pixel[None, :, None] - centre[1][:, None, None]
    cos, sin, radius = cos[:, None, None], sin[:, None, None], radius[:, None, None]
    return (dx * cos + dy * sin) / radius, (dy * cos - dx * sin) / radius


def _inside(label: int, x: Floats, y: Floats) -> Mask:
    """Which pixels lie in the figure of class `label`."""
    square = np.maximum(np.abs(x), np.abs(y))
    disc = x * x + y * y
    match CLASSES[label]:
        case "disc":
            mask = disc < 0.8
        case "ring":
            mask = (disc < 0.9) & (disc > 0.3)
        case "square":
            mask = square < 0.8
        case "frame":
            mask = (square < 0.85) & (square > 0.5)
        case "triangle":
            mask = (y < 0.7) & (y > 2 * np.abs(x) - 0.9)
        case "plus":
            mask = (square < 0.95) & (np.minimum(np.abs(x), np.abs(y)) < 0.3)
        case "bar":
            mask = (np.abs(x) < 0.35) & (np.abs(y) < 1.0)
        case "two bars":
            mask = (np.abs(np.abs(x) - 0.55) < 0.25) & (np.abs(y) < 0.9)
        case "half disc":
            mask = (disc < 1.0) & (y > 0)
        case _:  # crescent
            mask = (disc < 1.0) & ((x - 0.4) * (x - 0.4) + y * y > 0.6)
    return mask


def _colours(rng: np.random.Generator, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A colour (n, 3) for the figures and one for the grounds, which are darker by 120 to 135 in every channel."""
    ground = rng.integers(0, 121, size=(n, 3))
    return ground + rng.integers(120, 136, size=(n, 3)), ground
