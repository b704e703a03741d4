"""What is known of torch's operations: which multiply by a weight, which can't, what each reads, writes and costs.

Names are those of aten's operations (and torchvision's), without the underscore of those that work in place.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

# operation -> the positions of the operands that are multiplied
PRODUCTS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "vdot", "convolution", "_convolution", "conv_tbc"), (0, 1)),
    **dict.fromkeys(("_int_mm", "_scaled_mm"), (0, 1)),
    **dict.fromkeys(("addmm", "addmv", "addbmm", "baddbmm", "_addmm_activation"), (1, 2)),
    "convolution_backward": (0, 2),
    "_trilinear": (0, 1, 2),
    "deform_conv2d": (0, 1, 2, 3),  # what is multiplied was sampled at offsets, and masked
}
# (queries · keys) · values, in their first three operands
_ATTENTION_NAMES = """
    _scaled_dot_product_flash_attention _scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_cudnn_attention
    _scaled_dot_product_efficient_attention _flash_attention_forward _efficient_attention_forward
"""
ATTENTION = frozenset(_ATTENTION_NAMES.split())
# distances between the rows of their first two operands
DISTANCES = frozenset({"_cdist_forward", "_euclidean_dist"})
# Operations on activations and weights together that neither multiply matrices nor are tagged elementwise by torch:
# normalisation, lookup and interpolation, losses whose names don't end in _loss, and those that only concatenate,
# select, round or copy values.
_NO_PRODUCT_NAMES = """
    native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_functional
    _native_batch_norm_legit_no_training _batch_norm_no_update _batch_norm_with_update
    _batch_norm_with_update_functional cudnn_batch_norm miopen_batch_norm batch_norm_elemt
    native_group_norm native_layer_norm _fused_rms_norm _weight_norm_interface
    _prelu_kernel _masked_softmax _thnn_fused_lstm_cell _thnn_fused_gru_cell
    binary_cross_entropy binary_cross_entropy_with_logits nll_loss2d nll_loss2d_forward
    embedding embedding_renorm _embedding_bag _embedding_bag_forward_only
    grid_sampler_2d grid_sampler_3d cudnn_grid_sampler roi_align roi_pool ps_roi_align ps_roi_pool
    _fake_quantize_learnable_per_tensor_affine _fake_quantize_learnable_per_channel_affine
    fake_quantize_per_tensor_affine_cachemask fake_quantize_per_channel_affine_cachemask
    _fake_quantize_per_tensor_affine_cachemask_tensor_qparams _fused_moving_avg_obs_fq_helper
    cat _chunk_cat stack _stack block_diag copy fill where complex polar rsub floor_divide addr
    masked_fill masked_select masked_scatter gather take put searchsorted bucketize isin
    index index_add index_copy index_fill index_put index_reduce index_select _index_put_impl
    _unsafe_index _unsafe_index_put _unsafe_masked_index _unsafe_masked_index_put_accumulate
    scatter scatter_add scatter_reduce segment_reduce
    select_scatter slice_scatter diagonal_scatter as_strided_scatter
"""
NO_PRODUCT = DISTANCES | frozenset(_NO_PRODUCT_NAMES.split())
_OVERWRITING = ("copy_", "fill_", "zero_")  # they don't read what they write to
_SHAPE_ONLY = ("empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like", "randint_like")


def only_shape(name: str) -> bool:
    """Whether an operation takes no more than the shape and the type of its operands."""
    return name in _SHAPE_ONLY or name.startswith("new_")


def hides_no_product(func: Any, name: str) -> bool:
    """Whether an operation on activations and weights together is known to multiply no matrices."""
    plain = name.removesuffix("_backward")
    if plain in NO_PRODUCT or plain.endswith(("_loss", "_loss_forward")) or plain.startswith("_foreach_"):
        return True
    return elementwise(func, name)


def elementwise(func: Any, name: str) -> bool:
    """Whether torch tags an operation as elementwise."""
    packet = getattr(torch.ops.aten, name, func.overloadpacket)  # of add_ too: the tag may be on add alone
    return any(torch.Tag.pointwise in getattr(packet, overload).tags for overload in packet.overloads())


def operands(func: Any, args: Any, kwargs: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Return the tensors that an operation reads, and those that it writes in place.

    What only fills its operand, with a copy, a number or random numbers, doesn't read it.
    """
    read: list[Tensor] = []
    written: list[Tensor] = []
    writing = [each for each in func._schema.arguments if each.alias_info is not None and each.alias_info.is_write]
    random = torch.Tag.nondeterministic_seeded in func.tags
    fills = func.overloadpacket.__name__ in _OVERWRITING or (random and len(writing) == 1)
    for i, argument in enumerate(func._schema.arguments):
        value = args[i] if i < len(args) else kwargs.get(argument.name)
        writes = argument.alias_info is not None and argument.alias_info.is_write
        if writes:
            written.extend(tensors(value))
        if not writes or not (argument.kwarg_only or fills):
            read.extend(tensors(value))
    return read, written


