"""Products of weights alone, of the input by other operations than products, and scales, which are none."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.networks.idioms.registry import square, written
from tests.support.networks import linear, weight

# Work on weights alone

written("hypernetwork", lambda n, x: F.linear(x, n.hyper(n.z).view(16, 16)), hyper=nn.Linear(8, 256), z=weight(8))
written("low_rank", lambda n, x: F.linear(x, n.w + n.b @ n.a), w=weight(16, 16), a=weight(2, 16), b=weight(16, 2))
written("factorised", lambda n, x: F.linear(F.linear(x, n.a), n.b), a=weight(2, 16), b=weight(16, 2))
written("adaptive_graph", lambda n, x: x @ (n.a @ n.b).relu().softmax(1), a=weight(16, 4), b=weight(4, 16))
written("spectral", lambda n, x: n.a(x), a=nn.utils.parametrizations.spectral_norm(linear()))
written("orthogonal", lambda n, x: n.a(x), a=nn.utils.parametrizations.orthogonal(linear(), orthogonal_map="cayley"))
written("weight_norm", lambda n, x: n.a(x), a=nn.utils.parametrizations.weight_norm(linear()))
written(
    "position_bias",
    lambda n, x: n.a(x) + n.bias(n.grid).flatten(),
    a=linear(),
    bias=nn.Linear(2, 1),
    grid=torch.rand(16, 2),
)
written("constant_product", lambda n, x: n.a(x @ (n.dct @ n.dct)), a=linear(), dct=torch.rand(16, 16))


def _state_space(net: Any, x: Tensor) -> Tensor:
    kernel = net.c @ torch.exp(-net.rate.exp()[:, None] * torch.arange(16))
    spectrum = torch.fft.rfft(x, 32) * torch.fft.rfft(kernel, 32)
    return net.a(torch.fft.irfft(spectrum, 32)[:, :16])  # type: ignore[no-any-return]


written("state_space", _state_space, c=weight(8), rate=weight(8), a=linear())


# Products of input and weight that no product operation computes


def _fourier(net: Any, x: Tensor) -> Tensor:
    angles = x[:, None, :, None] * torch.arange(1, 4)
    return net.a((angles.cos() * net.cos + angles.sin() * net.sin).sum((-2, -1)) + (angles.cos() * net.cos).sum((2, 3)))  # type: ignore[no-any-return]


def _wavelets(net: Any, x: Tensor) -> Tensor:
    moved = (x[:, None].expand(len(x), 16, 16) - net.shift) / net.scale
    wavelet = (moved.square() - 1) * torch.exp(-moved.square() / 2)
    return net.a((wavelet * net.w[None]).sum(2))  # type: ignore[no-any-return]


def _spectral_filter(net: Any, x: Tensor) -> Tensor:
    spectrum = torch.fft.rfft2(x.view(-1, 4, 4), norm="ortho") * torch.view_as_complex(net.filter)
    return net.a(torch.fft.irfft2(spectrum, (4, 4)).flatten(1))  # type: ignore[no-any-return]


written(
    "cosine_head", lambda n, x: F.cosine_similarity(n.a(x)[:, None], n.w[None], dim=-1), a=linear(), w=weight(5, 16)
)
written("normalised_head", lambda n, x: F.linear(F.normalize(x), F.normalize(n.w)), w=weight(5, 16))
written("radial_basis", lambda n, x: (-(n.a(x)[:, None] - n.w).square().sum(2)).exp(), a=linear(), w=weight(5, 16))
written("distances", lambda n, x: torch.cdist(n.a(x), n.w), a=linear(), w=weight(5, 16))
written("many_distances", lambda n, x: torch.cdist(n.a(x), n.w), a=linear(), w=weight(40, 16))
written("adder", lambda n, x: n.a(-(x[:, None] - n.w).abs().sum(2)), a=linear(), w=weight(16, 16))
written("broadcast_product", lambda n, x: n.a((x[:, None] * n.w).sum(2)), a=linear(), w=weight(16, 16))
written("broadcast_mean", lambda n, x: n.a((x[:, :, None] * n.w).mean(1)), a=linear(), w=weight(16, 16))
written("pooled_by_weights", lambda n, x: n.a(x) + (x * n.w).sum(1, keepdim=True), a=linear(), w=weight(16))
written("fourier_series", _fourier, a=linear(), cos=weight(16, 16, 3), sin=weight(16, 16, 3))
written("wavelets", _wavelets, a=linear(), shift=weight(16, 16), scale=weight(16, 16), w=weight(16, 16))
written("spectral_filter", _spectral_filter, a=linear(), filter=weight(4, 3, 2))
written(
    "spectral_operator",
    lambda n, x: n.a(
        torch.fft.irfft(torch.einsum("bci,cdi->bdi", torch.fft.rfft(x.view(-1, 4, 4)), n.w), 4).flatten(1)
    ),
    a=linear(),
    w=nn.Parameter(torch.randn(4, 4, 3, dtype=torch.complex64)),
)


# The same operations, where they are scales, gates and norms


def _norm(x: Tensor, dim: Any = 1) -> Tensor:
    return x / (x.square().mean(dim, keepdim=True) + 1e-5).sqrt()


def _affine_by_hand(net: Any, x: Tensor) -> Tensor:
    maps = net.conv(square(x))
    centred = maps - maps.mean((0, 2, 3), keepdim=True)
    return net.a((centred * net.gamma + net.beta).mean((2, 3)))  # type: ignore[no-any-return]


_PER_CHANNEL = {"gamma": weight(1, 16, 1, 1), "beta": weight(1, 16, 1, 1)}
written("affine_by_hand", _affine_by_hand, conv=nn.Conv2d(1, 16, 1), a=linear(), **_PER_CHANNEL)
written(
    "layer_scale",
    lambda n, x: n.b((x.view(-1, 4, 4) + n.gamma * n.a(x).view(-1, 4, 4)).mean(1)),
    a=linear(),
    b=nn.Linear(4, 4),
    gamma=weight(4),
)
written("two_norms", lambda n, x: n.a(_norm(_norm(x) * n.gamma) * n.gamma), a=linear(), gamma=weight(16))
written("gated_residual", lambda n, x: x + n.alpha * n.a(x), a=linear(), alpha=weight(1))
written("squeeze_excite", lambda n, x: (x * n.b(n.a(x).relu()).sigmoid()).sum(1), a=linear(4), b=nn.Linear(4, 16))
written("position_embedding", lambda n, x: n.a((x[:, None] + n.places).mean(1)), a=linear(), places=weight(5, 16))
written(
    "rotary",
    lambda n, x: n.a(torch.view_as_real(torch.view_as_complex(x.view(-1, 8, 2)) * n.angles).flatten(1)),
    a=linear(),
    angles=torch.polar(torch.ones(8), torch.arange(8.0)),
)
written("learned_exponent", lambda n, x: n.a(x.clamp(min=1e-3) ** n.p).mean(1), a=linear(), p=weight(1))
