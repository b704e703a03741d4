"""A network -> its layers, hidden layers, parameters and operations, from one forward pass.

Layers are the weight operations (a convolution, or a matrix product with a weight) on the longest path from
input to output. In a weight operation one operand is computed from the input and the other from parameters alone;
`nets.networks.dataflow` follows both through the pass.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from nets.cells.catalog import ImageShape
from nets.machine.settings import kept
from nets.networks.dataflow import Dataflow, UnknownStructure
from nets.networks.forward import followed, initialised, state_restored, weights_of, without_fusion
from nets.networks.operations import tensors
from nets.networks.table import ModuleLog
from nets.records.cell import Layer


@dataclass(frozen=True, slots=True)
class Structure:
    """A network's size.

    `macs_per_image`: multiply-accumulates of one image's forward pass that depend on the image. `macs_per_batch`: those
    on weights and constants alone, which all images of a batch share. `not_counted`: sentences that name the products
    of input and weight that are in neither, nor in `layers`. `table`: the modules one by one.
    """

    parameters: int
    layers: int
    macs_per_image: int
    macs_per_batch: int = 0
    not_counted: tuple[str, ...] = ()
    table: tuple[Layer, ...] = ()

    @property
    def hidden_layers(self) -> int:
        """All layers but the output."""
        return self.layers - 1


class _FailedPass(UnknownStructure):
    """The network's own code has raised an error."""


def network_structure(model: nn.Module, image: ImageShape) -> Structure:
    """Examine `model` by passing one image (1, C, H, W) of noise in [0, 1) through it, in evaluation mode.

    The image has the device and the type of most of the network's parameters; on the meta device nothing is computed.
    Where the pass fails it is tried with gradients, and then with a batch of two. Of several outputs the deepest
    counts. Parameters are the trainable ones. The network's state is restored; of a lazy one, which the pass would
    initialise, a copy is examined. Raises UnknownStructure where the pass fails, where an operation could hide a layer,
    and where no weight operation leads from the input to the output.
    """
    if not isinstance(model, nn.Module):
        raise UnknownStructure(f"a network is a torch.nn.Module, and this is a {type(model).__name__}")
    if any(map(is_lazy, [*model.parameters(), *model.buffers()])):
        try:
            model = copy.deepcopy(model)
        except (RuntimeError, ValueError, TypeError):
            because = "the network has lazy parameters and can't be copied: pass an image through it first"
            raise UnknownStructure(because) from None
    failed: _FailedPass | None = None
    with kept(f"{type(model).__name__}, whose layers are counted,"), without_fusion():
        for n_images, gradients in product((1, 2), (False, True)):
            try:
                return _structure(model, image, n_images, gradients)
            except _FailedPass as error:
                failed = failed or error
    assert failed is not None
    raise failed


def _structure(model: nn.Module, image: ImageShape, n_images: int, gradients: bool) -> Structure:
    """Pass images through the network, and twice as many where a part of the work doesn't depend on them."""
    passed = _pass(model, _noise(model, n_images, image), gradients)
    found = passed.dataflow
    if passed.layers == 0:
        because = "no convolution or matrix product with a weight leads from the input to the output"
        named = ", ".join(found.disguised.found)
        raise UnknownStructure(f"{because}; not counted is {named}: write it as a matrix product" if named else because)
    grown = 0  # the work that doesn't depend on an image and is done for each: on a state or a query for each image
    if found.independent_macs:
        with suppress(UnknownStructure):
            of_more = _pass(model, _noise(model, 2 * n_images, image), gradients).dataflow
            grown = max(0, of_more.independent_macs - found.independent_macs)
    return Structure(
        parameters=sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        layers=passed.layers,
        macs_per_image=(found.image_macs + grown) // n_images,
        macs_per_batch=found.independent_macs - grown,
        not_counted=tuple(found.disguised.found),
        table=passed.table,
    )


@dataclass(frozen=True, slots=True)
class _Passed:
    """The layers of the deepest output, the modules one by one, and what was followed."""

    layers: int
    table: tuple[Layer, ...]
    dataflow: Dataflow


def _pass(model: nn.Module, images: Tensor, gradients: bool) -> _Passed:
    """What a pass of these images has shown.

    A tensor that no operation of the pass has made was there before, as in an attribute, a closure or a cache, which
    the first pass may have filled, or came from elsewhere meanwhile: then each pass meets new ones.
    """
    known: list[Tensor] = []
    for last in (False, False, True):
        passed = _followed_pass(model, images, gradients, known, strict=last)
        if not passed.dataflow.foreign:
            break
        known += passed.dataflow.foreign
    return passed


def _followed_pass(model: nn.Module, images: Tensor, gradients: bool, known: list[Tensor], strict: bool) -> _Passed:
    """Pass images through the network once; `known` are the tensors that were met in a pass before."""
    constants = [buffer for buffer in initialised(model.buffers()) if buffer.layout == torch.strided]
    log = ModuleLog(model)
    dataflow = Dataflow(weights_of(model), [*constants, *known], strict, log)
    dataflow.mark_input(images)
    try:
        with state_restored(model, gradients), log.watching(), followed(dataflow):
            output = model(images)
    except (UnknownStructure, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if dataflow.refusal is not None:  # TorchScript replaces it by an error of its own
            raise dataflow.refusal from None
        because = str(error).strip().partition("\n")[0]
        called = f"called with one tensor of shape {tuple(images.shape)}, {images.dtype}, on {images.device.type}"
        raise _FailedPass(f"the forward pass, {called}, raised {type(error).__name__}: {because}") from error
    if dataflow.refusal is not None:  # the network's code caught it
        raise dataflow.refusal
    outputs = _outputs(output)
    if not outputs:
        because = f"the network returned a {type(output).__name__}, in which there is no tensor"
        raise UnknownStructure(f"{because}: return the logits alone")
    deepest = max(outputs, key=lambda leaf: dataflow.depth(leaf) or 0)
    layers = dataflow.depth(deepest) or 0
    return _Passed(layers, log.layers(deepest, layers, len(images)), dataflow)


def _noise(model: nn.Module, n_images: int, image: ImageShape) -> Tensor:
    """Images that are the same each time, of the type that most of the network's parameters have."""
    n_values: Counter[tuple[torch.dtype, torch.device]] = Counter()
    for parameter in weights_of(model):
        if parameter.is_floating_point():
            n_values[parameter.dtype, parameter.device] += parameter.numel()
    [((dtype, device), _)] = n_values.most_common(1) or [((torch.float32, torch.device("cpu")), 0)]
    noise = torch.rand(
        (n_images, *image), generator=torch.Generator("cpu").manual_seed(0), dtype=torch.float32, device="cpu"
    )
    return noise.to(device, dtype)


def _outputs(output: object) -> list[Tensor]:
    """The tensors in what a network returned, in the fields of a dataclass and in any mapping, too."""
    if is_dataclass(output) and not isinstance(output, type):
        output = [getattr(output, each.name) for each in fields(output)]
    elif isinstance(output, Mapping):
        output = list(output.values())
    return tensors(output)
