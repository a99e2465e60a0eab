"""Necks: from a backbone's pyramid to one map at stride 16."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DepthwiseResidual(nn.Module):
    """x + project(ReLU6(depthwise 5x5(ReLU6(expand(x))))): context at little cost, fit for INT8."""

    def __init__(self, width: int, expansion: int = 2) -> None:
        super().__init__()
        inner = width * expansion
        self.expand = nn.Conv2d(width, inner, 1, bias=False)
        self.bn_expand = nn.BatchNorm2d(inner)
        self.depthwise = nn.Conv2d(inner, inner, 5, padding=2, groups=inner, bias=False)
        self.bn_depthwise = nn.BatchNorm2d(inner)
        self.project = nn.Conv2d(inner, width, 1, bias=False)
        self.bn_project = nn.BatchNorm2d(width)
        nn.init.zeros_(self.bn_project.weight)  # each block begins as the identity

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] -> the same."""
        y = nn.functional.relu6(self.bn_expand(self.expand(x)))
        y = nn.functional.relu6(self.bn_depthwise(self.depthwise(y)))
        return x + self.bn_project(self.project(y))


class ContextNeck(nn.Module):
    """Bring strides 8, 16 (and 32) to one map at stride 16, then mix it with depthwise residuals.

    Stride 8 comes in losslessly as four phases (space to depth), stride 32 by nearest doubling.

    Args:
        channels: channels by stride; 16 is a must, 8 and 32 are optional.
        width: channels of the result.
        depth: number of residual blocks.
    """

    def __init__(self, channels: dict[int, int], width: int, depth: int) -> None:
        super().__init__()
        self.strides = tuple(sorted(channels))
        total = sum(c * 4 if s == 8 else c for s, c in channels.items())
        self.reduce = nn.Conv2d(total, width, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(*(DepthwiseResidual(width) for _ in range(depth)))

    def forward(self, features: dict[int, Tensor]) -> Tensor:
        """{stride: [B, c, H/stride, W/stride]} -> [B, width, H/16, W/16]."""
        parts = []
        for stride in self.strides:
            x = features[stride]
            if stride == 8:
                x = nn.functional.pixel_unshuffle(x, 2)
            elif stride == 32:
                x = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
            parts.append(x)
        x = self.bn(self.reduce(torch.cat(parts, 1)))
        mixed: Tensor = self.blocks(nn.functional.relu6(x))
        return mixed
