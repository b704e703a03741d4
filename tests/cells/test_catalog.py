"""Cells, protocols and the registry."""

from __future__ import annotations

import pytest

from nets.cells.catalog import CELLS, PROTOCOLS, protocol_for, select
from nets.errors import UnknownName, Unusable


def test_registry() -> None:
    """The article's five cells and the five embedded ones, each under an id of its own."""
    assert [cell.id for cell in CELLS] == [
        "mnist-snn500",
        "mnist-cnn3l",
        "mnist-lenet5",
        "cifar10-cnn3l",
        "cifar10-lenet5",
        "digits-snn500",
        "digits-cnn3l",
        "digits-lenet5",
        "shapes-cnn3l",
        "shapes-lenet5",
    ]


@pytest.mark.parametrize(
    ("name", "dataset", "epochs", "batch_size"),
    [
        ("article", "mnist", 20, 100),
        ("article", "cifar10", 10, 4),
        ("quick", "mnist", 1, 100),
        ("quick", "cifar10", 1, 4),
        ("quick", "digits", 10, 100),
        ("quick", "shapes", 2, 4),
    ],
)
def test_protocol(name: str, dataset: str, epochs: int, batch_size: int) -> None:
    """The article's protocol is to the letter; `quick` differs from it in epochs alone."""
    protocol = protocol_for(name, dataset)
    assert (protocol.epochs, protocol.batch_size, protocol.lr, protocol.rounds) == (epochs, batch_size, 1e-3, 3)


def test_selection_is_exact() -> None:
    """An id selects its cell alone, in the registry's order, and a part of an id selects nothing."""
    assert [cell.id for cell in select("digits-lenet5, mnist-snn500")] == ["mnist-snn500", "digits-lenet5"]
    for wrong in ("mnist", "snn500", "kmnist-snn500", "mnist-snn500,nonsense"):
        with pytest.raises(UnknownName, match="known: mnist-snn500"):
            select(wrong)
    with pytest.raises(Unusable, match="no cell is named"):
        select(" , ")


@pytest.mark.parametrize("name", PROTOCOLS)
def test_changing_a_protocol(name: str) -> None:
    """What changes the training makes a protocol custom; rounds, seed and no real change leave its name."""
    protocol = protocol_for(name, "mnist")
    assert protocol.changed(epochs=protocol.epochs).name == name
    assert protocol.changed(epochs=7).name == "custom"
    assert protocol.changed(batch_size=7).name == "custom"
    assert protocol.changed(lr=0.5).name == "custom"
    assert protocol.repeated(rounds=9, seed=4).name == name


def test_unknown_names() -> None:
    """An unknown protocol or data set is refused, with the known ones."""
    with pytest.raises(UnknownName, match="unknown protocol 'slow'; known: quick, article"):
        protocol_for("slow", "mnist")
    with pytest.raises(UnknownName, match="unknown data set 'imagenet'"):
        protocol_for("quick", "imagenet")
