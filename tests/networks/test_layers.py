"""Layers, parameters and operations of the article's networks and torchvision's, and what looking leaves alone."""

from __future__ import annotations

import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.utils.flop_counter import flop_registry
from torchvision.models.regnet import BlockParams

from nets.cells.catalog import CELLS, Cell
from nets.networks.builtin import MODELS
from nets.networks.dataflow import UnknownStructure
from nets.networks.layers import network_structure
from nets.networks.operations import ATTENTION, PRODUCTS, has_formula, n_macs
from tests.support.networks import Net, demand_table_adds_up, linear, weight

SHAPES = {"mnist": (1, 28, 28), "digits": (1, 28, 28), "cifar10": (3, 32, 32), "shapes": (3, 32, 32)}
MACS = {
    "mnist-snn500": 397_000,
    "mnist-cnn3l": 2_838_080,
    "mnist-lenet5": 416_520,
    "cifar10-cnn3l": 2_228_800,
    "cifar10-lenet5": 651_720,
}
TORCHVISION = tomllib.loads(Path(__file__).with_name("torchvision_layers.toml").read_text())
BUILT_WITH = {"googlenet": {"aux_logits": False, "init_weights": False}, "inception_v3": {"init_weights": False}}


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.id)
def test_the_suite_s_networks(cell: Cell) -> None:
    """Each network has the article's layers, and its parameters exactly."""
    found = network_structure(MODELS[cell.model](SHAPES[cell.dataset], 10), SHAPES[cell.dataset])
    assert cell.expected is not None
    assert (found.parameters, found.layers) == (cell.expected.parameters, cell.expected.layers)
    if cell.id in MACS:
        assert found.macs_per_image == MACS[cell.id]


def test_the_table_is_whole() -> None:
    """Every classification model that torchvision builds is in the table, and nothing else is."""
    assert sorted(TORCHVISION) == torchvision.models.list_models(module=torchvision.models)


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_s_networks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers are the table's; parameters and operations, at the published image size, are torchvision's own figures."""
    weights = torchvision.models.get_model_weights(name).DEFAULT
    size = weights.transforms().crop_size[0]
    options = {"image_size": size} if name.startswith("vit") else BUILT_WITH.get(name, {})
    with torch.device("meta"), monkeypatch.context() as building:
        for initialising in ("fill_", "normal_", "uniform_", "zero_"):  # nothing there, in a third of the time
            building.setattr(Tensor, initialising, lambda tensor, *_, **__: tensor)
        computed = BlockParams.from_init_params
        building.setattr(BlockParams, "from_init_params", partial(_on_the_cpu, computed))  # it reads values
        model = torchvision.models.get_model(name, weights=None, **options)
    found = network_structure(model, (3, size, size))
    assert found.layers == TORCHVISION[name]["layers"], TORCHVISION[name]["why"]
    demand_table_adds_up(found)
    assert found.parameters == weights.meta["num_params"]
    macs = found.macs_per_image + found.macs_per_batch  # of one image; swin_v2's position bias is work on weights alone
    assert found.not_counted == ()
    assert macs / 1e9 == pytest.approx(weights.meta["_ops"], abs=0.000_51)  # given to three decimals


def _on_the_cpu(compute: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with torch.device("cpu"):
        return compute(*args, **kwargs)


def test_meta_device_or_not() -> None:
    """A network on the meta device has the structure that it has on the CPU."""
    with torch.device("meta"):
        unreal = torchvision.models.resnet18()
    assert network_structure(unreal, (3, 64, 64)) == network_structure(torchvision.models.resnet18(), (3, 64, 64))


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_frozen_weights_count_as_layers_only(frozen: int) -> None:
    """A frozen layer is a layer, but not a trainable parameter: none frozen, the backbone, everything."""
    model = nn.Sequential(nn.Linear(4, 8), nn.Flatten(), nn.Linear(32, 4))
    for part in list(model)[: (0, 1, 3)[frozen]]:
        part.requires_grad_(False)
    found = network_structure(model, (1, 4, 4))
    assert (found.layers, found.hidden_layers, found.parameters) == (2, 1, (40 + 132, 132, 0)[frozen])


def test_lazy_network() -> None:
    """A lazy network has its parameters counted as they would become, and stays lazy."""
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(8), nn.LazyLinear(3))
    found = network_structure(model, (1, 4, 4))
    assert (found.layers, found.parameters) == (2, 16 * 8 + 8 + 8 * 3 + 3)
    assert isinstance(model[1], nn.LazyLinear)
    assert isinstance(model[1].weight, nn.UninitializedParameter)


def test_every_weight_operation_has_its_operations_counted() -> None:
    """Nothing that counts as a layer counts as no multiply-accumulate."""
    assert [name for name in {*PRODUCTS, *ATTENTION} if not has_formula(name)] == []


def test_every_operation_that_torch_counts_is_counted() -> None:
    """None is passed over for its name, by which torch's slow module of formulas is imported only where needed."""
    code = """
import sys, torch
from nets.networks.operations import has_formula
assert "torch.utils.flop_counter" not in sys.modules and not has_formula("relu")
assert "torch.utils.flop_counter" not in sys.modules
assert all(has_formula(name) for name in sys.argv[1:])
"""
    names = [operation.__name__ for operation in flop_registry if hasattr(torch.ops.aten, operation.__name__)]
    for name in ("mm", "_scaled_dot_product_flash_attention", "cudnn_convolution"):
        assert name in names
    subprocess.run([sys.executable, "-c", code, *names], check=True)


