"""What counts as a layer, what can't be counted, and any graph of both."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.attention.flex_attention import flex_attention
from torch.utils.checkpoint import checkpoint

from nets.networks.dataflow import UnknownStructure
from tests.support.networks import Net, layers, linear, weight


def _buffer_apart(net: Any, x: Tensor) -> Tensor:
    rows = torch.empty(4, 1, 16)
    rows[0] = x
    rows[1] = net.a(rows[0])
    rows[2] = net.a(rows[0])
    rows[3] = net.a(rows[1])
    return net.a(rows[2])  # type: ignore[no-any-return]


def _buffer_chained(net: Any, x: Tensor) -> Tensor:
    rows = torch.empty(4, 1, 16)
    rows[0] = x
    for i in range(3):
        rows[i + 1] = net.a(rows[i])
    return rows.sum(0)


def _buffer_side_by_side(net: Any, x: Tensor) -> Tensor:
    out = torch.empty(1, 32)
    out[:, :16] = net.a(x)
    out[:, 16:] = net.a(net.a(x))
    return out


def _buffer_masked(net: Any, x: Tensor) -> Tensor:
    out = torch.empty(1, 16)
    out[x >= 0] = net.a(x)[x >= 0]
    return net.a(out)  # type: ignore[no-any-return]


def _in_a_loop(net: Any, x: Tensor) -> Tensor:
    for _ in range(10):
        x = net.a(x)
    return x


def _heads(x: Tensor) -> Tensor:
    return x.reshape(1, 2, 1, 8)


COUNTED: dict[str, tuple[int, Any]] = {
    "adapter on activations": (
        3,
        Net(
            lambda n, x: n.c(n.base(x) + n.b(n.a(x))), base=linear(), a=nn.Linear(16, 2), b=nn.Linear(2, 16), c=linear()
        ),
    ),
    "adapter folded": (
        1,
        Net(lambda n, x: F.linear(x, n.w + n.b @ n.a), w=weight(16, 16), a=weight(2, 16), b=weight(16, 2)),
    ),
    "adapter in addmm": (3, Net(lambda n, x: torch.addmm(n.a(n.a(n.a(x))), x, n.w), a=linear(), w=weight(16, 16))),
    "tied": (10, Net(_in_a_loop, a=linear())),
    "reshaped weight": (1, Net(lambda n, x: x @ n.w[1:].t().reshape(16, 4), w=weight(5, 16))),
    "weight in no module": (2, Net(lambda n, x: n.a(x @ n.listed[0].t()), a=linear(), listed=[weight(16, 16)])),
    "custom gradient": (1, Net(lambda n, x: _Custom.apply(x, n.w), w=weight(16, 4))),
    "mapped": (1, Net(lambda n, x: torch.func.vmap(lambda w: x @ w)(n.w), w=weight(3, 16, 4))),
    "other weights": (
        1,
        Net(lambda n, x: torch.func.functional_call(n.a, {"weight": n.w}, (x,)), a=linear(), w=weight(16, 16)),
    ),
    "constant matrix": (1, Net(lambda n, x: n.a(x @ n.dct), a=linear(), dct=torch.randn(16, 16))),
    "constant matrix, learned scale": (
        2,
        Net(lambda n, x: n.a(x @ (n.dct * n.scale)), a=linear(), dct=torch.randn(16, 16), scale=weight(16)),
    ),
    "scale and shift": (1, Net(lambda n, x: n.scale * n.a(x) + n.scale, a=linear(), scale=weight(16))),
    "learned query": (1, Net(lambda n, x: n.a(x + n.a(n.a(n.query))), a=linear(), query=weight(1, 16))),
    "learned keys and values": (
        2,
        Net(
            lambda n, x: F.scaled_dot_product_attention(_heads(x), n.k, n.v), k=weight(1, 2, 5, 8), v=weight(1, 2, 5, 8)
        ),
    ),
    "zeros like the input": (1, Net(lambda n, x: n.a(torch.zeros_like(x)) + n.a(x), a=linear())),
    "weights made from the input": (
        1,
        Net(lambda n, x: torch.einsum("bi,bio->bo", x, n.a(x).view(1, 16, 4)), a=linear(64)),
    ),
    "scores": (2, Net(lambda n, x: (n.a(x).t() @ n.a(x) @ n.a(x).t()).t() @ n.w, a=linear(), w=weight(16, 16))),
    "fused scores": (
        2,
        Net(
            lambda n, x: n.a(F.scaled_dot_product_attention(_heads(n.a(x)), _heads(n.a(x)), _heads(x)).flatten(1)),
            a=linear(),
        ),
    ),
    "attention": (2, Net(lambda n, x: n.a(x, x, x)[0], a=nn.MultiheadAttention(16, 2))),
    "encoder": (
        8,
        Net(
            lambda n, x: n.a(x[None]),
            a=nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2),
        ),
    ),
    "bilinear": (1, Net(lambda n, x: n.a(x, x), a=nn.Bilinear(16, 16, 3))),
    "bilinear, learned query": (1, Net(lambda n, x: n.a(x, n.q), a=nn.Bilinear(16, 16, 3), q=weight(1, 16))),
    "einsum": (1, Net(lambda n, x: torch.einsum("bi,io->bo", x, n.w), w=weight(16, 4))),
    "matrix times vector": (1, Net(lambda n, x: torch.mv(n.w, x[0]), w=weight(4, 16))),
    "lookup": (1, Net(lambda n, x: n.a(n.table(x.long()).flatten(1)), table=nn.Embedding(3, 1), a=linear())),
    "buffer, parts apart": (2, Net(_buffer_apart, a=linear())),
    "buffer, chained": (3, Net(_buffer_chained, a=linear())),
    "buffer, side by side": (2, Net(_buffer_side_by_side, a=linear())),
    "buffer, masked": (2, Net(_buffer_masked, a=linear())),
    "checkpointed": (2, Net(lambda n, x: checkpoint(lambda y: n.a(n.a(y)), x, use_reentrant=False), a=linear())),
    "checkpointed, reentrant": (
        2,
        Net(lambda n, x: checkpoint(lambda y: n.a(n.a(y)), x, use_reentrant=True), a=linear()),
    ),
    "compiled": (2, torch.compile(nn.Sequential(nn.Flatten(), linear(), linear()), backend="eager")),
    "compiled within": (2, Net(lambda n, x: n.a(n.b(x)), a=linear(), b=torch.compile(linear(), backend="eager"))),
    "inference mode": (2, Net(torch.inference_mode()(lambda n, x: n.a(n.a(x))), a=linear())),
    "unrolled recurrence": (4, Net(lambda n, x: n.a(x.view(4, 1, 4))[0], a=nn.RNN(4, 4))),
    "recurrent cell": (1, Net(lambda n, x: n.a(x)[0], a=nn.LSTMCell(16, 4))),
    "weight norm": (
        2,
        Net(
            lambda n, x: n.a(n.b(x)),
            a=nn.utils.parametrizations.weight_norm(linear()),
            b=nn.utils.parametrizations.orthogonal(linear()),
        ),
    ),
    "normalised": (
        2,
        nn.Sequential(
            nn.Conv2d(1, 4, 2),
            nn.BatchNorm2d(4),
            nn.PReLU(4),
            nn.GroupNorm(2, 4),
            nn.InstanceNorm2d(4, affine=True),
            nn.LayerNorm(3),
            nn.RMSNorm(3),
            nn.ConvTranspose2d(4, 1, 2),
        ),
    ),
    "half precision": (2, nn.Sequential(nn.Flatten(), linear(), linear()).bfloat16()),
    "several outputs": (2, Net(lambda n, x: {"shallow": n.a(x), "deep": (n.a(n.a(x)), None)}, a=linear())),
}


class _Custom(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        return x @ w


class _Sparse(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = weight(16, 16)

    def forward(self, images: Tensor) -> Tensor:
        return self.w.to_sparse() @ images.view(16, 1)


@pytest.mark.parametrize("case", COUNTED)
def test_counted(case: str) -> None:
    """Layers are the weight operations on the longest path, whatever hides or imitates them."""
    expected, model = COUNTED[case]
    assert layers(model) == expected


@torch.library.custom_op("nets_tests::product", mutates_args=())
def product(x: Tensor, w: Tensor) -> Tensor:
    return x @ w


def _flex(x: Tensor) -> Any:
    return flex_attention(x, x, x)


def _no_head(net: Any, x: Tensor) -> Any:
    raise KeyError("head")


def _through_numpy(net: Any, x: Tensor) -> Tensor:
    hidden = net.a(x)
    out = torch.empty_like(hidden)
    out.numpy()[:] = hidden.numpy()
    return x + out


REFUSED: dict[str, tuple[str, Any]] = {
    "no weight": ("no convolution or matrix product", nn.Flatten()),
    "scales only": ("no convolution or matrix product", Net(lambda n, x: x * n.w, w=weight(16))),
    "constants only": ("no convolution or matrix product", Net(lambda n, x: x @ n.dct, dct=torch.randn(16, 16))),
    "input unused": (
        "no convolution or matrix product",
        Net(lambda n, x: n.a(n.query), a=linear(), query=weight(1, 16)),
    ),
    "custom operation": ("nets_tests::product", Net(lambda n, x: n.a(product(x, n.w)), a=linear(), w=weight(16, 16))),
    "flex attention": ("flex_attention", Net(lambda n, x: _flex(_heads(n.a(x))), a=linear())),
    "branch in the graph": ("cond", Net(lambda n, x: torch.cond(x.sum() > 0, n.a, n.b, (x,)), a=linear(), b=linear())),
    "sparse weight": ("sparse_coo", Net(lambda n, x: n.a((n.w.to_sparse() @ x.t()).t()), a=linear(), w=weight(16, 16))),
    "kernel outside of torch": ("outside of torch", Net(lambda n, x: n.a(x) + torch.empty(16), a=linear())),
    "through numpy": ("leave torch by Tensor.numpy", Net(_through_numpy, a=linear())),
    "no tensor": ("returned a NoneType", Net(lambda n, x: None, a=linear())),
    "another shape": (r"shape \(1, 1, 4, 4\), .* raised RuntimeError: ", nn.Sequential(nn.Flatten(), nn.Linear(5, 2))),
    "its own error": ("raised KeyError: 'head'", Net(_no_head, a=linear())),
    "lazy, and not to be copied": ("lazy parameters", nn.Sequential(nn.LazyConv2d(2, 3), nn.LazyBatchNorm2d())),
    "a function": ("this is a function", linear),
    "a class": ("this is a type", nn.Linear),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    """What can't be seen through or passed is refused in one sentence that names it, never counted as 0."""
    named, model = REFUSED[case]
    with pytest.raises(UnknownStructure, match=named) as refusal:
        layers(model)
    assert "\n" not in str(refusal.value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:.*quantize:UserWarning")
def test_torchscript() -> None:
    """A scripted network counts like its source, frozen or not, and is refused like it."""
    scripted = torch.jit.script(nn.Sequential(nn.Flatten(), linear(), nn.BatchNorm1d(16), linear()))
    assert layers(scripted) == 2
    assert layers(torch.jit.freeze(scripted.eval())) == 2
    with pytest.raises(UnknownStructure, match="sparse_coo"):
        layers(torch.jit.script(_Sparse()))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:.*quantize:UserWarning")
def test_quantised_weights_are_refused() -> None:
    """Packed weights are in no operand, and all the same not overlooked."""
    model = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Flatten(), linear(), linear()), {nn.Linear})
    with pytest.raises(UnknownStructure, match="quantized::linear_dynamic"):
        layers(model)


