"""digits: scikit-learn's 1,797 handwritten digits (UCI Optical Recognition of Handwritten Digits), as 1×28×28.

The file is read where scikit-learn keeps it: importing scikit-learn takes longer than training a small network on it.
"""

from __future__ import annotations

import zlib
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nets.datasets.data import Data, DataError, Split, embedded

FILE = "sklearn/datasets/data/digits.csv.gz"
N_IMAGES = 1_797
SPLIT = Path(__file__).with_name("digits_split.txt")


def digits() -> Data:
    """1,437 training and 360 test images, uint8 1×28×28, a stratified split that never changes. Raises DataError."""
    path = Path(str(distribution("scikit-learn").locate_file(FILE)))
    try:
        table = np.loadtxt(path, delimiter=",", ndmin=2).astype(np.int64)  # 64 pixels and a label a row
        images, labels = enlarge(table[:, :-1].reshape(N_IMAGES, 8, 8)), table[:, -1]
    except (OSError, EOFError, ValueError, zlib.error, UserWarning) as error:  # numpy warns of an empty file
        raise DataError(f"digits: {path} can't be read ({error}); install scikit-learn anew") from error
    train, test = (
        np.array(line.split(), dtype=np.int64)
        for line in SPLIT.read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
    parts = [
        Split(torch.from_numpy(images[chosen][:, None]), torch.from_numpy(labels[chosen])) for chosen in (train, test)
    ]
    return embedded("digits", *parts, class_names="0123456789", centred=False)


def enlarge(images: NDArray[np.int64]) -> NDArray[np.uint8]:
    """8×8 images of 0..16 -> 28×28 images of 0..255, bilinear (pixel centres aligned), half rounded up.

    The weights are multiples of 1/14, so integers give the same bytes on every machine.
    """
    source = 4 * np.arange(28) - 5  # 14 times the source coordinate, (i + 0.5) * 8 / 28 - 0.5
    low, weight = np.divmod(np.clip(source, 0, 7 * 14), 14)
    weights = np.zeros((28, 8), dtype=np.int64)
    weights[np.arange(28), low] += 14 - weight
    weights[np.arange(28), np.minimum(low + 1, 7)] += weight
    summed = weights @ images @ weights.T  # at most 16 * 14 * 14
    full = 16 * 14 * 14
    return ((summed * 255 + full // 2) // full).astype(np.uint8)
