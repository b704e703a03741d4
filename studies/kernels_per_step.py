"""How many kernels a training step launches, counted by torch's dispatch on the CPU: the table of docs/performance.md.

`python -m studies.kernels_per_step` prints it. Every operation that reads or writes memory counts as one kernel, views
don't; on a GPU cuDNN may add some of its own.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from nets.cells.catalog import CELLS, protocol_for
from nets.datasets.data import Split
from nets.networks.builtin import MODELS
from nets.training.cuda_graph import WORK_S, GraphTrainer, graphed
from nets.training.eager import FusedAdam, ResidentTrainer
from nets.training.graph_recorder import Work
from nets.training.trainer import Loaders, ResidentBatches

STEPS = 50
IMAGES = {"mnist": (1, 28, 28), "digits": (1, 28, 28), "cifar10": (3, 32, 32), "shapes": (3, 32, 32)}
_NO_KERNEL = ("empty", "detach", "alias", "set_", "lift_fresh")


class Kernels(TorchDispatchMode):
    """Counts the operations that would launch a kernel."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch gives it no types
        self.n = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.n += not (func.is_view or name.startswith(_NO_KERNEL))
        return func(*args, **(kwargs or {}))


class Calls:
    """Records nothing: replays by doing the work again."""

    peak_bytes = 0

    def warm_up(self, work: Work) -> None:
        """Do it."""
        work()

    def record(self, work: Work) -> Work:
        """The work itself."""
        return work

    def seconds(self, replay: Work) -> float:
        """So long that a graph holds STEPS steps."""
        replay()
        return WORK_S / STEPS


def kernels_a_step(model: str, dataset: str = "mnist", batch_size: int | None = None) -> tuple[float, int]:
    """Kernels of a step in a recorded graph; those of forward, loss, backward and Adam alone."""
    protocol, image = protocol_for("quick", dataset), IMAGES[dataset]
    size = batch_size or protocol.batch_size
    torch.manual_seed(0)
    split = Split(torch.rand(STEPS * size, *image), torch.randint(10, (STEPS * size,)))
    batches = ResidentBatches(split, size, shuffle=True)
    network = MODELS[model](image, 10)
    recorded = graphed(ResidentTrainer(network, Loaders(batches, batches), protocol, torch.device("cpu")), Calls())
    assert isinstance(recorded, GraphTrainer), recorded.fallback_because
    with Kernels() as of_graph:
        recorded.train_steps(STEPS, size)
    return of_graph.n / STEPS, kernels_of_the_network(model, dataset)


def kernels_of_the_network(model: str, dataset: str) -> int:
    """Kernels of one step's forward, loss, backward and Adam alone, whatever the batch size."""
    image = IMAGES[dataset]
    network = MODELS[model](image, 10)
    optimizer = FusedAdam(list(network.parameters()), lr=1e-3)
    optimizer.zero_grad()
    one, images, labels = torch.ones(()), torch.rand(2, *image), torch.zeros(2, dtype=torch.int64)
    with Kernels() as alone:
        F.cross_entropy(network(images), labels).backward(one)
        with optimizer.counted_together(1):
            optimizer.step()
    n: int = alone.n - COUNTING
    return n


COUNTING = 3
"""Kernels of `counted_together`, which are no part of the network."""


def main() -> None:
    """Print the table."""
    print("| cell | kernels a step | forward, loss, backward and Adam alone |")
    print("|---|---|---|")
    for cell in CELLS[:5]:
        recorded, alone = kernels_a_step(cell.model, cell.dataset)
        print(f"| {cell.id} | {recorded:.1f} | {alone} |")


if __name__ == "__main__":
    main()
