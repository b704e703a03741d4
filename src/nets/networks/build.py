"""Builds networks from a user's function or class."""

from __future__ import annotations

import inspect
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nets.cells.catalog import ImageShape
from nets.cells.surroundings import Ended
from nets.errors import NetsError
from nets.machine.settings import kept

Builder = Callable[[ImageShape, int], nn.Module]
_TAKES = "what builds a network takes no argument, or the image's shape (C, H, W) and the number of classes"
_OURS, _PYTHONS = Path(__file__).parents[1], Path(sysconfig.get_path("stdlib"))
"""Where this package and Python's own library are; a project may lie below Python's prefix, as in /usr/src."""


class UnfitNetwork(NetsError):
    """A network that can't be built, trained or counted here; the message says why."""


@contextmanager
def as_unfit(what: str, advice: str = "") -> Iterator[None]:
    """Turn what a network raises in the block into UnfitNetwork, one sentence, unless memory has run out."""
    try:
        yield
    except UnfitNetwork:
        raise
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Ended as error:
        raise UnfitNetwork(f"{what}: {error}") from error
    except SystemExit as error:
        raise UnfitNetwork(f"{what} ended the program (SystemExit)") from error
    except Exception as error:
        because = str(error).strip().partition("\n")[0]
        if "can't allocate memory" in because:
            raise
        told = f"{type(error).__name__}: {because}" if because else type(error).__name__
        raise UnfitNetwork(f"{what} raised {told}{_place(error)}{advice}") from error


def _place(error: BaseException) -> str:
    """The last line of the user's own code that an error came through, as ` (file.py, line 3, in forward)`."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith("<") and not _is_installed(frame.filename)]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno}, in {own[-1].name})" if own else ""


def _is_installed(file: str) -> bool:
    path = Path(file)
    return "site-packages" in path.parts or path.is_relative_to(_OURS) or path.is_relative_to(_PYTHONS)


def build_network(build: Callable[..., Any], image: ImageShape, n_classes: int) -> nn.Module:
    """A network from a user's builder, which takes the image's shape and the number of classes, or nothing.

    Lazy modules are initialised. What it changes of the process's settings is put back, with a warning. Raises
    UnfitNetwork for one that takes other arguments or returns no network.
    """
    called = getattr(build, "__name__", type(build).__name__)
    required = _required_arguments(build)
    names = [each.name for each in required]
    if len(required) not in (0, 2) or any(each.kind is each.KEYWORD_ONLY for each in required):
        raise UnfitNetwork(f"{called} needs {', '.join(names)}: {_TAKES}")
    with kept(f"{called}, which builds a network,"):
        network = _called_with(names, build, image, n_classes) if required else build()
        if not isinstance(network, nn.Module):
            raise UnfitNetwork(f"{called} returned {_told(network)}, not a torch.nn.Module")
        if any(isinstance(parameter, nn.parameter.UninitializedParameter) for parameter in network.parameters()):
            pass_an_image(network, image)
    return network


def pass_an_image(network: nn.Module, image: ImageShape) -> None:
    """Have a network make the parameters that it makes in its first `forward`, which changes nothing else of it."""
    with torch.no_grad():
        network.eval()(torch.zeros(1, *image))
    network.train()


def _called_with(names: list[str], build: Callable[..., Any], image: ImageShape, n_classes: int) -> Any:
    """What a builder of two arguments returns; where it raises, they may mean something else to it, and are told."""
    called = getattr(build, "__name__", type(build).__name__)
    with as_unfit(f"{called}({names[0]}={image}, {names[1]}={n_classes})", f": {_TAKES}"):
        return build(image, n_classes)


def _told(returned: object) -> str:
    if returned is None:
        return "None"
    if inspect.isclass(returned):
        return f"the class {returned.__name__} itself"
    return f"a {type(returned).__name__}"


def _required_arguments(build: Callable[..., Any]) -> list[inspect.Parameter]:
    """The arguments that a builder must be given."""
    try:
        parameters = inspect.signature(build).parameters.values()
    except (TypeError, ValueError):
        return []
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each for each in parameters if each.default is each.empty and each.kind not in variable]
