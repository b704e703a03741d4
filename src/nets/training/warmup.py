"""The steps before a round: they warm up the device, and find what would keep a network from being trained."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from nets.datasets.data import Data
from nets.machine.device import is_out_of_memory
from nets.networks.activations import activation_bytes
from nets.networks.build import UnfitNetwork, as_unfit
from nets.records.cell import Protocol
from nets.training.eager import FusedAdam
from nets.training.trainer import Loaders, ResidentBatches

WARM_UP_STEPS = 3

EVALUATION_BYTES = 64_000_000
"""Of activations at once: 500 images of CNN3L have 50 million. More are fresh pages each time (docs/performance.md)."""


class WritesIntoInput(UnfitNetwork):
    """A network that needs a copy of its images: those of the test set are the data set itself."""


def warm_up(cell_id: str, network: nn.Module, data: Data, loaders: Loaders, protocol: Protocol) -> None:
    """Take a few training steps of a network that no round uses, and evaluate it on one batch.

    The images are those of the test set, for which no shuffling was drawn. `network` is on its device, and is worth
    nothing afterwards. Raises UnfitNetwork, one sentence, for a network that can't be trained on these batches.
    """
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = FusedAdam(trained, lr=protocol.lr)
    device = trained[0].device

    def step(images: torch.Tensor, labels: torch.Tensor) -> None:
        outputs = network(images)
        _demand_logits(cell_id, outputs, (len(labels), data.n_classes))
        optimizer.zero_grad()
        loss = F.cross_entropy(outputs, labels)
        loss.backward(torch.ones_like(loss))  # as a timed step does: torch imports sympy for the first one
        if any(parameter.grad is not None and parameter.grad.is_sparse for parameter in trained):
            raise UnfitNetwork(f"{cell_id}: Adam does not support sparse gradients: make them dense (sparse=False)")
        optimizer.step()

    first = next(iter(loaders.test), None)
    if first is None:
        return
    images, labels = first[0].to(device, copy=True), first[1].to(device)
    untouched = images._version
    n, last = protocol.batch_size, len(data.train) % protocol.batch_size
    with as_unfit(f"{cell_id}: a training step"):
        for _ in range(WARM_UP_STEPS):
            step(images[:n], labels[:n])
    if last:
        with as_unfit(f"{cell_id}: {_last_step(last, len(data.train), protocol.batch_size)}"):
            step(images[:last], labels[:last])
    with torch.no_grad(), as_unfit(f"{cell_id}: evaluating it"):
        network.eval()
        if isinstance(loaders.test, ResidentBatches) and device.type == "cpu":
            size = loaders.test.batch_size = _evaluation_batch(network, images[:1], loaders.test.batch_size)
            images = images[:size]
        outputs, n_tested = _evaluated(network, images, loaders)
        _demand_logits(cell_id, outputs, (n_tested, data.n_classes))
    if images._version != untouched:
        raise WritesIntoInput(f"{cell_id}: the network writes into its input, which is the data set itself")


def _evaluation_batch(network: nn.Module, image: torch.Tensor, largest: int) -> int:
    """How many images to evaluate at once on a CPU: as many as the caches have a chance to hold the results of."""
    n_bytes = activation_bytes(network, image)
    return largest if not n_bytes else max(1, min(largest, EVALUATION_BYTES // n_bytes))


def _evaluated(network: nn.Module, images: torch.Tensor, loaders: Loaders) -> tuple[object, int]:
    """The network's answer to as many images as fit into memory, and how many; test batches are made as small.

    A batch of training may fit where one of evaluation doesn't, which is larger to keep a small network busy.
    """
    batches = loaders.test
    while True:
        try:
            return network(images), len(images)
        except (MemoryError, RuntimeError) as error:
            can_halve = isinstance(batches, ResidentBatches) and len(images) > 1
            if not can_halve or not is_out_of_memory(error):
                raise
        if images.device.type == "cuda":
            torch.cuda.empty_cache()
        images = images[: -(-len(images) // 2)]
        assert isinstance(batches, ResidentBatches)
        batches.batch_size = len(images)


def _last_step(n_images: int, n_train: int, batch_size: int) -> str:
    """The training step of an epoch's short last batch, and what would spare the network such a one."""
    images = "1 image" if n_images == 1 else f"{n_images} images"
    return (
        f"training on {images}, the last batch of {n_train:,} at batch size {batch_size} "
        "(let the network take so few, or choose another batch size),"
    )


def _demand_logits(cell_id: str, outputs: object, wanted: tuple[int, int]) -> None:
    """Refuse what is not one floating-point tensor of the shape (batch size, classes). Raises UnfitNetwork."""
    if not isinstance(outputs, torch.Tensor):
        what = f"a {type(outputs).__name__}, not one tensor {wanted}"
        raise UnfitNetwork(f"{cell_id}: the network returned {what}: return the logits alone")
    if outputs.shape != wanted:
        raise UnfitNetwork(
            f"{cell_id}: the network's output has the shape {tuple(outputs.shape)}, not {wanted}: (batch size, classes)"
        )
    if not outputs.is_floating_point():
        raise UnfitNetwork(f"{cell_id}: the network's output is {outputs.dtype}, not a floating-point type")
