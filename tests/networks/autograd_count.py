"""Layers counted a second way, from the graph that autograd records: the longest path in products with a weight."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

# the nodes of products -> the positions of their factors
_FACTORS = {
    "ConvolutionBackward0": slice(0, 2),
    "AddmmBackward0": slice(1, 3),
    "AddbmmBackward0": slice(1, 3),
    "BaddbmmBackward0": slice(1, 3),
    "MmBackward0": slice(0, 2),
    "BmmBackward0": slice(0, 2),
    "MvBackward0": slice(0, 2),
}


class _Reached(NamedTuple):
    """What a node of the graph is computed from, and products on the longest path from the input; -1 without one."""

    by_weights: bool
    depth: int


def longest_path(model: nn.Module, images: Tensor) -> int:
    """Products of input and weights on the longest path of the recorded graph from images to the deepest output."""
    model.eval()
    images = images.requires_grad_()
    with torch.enable_grad():
        outputs = [leaf for leaf in tree_leaves(model(images)) if isinstance(leaf, Tensor)]
    reached: dict[Any, _Reached] = {}
    for output in outputs:
        _walk(output.grad_fn, images, reached)
    return max(reached[output.grad_fn].depth for output in outputs)


def _walk(last: Any, images: Tensor, reached: dict[Any, _Reached]) -> None:
    """Visit the nodes that `last` is computed from, each after its own; without recursion, since graphs are deep."""
    waiting = [last]
    while waiting:
        node = waiting[-1]
        before = [edge for edge, _ in node.next_functions if edge is not None]
        if missing := [edge for edge in before if edge not in reached]:
            waiting.extend(missing)
            continue
        waiting.pop()
        if hasattr(node, "variable"):  # a leaf
            is_input = node.variable is images
            reached[node] = _Reached(by_weights=not is_input, depth=0 if is_input else -1)
            continue
        found = [reached[edge] for edge in before]
        depth = max((each.depth for each in found), default=-1)
        if (factors := _FACTORS.get(node.name())) is not None:
            edges = [edge for edge, _ in node.next_functions[factors]]
            of = [reached[edge] for edge in edges if edge is not None]
            if any(each.depth < 0 and each.by_weights for each in of):
                depth = max(depth, *(each.depth + 1 for each in of if each.depth >= 0), -1)
        reached[node] = _Reached(by_weights=any(each.by_weights for each in found), depth=depth)