def tensors(tree: Any) -> list[Tensor]:
    """Return the tensors in nested lists, tuples and dictionaries."""
    if tree is None or isinstance(tree, Tensor | int | float):  # most operands, in a tenth of the time
        return [tree] if isinstance(tree, Tensor) else []
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _trilinear_flops(one: Any, two: Any, three: Any, *expanded: Any, **_: Any) -> int:
    shapes = [list(shape) for shape in (one, two, three)]
    for shape, dimensions in zip(shapes, expanded[:3], strict=True):
        for dimension in sorted(dimensions):
            shape.insert(dimension, 1)
    n_products: int = prod(max(sizes) for sizes in zip(*shapes, strict=True))
    return 2 * n_products


def _convolution_flops(x: Any, weight: Any, *others: Any, out_shape: Any) -> int:
    """Its weight's each use, at each place of its output, or of its input where it is transposed."""
    transposed = others[4]
    n_weights_used: int = prod(x if transposed else out_shape) * prod(weight[1:])
    return 2 * n_weights_used


def _attention_flops(queries: Any, keys: Any, values: Any, *_: Any, **__: Any) -> int:
    from torch.utils.flop_counter import sdpa_flop_count

    return int(sdpa_flop_count(queries, keys, values))


# From its operands' shapes, two a multiply-accumulate: the commonest weight operations, so that most networks need
# not wait for torch.utils.flop_counter, which imports triton (a twentieth of a start); and those for which it has no
# formula. Of a bilinear layer each weight counts once.
_FLOPS: dict[str, Callable[..., int]] = {
    **dict.fromkeys(("mm", "bmm"), lambda a, b, **_: 2 * prod(a) * b[-1]),
    **dict.fromkeys(("addmm", "baddbmm"), lambda bias, a, b, **_: 2 * prod(a) * b[-1]),
    "convolution": _convolution_flops,
    **dict.fromkeys(("mv", "dot", "vdot"), lambda a, b, **_: 2 * prod(a)),
    "addmv": lambda bias, a, b, *_, **__: 2 * prod(a),
    **dict.fromkeys(("addbmm", "_addmm_activation"), lambda bias, a, b, *_, **__: 2 * prod(a) * b[-1]),
    "_int_mm": lambda a, b, *_, **__: 2 * prod(a) * b[-1],
    "conv_tbc": lambda a, b, *_, out_shape, **__: 2 * prod(out_shape) * prod(b[:2]),
    "deform_conv2d": lambda a, b, *_, out_shape, **__: 2 * prod(out_shape) * prod(b[1:]),
    "_trilinear": _trilinear_flops,
    # which torch 2.11 lacks
    "_scaled_dot_product_flash_attention_for_cpu": _attention_flops,
}


def n_macs(func: Any, name: str, args: Any, kwargs: Any, out: Any) -> int:
    """Return the multiply-accumulates of an operation, 0 where it has no formula.

    Source: the formulas above, and torch.utils.flop_counter, whose two operations are one multiply-accumulate.
    """
    if (ours := _FLOPS.get(name)) is not None:
        shapes, out_shape = ([getattr(each, "shape", each) for each in some] for some in (args, (out,)))
        return ours(*shapes, **kwargs, out_shape=out_shape[0]) // 2
    if (known := _torchs_formula(func.overloadpacket, name)) is not None:
        return int(known(*args, **kwargs, out_val=out)) // 2
    return 0


def has_formula(name: str) -> bool:
    """Whether the multiply-accumulates of an operation are counted."""
    return name in _FLOPS or _torchs_formula(getattr(torch.ops.aten, name, None), name) is not None


def _torchs_formula(operation: Any, name: str) -> Any:
    """Torch's own, or one that somebody has registered with torch.utils.flop_counter, which they had to import."""
    of_torch = name in PRODUCTS or "attention" in name or "conv" in name
    if not of_torch and "torch.utils.flop_counter" not in sys.modules:
        return None
    from torch.utils.flop_counter import flop_registry

    return flop_registry.get(operation)
