"""Networks whose work can't be followed."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.networks.idioms.registry import written
from tests.support.networks import linear, weight


def _write_through(net: Any, x: Tensor) -> Tensor:
    hidden = net.a(x)
    out = torch.zeros_like(hidden)
    out.numpy()[:] = np.asarray(x)
    return out + x


def _in_a_thread(net: Any, x: Tensor) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(net.a, x).result() + net.b(x)


def _caught(net: Any, x: Tensor) -> Any:
    try:
        return net.b(torch.from_numpy(net.a(x).numpy()))
    except Exception:
        return net.b(x)


def _in_an_earlier_thread(net: Any, x: Tensor) -> Any:
    return _POOL.submit(net.a, x).result() + net.b(x)


def _own_nested(net: Any, x: Tensor) -> Any:
    return net.a(torch.nested.nested_tensor([x[0, None], x[0, None]]))


def _by_address(net: Any, x: Tensor) -> Tensor:
    hidden, out = net.a(x), torch.zeros_like(x)
    ctypes.memmove(out.data_ptr(), hidden.data_ptr(), hidden.nbytes)
    return out + x


_POOL = ThreadPoolExecutor(1)
_POOL.submit(int).result()
written("through_numpy", lambda n, x: n.b(torch.from_numpy(n.a(x).numpy())), a=linear(), b=linear())
written("through_asarray", lambda n, x: n.b(torch.as_tensor(np.asarray(n.a(x)))), a=linear(), b=linear())
written("through_lists", lambda n, x: n.b(torch.tensor(n.a(x).tolist())), a=linear(), b=linear())
written("through_dlpack", lambda n, x: n.b(torch.utils.dlpack.from_dlpack(n.a(x))), a=linear(), b=linear())
written(
    "weights_through_numpy",
    lambda n, x: n.a(x) + x @ torch.from_numpy(n.w.detach().numpy()),
    a=linear(),
    w=weight(16, 16),
)
written("written_through_numpy", _write_through, a=linear())
written("made_by_numpy", lambda n, x: n.a(x + torch.from_numpy(np.ones(16, np.float32))), a=linear())
written("in_a_thread", _in_a_thread, a=linear(), b=linear())
written("in_an_earlier_thread", _in_an_earlier_thread, a=linear(), b=linear())
written("refusal_caught", _caught, a=linear(), b=linear())
written("own_nested_tensor", _own_nested, a=linear())
written("sparse_weight", lambda n, x: (n.w.to_sparse() @ x.t()).t(), w=weight(16, 16))
written("sparse_rows", lambda n, x: (n.w.to_sparse_csr() @ x.t()).t(), w=weight(16, 16))
written("no_logits", lambda n, x: {"loss": 0.5}, a=linear())
written("two_arguments", lambda n, x: n.a(x), a=nn.Bilinear(16, 16, 2))
written("unwritten", lambda n, x: n.a(x + torch.empty(16)), a=linear())
written("by_address", _by_address, a=linear())
written("by_a_function_of_numbers", lambda n, x: n.a(torch.zeros(16).map_(n.a(x)[0], lambda _, y: y)) + x, a=linear())
written("through_items", lambda n, x: n.b(torch.tensor([[v.item() for v in n.a(x)[0]]])), a=linear(), b=linear())
written("only_broadcast", lambda n, x: (x[:, None] * n.w).sum(2), w=weight(10, 16))
written("through_a_list", lambda n, x: n.b(torch.tensor([list(n.a(x)[0])])), a=linear(), b=linear())
