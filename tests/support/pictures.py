"""Folders of noisy pictures, for the tests that need a data set of files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

MODES = ("RGB", "L", "RGBA", "P", "1", "LA")


def tree(root: Path, parts: Mapping[str, Mapping[str, int]]) -> Path:
    """Folders of so many noisy images a class, of many sizes and all of Pillow's usual modes."""
    rng = np.random.default_rng(0)
    for part, classes in parts.items():
        for label, n in classes.items():
            (root / part / label).mkdir(parents=True, exist_ok=True)
            for index in range(n):
                height, width = rng.integers(20, 200, size=2)
                image = Image.fromarray(rng.integers(256, size=(height, width, 3), dtype=np.uint8))
                image.convert(MODES[index % len(MODES)]).save(root / part / label / f"{index}.png")
    return root
