"""Which cells are measured in which shard: all of them, once, each beside its reference, and no shard much longer."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nets.cells.catalog import CELLS, DATASETS, REFERENCE, Cell
from nets.cells.shards import MAX_SHARDS, Shard, dealt
from nets.errors import Unusable

CHOICES = st.lists(
    st.builds(
        Cell,
        dataset=st.sampled_from([*DATASETS, "folder:a", "folder:b-c"]),
        model=st.sampled_from([REFERENCE, *(f"net{i}" for i in range(12))]),
    ),
    min_size=1,
    max_size=60,
    unique=True,
)


@given(cells=CHOICES, n_shards=st.integers(1, 40), seed=st.integers(0, 5))
def test_every_cell_once_beside_its_reference(cells: list[Cell], n_shards: int, seed: int) -> None:
    """Each cell has one shard, its reference all of its data set's; the order in which they are named is no matter."""
    found = dealt(cells, n_shards)
    assert list(found) == [cell.id for cell in cells]
    for cell in cells:
        numbers = found[cell.id]
        assert 1 <= min(numbers) <= max(numbers) <= n_shards
        beside = {number for other in cells if other.dataset == cell.dataset for number in found[other.id]}
        if cell.model == REFERENCE:
            assert set(numbers) == beside
        else:
            assert len(numbers) == 1
    shuffled = random.Random(seed).sample(cells, len(cells))
    assert dealt(shuffled, n_shards) == found


def test_no_longer_than_need_be() -> None:
    """Fifty networks on one data set take eight shards alike, each with the reference; a short data set stays whole."""
    fifty = [Cell("digits", f"net{i}") for i in range(50)] + [Cell("digits", REFERENCE)]
    found = dealt(fifty, 8)
    assert found[f"digits-{REFERENCE}"] == tuple(range(1, 9))
    assert {sum(number in numbers for numbers in found.values()) for number in range(1, 9)} == {7, 8}
    assert all(len(numbers) == 1 for numbers in dealt(CELLS, 8).values())  # cifar10 takes longer than all others
    assert len({dealt(CELLS, 2)[cell.id] for cell in CELLS if cell.dataset != "cifar10"}) == 1


def test_without_a_reference() -> None:
    """Cells whose data set's LeNet-5 was not chosen have nothing to stay beside."""
    cells = [Cell("shapes", f"net{i}") for i in range(6)]
    assert sorted(dealt(cells, 6).values()) == [(number,) for number in range(1, 7)]


@pytest.mark.parametrize("text", ["9/8", "0/8", "x", "", "1/0", "-1/8", "1/8/2", "1.0/8", "٢/8", f"1/{MAX_SHARDS + 1}"])
def test_no_shard(text: str) -> None:
    """What names no shard is refused in a sentence that says what does."""
    with pytest.raises(Unusable, match=re.escape(repr(text))):
        Shard.parse(text)


def test_a_shard() -> None:
    """The number and how many there are."""
    assert Shard.parse("2/8") == Shard(2, 8)
    assert str(Shard(2, 8)) == "2/8"
