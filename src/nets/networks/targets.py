"""Builds networks from a TARGET of `nets depth`: one's own, torchvision's or timm's. Weights are never downloaded."""

from __future__ import annotations

import difflib
import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nets.cells.catalog import ImageShape
from nets.cells.sources import imported
from nets.machine.imports import without_collecting, without_compiler
from nets.machine.settings import kept
from nets.networks.build import Builder, UnfitNetwork, as_unfit, build_network

TARGETS = "package.module:callable, path/to/file.py:callable, torchvision:NAME or timm:NAME"
_WITH_AUXILIARY_HEADS = ("googlenet", "inception_v3")
"""Torchvision's networks that return a tuple when they are trained, unless they are built without these heads."""


def target_builder(target: str, *, is_trained: bool = True) -> Builder:
    """A function that builds the target for an image's shape and a number of classes. Raises UnfitNetwork.

    Without being trained a library's network needs no random weights, which take as long as counting its layers.
    """
    library, _, model = target.partition(":")
    if library in _LIBRARIES and model:
        build = _LIBRARIES[library](model)
        return build if is_trained else _without_random_weights(build)
    source, colon, name = target.rpartition(":")
    if not colon or not source or not name:
        raise UnfitNetwork(f"{target!r} is no target: {TARGETS}")
    with kept(f"importing {source}"):
        its = imported(source)
    known = vars(its.module)
    with its.surroundings.entered():  # a module may compute its names when it is asked
        found = getattr(its.module, name, None)
    if found is None and name not in known:
        raise UnfitNetwork(f"{source} has no {name!r}{_suggestions(name, [k for k in known if not k.startswith('_')])}")
    if isinstance(found, nn.Module):
        raise UnfitNetwork(f"{target} is a network, and every round needs a fresh one: name a function that builds it")
    if not callable(found):
        raise UnfitNetwork(f"{target} is a {type(found).__name__}, not a function or class that builds a network")
    bound = its.surroundings.bound(found)
    return _naming_errors(target, lambda image, n_classes: build_network(bound, image, n_classes))


def _torchvision(name: str) -> Builder:
    with without_collecting(), without_compiler():
        from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise UnfitNetwork(f"torchvision has no classification model {name!r}{_suggestions(name, known)}")
    options = {"aux_logits": False} if name in _WITH_AUXILIARY_HEADS else {}

    def build(_: ImageShape, n_classes: int) -> nn.Module:
        with warnings.catch_warnings():  # inception_v3 and googlenet warn that their initialisation will change
            warnings.filterwarnings("ignore", "The default weight initialization of", FutureWarning)
            found: nn.Module = models.get_model(name, num_classes=n_classes, **options)
        return found

    return _naming_errors(f"torchvision:{name}", build)


def _timm(name: str) -> Builder:
    if importlib.util.find_spec("timm") is None:
        raise UnfitNetwork(f"timm:{name}: timm is not installed: pip install timm")
    with without_collecting(), without_compiler():
        import timm

    known: list[str] = timm.list_models()
    if name.partition(".")[0] not in known:  # what follows the dot names weights; others would come from a hub
        raise UnfitNetwork(f"timm has no model {name!r}{_suggestions(name, known)}")

    def build(image: ImageShape, n_classes: int) -> nn.Module:
        found: nn.Module = timm.create_model(name, pretrained=False, num_classes=n_classes, in_chans=image[0])
        return found

    return _naming_errors(f"timm:{name}", build)


_RANDOM = """
    normal_ uniform_ trunc_normal_ kaiming_normal_ kaiming_uniform_ xavier_normal_ xavier_uniform_ orthogonal_
"""


class _NoRandomWeights(TorchFunctionMode):
    """Fills with 0 what is to be filled at random."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if args and isinstance(args[0], Tensor) and getattr(func, "__name__", "") in _RANDOM.split():
            args[0].detach().zero_()
            return args[0]
        return func(*args, **(kwargs or {}))


def _without_random_weights(build: Builder) -> Builder:
    def built(image: ImageShape, n_classes: int) -> nn.Module:
        with _NoRandomWeights():
            return build(image, n_classes)

    return built


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


_LIBRARIES: dict[str, Callable[[str], Builder]] = {"torchvision": _torchvision, "timm": _timm}