# A drawn graph: each node works on earlier ones. The first three are the input, a parameter and a constant.
NODES = st.lists(
    st.tuples(st.sampled_from(["layer", "add", "product", "buffer"]), st.integers(0), st.integers(0)), max_size=12
)


@settings(deadline=None, max_examples=60)
@given(NODES)
def test_any_graph(nodes: list[tuple[str, int, int]]) -> None:
    """Layers are the longest path of a graph, found without torch; the parts of a buffer are no path between them."""
    graph = [(kind, a % (i + 3), b % (i + 3)) for i, (kind, a, b) in enumerate(nodes)]

    def forward(net: Any, x: Tensor) -> Tensor:
        values = [x.view(4, 4), net.w, net.constant]
        for kind, a, b in graph:
            if kind == "buffer":
                rows = torch.empty(2, 4, 4)
                rows[0], rows[1] = values[a], values[b]
                values.append(rows[0])
            else:
                one, two = values[a], net.w if kind == "layer" else values[b]
                values.append(one + two if kind == "add" else one @ two)
        last: Tensor = values[-1]
        return last

    from_input, from_weights, depth = [True, False, False], [False, True, False], [0, 0, 0]
    for kind, a, b in graph:
        parents = {"layer": [a, 1], "buffer": [a]}.get(kind, [a, b])
        counts = kind in ("layer", "product") and any(from_input[i] for i in parents)
        counts = counts and any(from_weights[i] and not from_input[i] for i in parents)
        depth.append(max(depth[i] for i in parents) + counts)
        from_input.append(any(from_input[i] for i in parents))
        from_weights.append(any(from_weights[i] for i in parents))
    model = Net(forward, w=weight(4, 4), constant=torch.randn(4, 4))
    if depth[-1]:
        assert layers(model) == depth[-1]
    else:
        with pytest.raises(UnknownStructure):
            layers(model)
