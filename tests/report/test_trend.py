"""A trend's blocks: noise is no step, a step is one, and the scale holds every value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nets.history.tracked import Scale
from nets.report.trend import BLOCKS, MAX_TREND_LENGTH, MIN_RATIO, blocks, half_scale

VALUES = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=60)


@pytest.mark.parametrize("n", [20, 365])
def test_noise_is_no_step(n: int) -> None:
    """Times with 2 % noise stay within the middle three blocks of seven, but for a rare one in the next."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        shown = blocks((3.7 * (1 + 0.02 * rng.standard_normal(n))).tolist(), "ratio", 0.02)
        assert not set(shown) & {BLOCKS[0], BLOCKS[-1]}
        assert sum(each in BLOCKS[2:5] for each in shown) >= 0.85 * len(shown)


def test_a_step_is_seen() -> None:
    """A step of 5 % without noise moves the blocks, one of 20 % fills the scale."""
    assert blocks([1.0] * 10 + [1.05] * 10, "ratio", 0.02) == BLOCKS[2] * 10 + BLOCKS[4] * 10
    assert blocks([1.0] * 10 + [1.25] * 10, "ratio", 0.02) == BLOCKS[0] * 10 + BLOCKS[-1] * 10


def test_an_accuracy_s_scale() -> None:
    """Accuracies have a scale of 2.5 points on each side, however near to 0 or 1 they are."""
    assert blocks([0.98, 0.984, 0.976], "difference", 0.005) == BLOCKS[3] * 3
    assert blocks([0.98, 0.98, 0.955], "difference", 0.005) == BLOCKS[3] * 2 + BLOCKS[0]


def test_a_larger_limit_is_the_scale() -> None:
    """Where only more than a tenth counts, the scale is as large; a count has its own values' scale."""
    assert half_scale(2.0, "ratio", 0.3) == pytest.approx(0.6)
    assert half_scale(2.0, "ratio", 0.02) == pytest.approx(0.2)
    assert blocks([61_706, 61_706, 61_707], "exact", 0) == BLOCKS[0] * 2 + BLOCKS[-1]
    assert blocks([5.0, 5.0], "exact", 0) == BLOCKS[3] * 2


@given(VALUES, st.sampled_from(["ratio", "difference", "exact"]), st.integers(1, MAX_TREND_LENGTH))
def test_any_series(values: list[float], scale: Scale, length: int) -> None:
    """Whatever the values: a block for each, or as many as there is room for, higher ones no lower."""
    shown = blocks(values, scale, 0.02, length)
    assert len(shown) == min(len(values), length)
    assert set(shown) <= set(BLOCKS)
    if len(values) <= length:
        pairs = sorted(zip(values, map(BLOCKS.index, shown), strict=True))
        assert [height for _, height in pairs] == sorted(height for _, height in pairs)


@given(VALUES, st.floats(1e-3, 1e3))
def test_the_unit_does_not_matter(values: list[float], factor: float) -> None:
    """Times in another unit look the same, but where rounding decides."""
    ours, theirs = blocks(values, "ratio", 0.02), blocks([factor * value for value in values], "ratio", 0.02)
    assert all(abs(BLOCKS.index(a) - BLOCKS.index(b)) <= 1 for a, b in zip(ours, theirs, strict=True))
    assert MIN_RATIO == 0.1
