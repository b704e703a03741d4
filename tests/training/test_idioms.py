"""Every network of the table of idioms that a plain loop trains is trained by the suite; else it says why not."""

from __future__ import annotations

import copy
import tomllib
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from nets.cells.catalog import Cell, protocol_for
from nets.datasets.data import Data, Split
from nets.networks.build import UnfitNetwork
from nets.training.pipelines import ResidentPipeline
from nets.training.run import CellRun
from tests.networks.idioms import IDIOMS

TABLE = tomllib.loads((Path(__file__).parents[1] / "networks" / "idioms.toml").read_text())
CPU = torch.device("cpu")
PROTOCOL = protocol_for("quick", "digits").changed(epochs=1, batch_size=4)
pytestmark = pytest.mark.filterwarnings("ignore")


class Classified(nn.Module):
    """Two logits of whatever a network returns."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, 2)."""
        leaves = [leaf for leaf in tree_leaves(self.network(images)) if isinstance(leaf, Tensor)]
        total = leaves[0].reshape(len(images), -1).sum(1)
        return torch.stack([total, -total], 1)


def built(name: str) -> nn.Module:
    """One of its own: some of the table's share their parts."""
    return Classified(copy.deepcopy(IDIOMS[name]()))


def plain_loop(name: str, images: Tensor, labels: Tensor) -> None:
    """Train and evaluate as one would by hand."""
    network = built(name)
    optimizer = torch.optim.Adam([each for each in network.parameters() if each.requires_grad])
    for batch, answers in zip(images.split(4), labels.split(4), strict=True):
        optimizer.zero_grad()
        F.cross_entropy(network(batch), answers).backward()
        optimizer.step()
    with torch.no_grad():
        network.eval()(images)


@pytest.mark.parametrize("name", IDIOMS)
def test_trained_as_by_hand(name: str) -> None:
    """The suite's round ends where a plain loop does; where that raises, the suite has one sentence."""
    torch.manual_seed(0)
    shape = tuple(TABLE[name].get("image", (1, 4, 4)))
    split = Split(torch.randint(0, 256, (8, *shape), dtype=torch.uint8), torch.arange(8) % 2)
    data = Data("digits", split, split, 2, False, "x", per_image=lambda _: None)  # type: ignore[arg-type,return-value]
    run = CellRun(Cell("digits", name, build=lambda: built(name)), PROTOCOL, way := ResidentPipeline(), data,
                  way.loaders(data, PROTOCOL, CPU), CPU)  # fmt: skip
    reason: Any = None
    try:
        plain_loop(name, data.on(CPU)[0].images, split.labels)
    except Exception as error:
        reason = error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if reason is None:
            assert run.round().seed == 0
            assert run.network.parameters == sum(p.numel() for p in built(name).parameters() if p.requires_grad)
            return
        with pytest.raises(UnfitNetwork) as refusal:
            run.round()
    assert "\n" not in str(refusal.value)
