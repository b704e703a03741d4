"""Operations of their own, losses, tables, rounding, and shapes of networks."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from tests.networks.idioms.registry import IDIOMS, idiom, square, written
from tests.support.networks import linear, weight

# Operations of their own, losses, tables, rounding


class Deformed(nn.Module):
    def __init__(self, masked: bool) -> None:
        super().__init__()
        self.offset, self.mask = nn.Conv2d(1, 18, 3, padding=1), nn.Conv2d(1, 9, 3, padding=1)
        self.conv, self.masked = torchvision.ops.DeformConv2d(1, 3, 3, padding=1), masked

    def forward(self, images: Tensor) -> Any:
        return self.conv(images, self.offset(images), self.mask(images).sigmoid() if self.masked else None)


IDIOMS |= {"deformed": lambda: Deformed(False), "deformed_and_masked": lambda: Deformed(True)}


def _loss_within(net: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    logits = net.a(x)
    return logits, F.cross_entropy(logits, torch.zeros(len(x)).long(), net.balance)


written("loss_within", _loss_within, a=linear(), balance=nn.Parameter(torch.ones(16)))
written("loss_to_prototypes", lambda n, x: F.mse_loss(n.a(x), n.w.expand_as(x)), a=linear(), w=weight(16))
written("similarity", lambda n, x: F.cosine_similarity(n.a(x), n.b(x)), a=linear(), b=linear())
written("pairwise", lambda n, x: n.a(x) + F.pdist(x.view(-1, 4)).sum(), a=linear())
written("triplet", lambda n, x: F.triplet_margin_loss(n.a(x), n.b(x), n.c(x)), a=linear(), b=linear(), c=linear())

_Q = {"scale": nn.Parameter(torch.ones(1)), "zero": nn.Parameter(torch.zeros(1))}
written(
    "learned_rounding",
    lambda n, x: n.a(torch._fake_quantize_learnable_per_tensor_affine(x, n.scale, n.zero, 0, 255, 1.0)),
    a=linear(),
    **_Q,
)
written(
    "learned_rounding_of_weights",
    lambda n, x: F.linear(
        x, torch._fake_quantize_learnable_per_channel_affine(n.w, n.scale, n.zero, 0, -128, 127, 1.0)
    ),
    w=weight(4, 16),
    scale=nn.Parameter(torch.ones(4)),
    zero=nn.Parameter(torch.zeros(4)),
)


@idiom
def rounding_in_training() -> nn.Module:
    model = nn.Sequential(nn.Flatten(), linear(), nn.ReLU(), linear())
    config = torch.ao.quantization.get_default_qat_qconfig("fbgemm")
    for module in model:
        module.qconfig = config
    return torch.ao.quantization.prepare_qat(model.train())  # type: ignore[no-any-return]


def _renormalised(net: Any, x: Tensor) -> Any:
    found = net.table(net.a(x).argmax(1))
    return found @ net.table.weight.t()


written("renormalised_table", _renormalised, a=linear(), table=nn.Embedding(16, 4, max_norm=0.1))
written(
    "codebook",
    lambda n, x: n.b(n.codes(torch.cdist(n.a(x), n.codes.weight).argmin(1))),
    a=linear(),
    b=linear(),
    codes=nn.Embedding(5, 16),
)
written(
    "router",
    lambda n, x: torch.stack([n.experts[i](row) for row, i in zip(x, n.a(x).argmax(1).tolist(), strict=True)]),
    a=linear(2),
    experts=nn.ModuleList([linear(), linear()]),
)
written(
    "router_weighed",
    lambda n, x: sum(p[:, None] * e(x) for p, e in zip(n.a(x).softmax(1).unbind(1), n.experts, strict=True)),
    a=linear(2),
    experts=nn.ModuleList([linear(), linear()]),
)


# Shapes of networks


def _euler(net: Any, x: Tensor) -> Tensor:
    for _ in range(8):
        x = x + 0.1 * net.b(net.a(x).tanh())
    return x


def _fixed_point(net: Any, x: Tensor) -> Tensor:
    z = torch.zeros_like(x)
    for _ in range(6):
        z = torch.tanh(net.a(z) + net.b(x))
    return z


written("euler_steps", _euler, a=linear(), b=linear())
written("fixed_point", _fixed_point, a=linear(), b=linear())
written(
    "mixer", lambda n, x: n.b(n.a(x.view(-1, 4, 4)).transpose(1, 2)).flatten(1), a=nn.Linear(4, 4), b=nn.Linear(4, 4)
)
written("fourier_features", lambda n, x: n.a((x @ n.frequencies).sin()), a=linear(), frequencies=torch.randn(16, 16))
written("unfolded", lambda n, x: n.w @ F.unfold(square(x), 3), w=weight(5, 9))
written(
    "complex_weights",
    lambda n, x: (x.to(torch.complex64) @ n.w).abs(),
    w=nn.Parameter(torch.randn(16, 4, dtype=torch.complex64)),
)
written("highway", lambda n, x: n.t(x).sigmoid() * n.h(x).relu() + (1 - n.t(x).sigmoid()) * x, t=linear(), h=linear())
TABLE = torch.arange(16.0)
written("known_constant", lambda n, x: n.a(x + TABLE), a=linear())
written("read_by_python", lambda n, x: n.b(n.a(x) / (1 + x.abs().max().item())), a=linear(), b=linear())
written("numbers_of_python", lambda n, x: n.a(x + torch.tensor([float(i) for i in range(16)])), a=linear())
written("constants_of_numpy", lambda n, x: n.a(x + torch.tensor(np.arange(16.0), dtype=torch.float32)), a=linear())
written("threads_of_torch", lambda n, x: torch.jit.wait(torch.jit.fork(n.a, x)), a=linear())


@lru_cache
def _positions(n: int) -> Tensor:
    return torch.arange(n) / n


def _folded_once(net: Any, x: Tensor) -> Tensor:
    if not hasattr(net, "folded"):
        net.folded = net.w + net.b @ net.a
    return net.out(F.linear(x, net.folded) + TABLE)  # type: ignore[no-any-return]


def _folded_by_name(net: Any, x: Tensor) -> Tensor:
    net.folds.setdefault(x.device, net.w.t())
    return net.out(x @ net.folds[x.device] + TABLE)  # type: ignore[no-any-return]


_ADAPTER = {"w": weight(16, 16), "a": weight(2, 16), "b": weight(16, 2)}
written("folded_once", _folded_once, out=linear(), **_ADAPTER)
written("folded_by_name", _folded_by_name, out=linear(), w=weight(16, 16), folds={})
written("cached_constant", lambda n, x: n.a(x + _positions(16) + TABLE), a=linear())
written("generated_each_time", lambda n, x: n.a(x + torch.linspace(0, 1, 16) + TABLE), a=linear())


@idiom
def separable() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(4, 8, 1))


@idiom
def encoder_decoder() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 2, stride=2), nn.ReLU(), nn.ConvTranspose2d(4, 1, 2, stride=2))


@idiom
def traced() -> nn.Module:
    return torch.jit.trace(nn.Sequential(nn.Flatten(), linear(), nn.ReLU(), linear()), torch.rand(1, 1, 4, 4))  # type: ignore[no-any-return]


@idiom
def scripted_and_frozen() -> nn.Module:
    source = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3)).eval()
    return torch.jit.freeze(torch.jit.script(source))  # type: ignore[no-any-return]


@idiom
def exported() -> nn.Module:
    source = nn.Sequential(nn.Flatten(), linear(), nn.ReLU(), linear())
    return torch.export.export(source, (torch.rand(1, 1, 4, 4),)).module()