@pytest.mark.parametrize(
    ("name", "shapes", "options"),
    [
        ("mm", [(3, 4), (4, 5)], []),
        ("bmm", [(2, 3, 4), (2, 4, 5)], []),
        ("addmm", [(5,), (3, 4), (4, 5)], []),
        ("baddbmm", [(2, 3, 5), (2, 3, 4), (2, 4, 5)], []),
        ("convolution", [(2, 4, 9, 8), (6, 2, 3, 3), (6,)], [(2, 1), (1, 1), (1, 1), False, (0, 0), 2]),
        ("convolution", [(2, 4, 9), (4, 3, 5), (6,)], [(3,), (1,), (1,), True, (1,), 2]),
    ],
    ids=["mm", "bmm", "addmm", "baddbmm", "grouped", "transposed"],
)
def test_formulas_agree_with_torch(name: str, shapes: list[tuple[int, ...]], options: list[Any]) -> None:
    """The formulas that spare the import of torch's count what those count."""
    operation = getattr(torch.ops.aten, name)
    arguments = [*(torch.ones(shape) for shape in shapes), *options]
    out = operation(*arguments)
    assert 2 * n_macs(operation.default, name, arguments, {}, out) == flop_registry[operation](*arguments, out_val=out)


@pytest.mark.parametrize(
    ("macs", "model"),
    [
        (16 * 16 * 3, Net(lambda n, x: n.a(x, x), a=nn.Bilinear(16, 16, 3))),
        (4 * 16, Net(lambda n, x: torch.mv(n.w, x[0]), w=weight(4, 16))),
        (4 * 16, Net(lambda n, x: torch.addmv(x[0, :4], n.w, x[0]), w=weight(4, 16))),
        (16, Net(lambda n, x: torch.dot(n.w, x[0]), w=weight(16))),
        (16 * 5, Net(lambda n, x: torch.addbmm(n.w[0, :1, :5], x[None], n.w), w=weight(1, 16, 5))),
        (2 * 5 * 3 * 4, Net(lambda n, x: torch.conv_tbc(x.view(4, 1, 4), n.w, n.w[0, 0]), w=weight(3, 4, 5))),
    ],
    ids=["bilinear", "mv", "addmv", "dot", "addbmm", "conv_tbc"],
)
def test_operations_counted_by_hand(macs: int, model: nn.Module) -> None:
    """Weight operations for which torch has no formula have one multiply-accumulate for each use of a weight."""
    assert network_structure(model, (1, 4, 4)).macs_per_image == macs


class _Restless(nn.Module):
    """A network that changes what it can: buffers, parameters, random numbers; and whose train() is not to be used."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.drop, self.norm = linear(), nn.Dropout(0.5), nn.BatchNorm1d(16)
        self.register_buffer("n_passes", torch.zeros((), dtype=torch.int64))
        self.register_buffer("last", torch.zeros(16))
        self.register_buffer("wide", torch.zeros(1).expand(16))
        self.norm.eval()

    def train(self, mode: bool = True) -> _Restless:
        raise AssertionError("the mode is set by a network's own means")

    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(1) + torch.rand(16) + self.get_buffer("wide")
        self.n_passes = self.get_buffer("n_passes").add_(1)
        self.last = self.norm(self.drop(x))
        self.a.weight.mul_(2)
        self.a.bias.data = self.a.bias.data + 1
        self.a.bias.requires_grad_(True)
        return self.a(self.last)  # type: ignore[no-any-return]


def _process() -> list[object]:
    backends = torch.backends
    flags = [backends.mha.get_fastpath_enabled(), backends.cudnn.enabled, backends.mkldnn.enabled]
    return [*flags, torch.is_grad_enabled(), threading.Thread.start]


def test_the_network_is_left_as_it_was() -> None:
    """Looking changes no mode, tensor, gradient, random number or switch of torch's, in a failing pass either."""
    model = _Restless()
    model.a.bias.requires_grad_(False)
    model.a.weight.grad = torch.ones(16, 16)
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    before = {name: value.detach().clone() for name, value in tensors.items()}
    random, process = torch.get_rng_state(), _process()
    for image in ((1, 4, 4), (1, 4, 5)):
        try:
            assert network_structure(model, image).layers == 1
        except UnknownStructure:
            assert image == (1, 4, 5)
        assert [module.training for module in model.modules()] == [True, True, True, False]
        after = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        assert all(after[name] is value and torch.equal(value, before[name]) for name, value in tensors.items())
        assert [p.requires_grad for p in model.a.parameters()] == [True, False]
        assert model.a.weight.grad.equal(torch.ones(16, 16))
        assert torch.equal(torch.get_rng_state(), random)
        assert _process() == process
