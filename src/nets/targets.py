"""TARGET of `nets depth` -> a builder: `package.module:callable`, `path/to/file.py:callable` or `torchvision:NAME`."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable

from torch import nn

from nets.cells.catalog import ImageShape
from nets.cells.registry import Undeclared, imported_module
from nets.models import Builder, UnfitNetwork, built, sentence


def builder(target: str) -> Builder:
    """What builds the target for an image's shape and a number of classes. Raises UnfitNetwork, one sentence."""
    source, colon, name = target.rpartition(":")
    if not colon or not source or not name:
        raise UnfitNetwork(
            f"{target!r} is no target: package.module:callable, path/to/file.py:callable or torchvision:NAME"
        )
    if source == "torchvision":
        return _torchvision(name)
    try:
        module = imported_module(source)
    except Undeclared as error:
        raise UnfitNetwork(str(error)) from error
    if not hasattr(module, name):
        raise UnfitNetwork(f"{source} has no {name!r}{_near(name, [k for k in vars(module) if k[0] != '_'])}")
    found = getattr(module, name)
    if isinstance(found, nn.Module):
        raise UnfitNetwork(f"{target} is a network, and every round needs a fresh one: name a function that builds it")
    if not callable(found):
        raise UnfitNetwork(f"{target} is a {type(found).__name__}, not a function or class that builds a network")
    return _guarded(target, lambda image, n_classes: built(found, image, n_classes))


def _torchvision(name: str) -> Builder:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise UnfitNetwork(f"torchvision has no classification model {name!r}{_near(name, known)}")

    def build(_: ImageShape, n_classes: int) -> nn.Module:
        with warnings.catch_warnings():  # of inception_v3 and googlenet, that their initialisation will change
            warnings.filterwarnings("ignore", "The default weight initialization of", FutureWarning)
            found: nn.Module = models.get_model(name, num_classes=n_classes)
        return found

    return _guarded(f"torchvision:{name}", build)


def _guarded(target: str, build: Builder) -> Callable[[ImageShape, int], nn.Module]:
    """Turn whatever building raises into a sentence."""

    def guarded(image: ImageShape, n_classes: int) -> nn.Module:
        try:
            with sentence("building it"):
                return build(image, n_classes)
        except UnfitNetwork as error:
            raise UnfitNetwork(f"{target}: {error}") from error

    return guarded


def _near(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""
