"""The scaling that ImageNet backbones were trained with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class ImageNetScale(nn.Module):
    """RGB 0..255 to zero mean and unit deviation per channel.

    Its two buffers are not persistent, so that state dicts keep the published keys.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """[B, 3, H, W] float32 RGB 0..255 -> the same shape."""
        return (image / 255.0 - self.mean) / self.std
