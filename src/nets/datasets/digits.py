"""digits: scikit-learn's 1,797 handwritten digits (UCI Optical Recognition of Handwritten Digits), as 1×28×28."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from nets.datasets.data import Data, Split, embedded

N_TEST = 360


def digits() -> Data:
    """1,437 training and 360 test images, uint8 1×28×28, a stratified split that never changes."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    source = load_digits()
    images = enlarge(source.images.astype(np.int64))
    labels = source.target.astype(np.int64)
    train, test = train_test_split(np.arange(len(labels)), test_size=N_TEST, stratify=labels, random_state=0)
    return embedded(
        "digits", _split(images[train], labels[train]), _split(images[test], labels[test]), n_classes=10, centred=False
    )


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


def _split(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Split:
    return Split(torch.from_numpy(images[:, None]), torch.from_numpy(labels))
