"""Necks: from a backbone's pyramid to one map at stride 16 or 8."""

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
    """Bring strides 8, 16 (and 32) to one map, then mix it with depthwise residuals.

    A finer map comes in losslessly as its phases (space to depth), a coarser one by nearest
    repetition.

    Args:
        channels: channels by stride, of those read.
        width: channels of the result.
        depth: number of residual blocks.
        stride_px: of the result, 8 or 16.
    """

    def __init__(
        self, channels: dict[int, int], width: int, depth: int, stride_px: int = 16
    ) -> None:
        super().__init__()
        self.strides = tuple(sorted(channels))
        self.stride_px = stride_px
        total = sum(c * max(1, stride_px // s) ** 2 for s, c in channels.items())
        self.reduce = nn.Conv2d(total, width, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(*(DepthwiseResidual(width) for _ in range(depth)))

    def forward(self, features: dict[int, Tensor]) -> Tensor:
        """{stride: [B, c, H/stride, W/stride]} -> [B, width, H/stride_px, W/stride_px]."""
        parts = []
        for stride in self.strides:
            x = features[stride]
            if stride < self.stride_px:
                x = nn.functional.pixel_unshuffle(x, self.stride_px // stride)
            elif stride > self.stride_px:
                times = float(stride // self.stride_px)
                x = nn.functional.interpolate(x, scale_factor=times, mode="nearest")
            parts.append(x)
        x = self.bn(self.reduce(torch.cat(parts, 1)))
        mixed: Tensor = self.blocks(nn.functional.relu6(x))
        return mixed
