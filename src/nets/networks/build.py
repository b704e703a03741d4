"""Builds networks from a user's function or class, or from a TARGET of `nets depth`.

TARGET is `package.module:callable`, `path/to/file.py:callable` or `torchvision:NAME`.
"""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from nets.cells.catalog import ImageShape
from nets.cells.registry import Undeclared, imported_module
from nets.errors import NetsError
from nets.machine.settings import kept

Builder = Callable[[ImageShape, int], nn.Module]


class UnfitNetwork(NetsError):
    """A network that can't be built, trained or counted here; the message says why."""


@contextmanager
def as_unfit(what: str) -> Iterator[None]:
    """Turn what a network raises in the block into UnfitNetwork, one sentence, unless memory has run out."""
    try:
        yield
    except UnfitNetwork:
        raise
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        because = str(error).strip().partition("\n")[0]
        if "can't allocate memory" in because:
            raise
        raise UnfitNetwork(f"{what} raised {type(error).__name__}: {because}") from error


def build_network(build: Callable[..., Any], image: ImageShape, n_classes: int) -> nn.Module:
    """A network from a user's builder, which takes the image's shape and the number of classes, or nothing.

    Lazy modules are initialised. What it changes of the process's settings is put back, with a warning. Raises
    UnfitNetwork for one that takes other arguments or returns no network.
    """
    called = getattr(build, "__name__", type(build).__name__)
    required = _required_arguments(build)
    if len(required) not in (0, 2):
        raise UnfitNetwork(
            f"{called} needs {', '.join(required)}: what builds a network takes no argument, or the image's shape "
            "(C, H, W) and the number of classes"
        )
    with kept(f"{called}, which builds a network,"):
        network = build(image, n_classes) if required else build()
        if not isinstance(network, nn.Module):
            raise UnfitNetwork(f"{called} returned a {type(network).__name__}, not a torch.nn.Module")
        if any(isinstance(parameter, nn.parameter.UninitializedParameter) for parameter in network.parameters()):
            pass_an_image(network, image)
    return network


def pass_an_image(network: nn.Module, image: ImageShape) -> None:
    """Have a network make the parameters that it makes in its first `forward`, which changes nothing else of it."""
    with torch.no_grad():
        network.eval()(torch.zeros(1, *image))
    network.train()


def _required_arguments(build: Callable[..., Any]) -> list[str]:
    """The names of the arguments that a builder must be given."""
    try:
        parameters = inspect.signature(build).parameters.values()
    except (TypeError, ValueError):
        return []
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each.name for each in parameters if each.default is each.empty and each.kind not in variable]


def target_builder(target: str) -> Builder:
    """A function that builds the target for an image's shape and a number of classes. Raises UnfitNetwork."""
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
        raise UnfitNetwork(f"{source} has no {name!r}{_suggestions(name, [k for k in vars(module) if k[0] != '_'])}")
    found = getattr(module, name)
    if isinstance(found, nn.Module):
        raise UnfitNetwork(f"{target} is a network, and every round needs a fresh one: name a function that builds it")
    if not callable(found):
        raise UnfitNetwork(f"{target} is a {type(found).__name__}, not a function or class that builds a network")
    return _naming_errors(target, lambda image, n_classes: build_network(found, image, n_classes))


def _torchvision(name: str) -> Builder:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise UnfitNetwork(f"torchvision has no classification model {name!r}{_suggestions(name, known)}")

    def build(_: ImageShape, n_classes: int) -> nn.Module:
        with warnings.catch_warnings():  # inception_v3 and googlenet warn that their initialisation will change
            warnings.filterwarnings("ignore", "The default weight initialization of", FutureWarning)
            found: nn.Module = models.get_model(name, num_classes=n_classes)
        return found

    return _naming_errors(f"torchvision:{name}", build)


def _naming_errors(target: str, build: Builder) -> Builder:
    """The same builder, whose errors are one sentence with the target's name."""

    def named(image: ImageShape, n_classes: int) -> nn.Module:
        try:
            with as_unfit("building it"):
                return build(image, n_classes)
        except UnfitNetwork as error:
            raise UnfitNetwork(f"{target}: {error}") from error

    return named


def _suggestions(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""
