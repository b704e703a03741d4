"""Networks from a user's function, class or other builder: what is called, with what, and what it may return."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from nets.networks.build import UnfitNetwork, as_unfit, build_network

IMAGE = (1, 28, 28)
TAKES = "what builds a network takes no argument, or the image's shape (C, H, W) and the number of classes"


class Net(nn.Module):
    """One with two arguments of its own."""

    def __init__(self, hidden: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(784, hidden) for _ in range(depth))


class Sized(nn.Linear):
    """One that takes an image's shape and the number of classes."""

    def __init__(self, shape: tuple[int, int, int], n_classes: int) -> None:
        super().__init__(shape[1] * shape[2], n_classes)


class Maker:
    """An object that can be called."""

    def __init__(self, width: int) -> None:
        self.width = width

    def __call__(self) -> nn.Module:
        return nn.Linear(784, self.width)


def fails(shape: object, n_classes: int) -> nn.Module:
    """One that fails with what it is given."""
    raise ValueError("too small\nby far")


@pytest.mark.parametrize(
    ("builder", "width"),
    [
        (Sized, 10),
        (functools.partial(Sized, n_classes=7), None),
        (functools.partial(nn.Linear, 784, 5), 5),
        (Maker(4), 4),
        (lambda: nn.Linear(784, 3), 3),
        (lambda image, n_classes: nn.Linear(image[1] * image[2], n_classes), 10),
        (functools.partial(lambda width, shape, n_classes: nn.Linear(width, n_classes), 9), 10),
    ],
)
def test_builders(builder: Callable[..., Any], width: int | None) -> None:
    """Classes, partials, objects and lambdas build networks, with no argument or with two."""
    if width is None:
        with pytest.raises(UnfitNetwork, match="partial needs shape: what builds a network"):
            build_network(builder, IMAGE, 10)
        return
    network = build_network(builder, IMAGE, 10)
    assert isinstance(network, nn.Linear)
    assert network.out_features == width


def keyword_only(*, hidden: int, depth: int) -> nn.Module:
    """One whose arguments can't be given by their places."""
    return nn.Linear(hidden, depth)


@pytest.mark.parametrize(
    ("builder", "sentence"),
    [
        (Net, "Net(hidden=(1, 28, 28), depth=10) raised TypeError: "),
        (Net, TAKES),
        (
            fails,
            "fails(shape=(1, 28, 28), n_classes=10) raised ValueError: too small (test_build.py, line 46, in fails): ",
        ),
        (keyword_only, f"keyword_only needs hidden, depth: {TAKES}"),
        (lambda a: a, f"<lambda> needs a: {TAKES}"),
        (lambda: None, "<lambda> returned None, not a torch.nn.Module"),
        (lambda: nn.Linear, "<lambda> returned the class Linear itself, not a torch.nn.Module"),
        (lambda: (nn.Linear(1, 1), 3), "<lambda> returned a tuple, not a torch.nn.Module"),
        (lambda: exit(), "building it ended the program (SystemExit)"),
        (lambda: vars()["k"], "building it raised KeyError: 'k'"),
    ],
)
def test_what_builds_no_network(builder: Callable[..., Any], sentence: str) -> None:
    """A builder that can't be called, that fails or that returns something else is told of in one sentence."""
    with pytest.raises(UnfitNetwork, match=re.escape(sentence)) as raised, as_unfit("building it"):
        build_network(builder, IMAGE, 10)
    assert "\n" not in str(raised.value)
