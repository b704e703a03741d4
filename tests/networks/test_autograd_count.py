"""Layers of published architectures, against a count over the graph that autograd records."""

from __future__ import annotations

import importlib.util
import os

import pytest
import torch
import torchvision
from torch import nn

from nets.networks.layers import network_structure
from tests.networks.autograd_count import longest_path
from tests.support.networks import demand_table_adds_up

TORCHVISION = """
    alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s googlenet inception_v3 maxvit_t mnasnet0_5
    mobilenet_v2 mobilenet_v3_small regnet_x_400mf resnet18 resnext50_32x4d shufflenet_v2_x0_5 squeezenet1_0 swin_t
    swin_v2_t vit_b_32
"""
# One of each kind that is quick; none of those tried is refused. sequencer2d is left out: of its recurrences autograd
# records one node each.
TIMM = """
    resnet18 seresnet18 skresnet18 resnest14d mobilenetv4_conv_small_050 efficientnet_lite0 ghostnet_050 lcnet_035
    regnetx_002 regnety_002 dla34 dpn48b hrnet_w18_small rexnet_100 repvgg_a0 convnext_atto convnextv2_atto
    edgenext_xx_small poolformer_s12 mixer_s32_224 resmlp_12_224 vit_tiny_patch16_224 crossvit_tiny_240 levit_128s
    pit_ti_224 swin_tiny_patch4_window7_224 visformer_tiny xcit_nano_12_p16_224 mobilevit_xxs mobilevitv2_050
    efficientformer_l1 efficientvit_b0 efficientvit_m0 coatnet_nano_rw_224 nf_regnet_b0 inception_next_atto starnet_s1
    lambda_resnet26t botnet26t_256 halonet26t shvit_s1 swiftformer_xs fasternet_t0 test_vit
"""
HAS_TIMM = importlib.util.find_spec("timm") is not None


def _agree(model: nn.Module, image: tuple[int, int, int]) -> None:
    device = next(model.parameters()).device
    found = network_structure(model, image)
    assert found.layers == longest_path(model, torch.rand((1, *image), device=device))
    assert found.not_counted == ()
    demand_table_adds_up(found)


@pytest.mark.parametrize("name", TORCHVISION.split())
def test_torchvision(name: str) -> None:
    """Both counts agree on an architecture of torchvision's, and nothing is left uncounted."""
    side = {"maxvit_t": 224, "vit_b_32": 224, "inception_v3": 299}.get(name, 128)
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    _agree(torchvision.models.get_model(name, weights=None, num_classes=10, **options), (3, side, side))


@pytest.mark.skipif(not HAS_TIMM and "CI" not in os.environ, reason="timm is not installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TIMM.split())
def test_timm(name: str) -> None:
    """Both counts agree on an architecture of timm's, in its own image size, and nothing is left uncounted."""
    timm = importlib.import_module("timm")
    model = timm.create_model(name, pretrained=False, num_classes=10)
    _agree(model, model.default_cfg["input_size"])
