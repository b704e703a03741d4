"""Builders by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from tests.support.networks import Net

Builder = Callable[[], nn.Module]
IDIOMS: dict[str, Builder] = {}


def idiom(build: Builder) -> Builder:
    """Add a builder under its own name."""
    IDIOMS[build.__name__] = build
    return build


def written(name: str, forward: Callable[[Any, Tensor], Any], **parts: Any) -> None:
    """Add a network of these parts whose forward pass is one expression."""
    IDIOMS[name] = lambda: Net(forward, **parts)


def square(x: Tensor) -> Tensor:
    """The 16 values of each image as a map of one channel."""
    return x.view(len(x), 1, 4, 4)
