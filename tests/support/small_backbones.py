"""The published models on shallow backbones: an export costs as many seconds as it has layers."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from quick_weights import quick_random_weights
from torch import nn

from training.models import build, darknet, trogeo
from training.models.darknet import Kind, Layer
from training.vision_ops import import_torchvision

# Darknet's stages of one convolution each, under the indices of the whole: stride 16, 512 channels.
CONVOLUTIONS = {0: (3, 16, 1), 5: (16, 32, 2), 12: (32, 32, 2), 37: (32, 64, 2), 62: (64, 64, 2)}
LAYERS = (
    *(Layer(i, Kind.CONV, a, b, 3, stride) for i, (a, b, stride) in CONVOLUTIONS.items()),
    Layer(75, Kind.CONV, 64, 64),
    Layer(79, Kind.CONV, 64, 64),
    Layer(90, Kind.CONV, 64, 512, 3),
)
OPTIONS = {"window_px": 256, "frame_hw_px": (64, 128)}


@contextlib.contextmanager
def shallow_backbones(trogeo_width: int = 768) -> Iterator[None]:
    """Build Darknet, ResNet, Swin and ConvNeXts with few blocks, names and strides as usual.

    Args:
        trogeo_width: channels of TROGeo behind its Swin; none of its options says so.
    """
    vision = import_torchvision()
    import timm

    def resnet18(weights: None) -> nn.Module:
        return vision.models.resnet.ResNet(vision.models.resnet.BasicBlock, [1, 1, 1, 1])

    heads = [trogeo_width // stage for stage in (256, 128, 64, 32)]

    def swin_s(weights: None) -> nn.Module:
        return vision.models.swin_transformer.SwinTransformer(
            [4, 4], trogeo_width // 8, [2, 1, 1, 1], heads, [7, 7], stochastic_depth_prob=0.0
        )

    def convnext_tiny(weights: None) -> nn.Module:
        block = vision.models.convnext.CNBlockConfig
        widths = (96, 192, 384, 768, None)
        return vision.models.convnext.ConvNeXt(
            [block(a, b, 1) for a, b in itertools.pairwise(widths)]
        )

    create = timm.create_model

    def shallow(name: str, **options: Any) -> nn.Module:
        return create(name, depths=(1, 1, 1, 1), **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(darknet, "LAYERS", LAYERS)
        patch.setattr(vision.models, "resnet18", resnet18)
        patch.setattr(vision.models, "swin_s", swin_s)
        patch.setattr(trogeo, "CHANNELS", trogeo_width)
        patch.setattr(vision.models, "convnext_tiny", convnext_tiny)
        patch.setattr(timm, "create_model", shallow)
        yield


def small_model(name: str, **options: Any) -> nn.Module:
    """A model that tells cells and clicks apart, though it has learnt nothing.

    Random heads are flat: their last layers are drawn larger, and batch norms get statistics.
    """
    torch.manual_seed(3)
    with quick_random_weights(), shallow_backbones():
        model = build(name, **{**OPTIONS, **options})
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 1.5)
        for parameter in _last(model).parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model.eval()


def _last(model: nn.Module) -> nn.Module:
    head = getattr(model, "fcn_out", None) or model.head
    return head[-1]
