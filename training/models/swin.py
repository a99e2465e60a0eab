"""Swin-S (Liu et al., ICCV 2021) as a feature extractor, from torchvision.

`features` alone: final norm, pooling and classifier are left out, as TROGeo does. Stride 32, 768
channels, 48,835,722 parameters. Names under `model.features` are torchvision's.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from training.models.strict_loading import load_strict
from training.vision_ops import import_torchvision

CHANNELS = 768
STRIDE_PX = 32


class SwinSmall(nn.Module):
    """The four stages with random weights; stochastic depth 0.3 while training, torchvision's."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Module()
        self.model.features = import_torchvision().models.swin_s(weights=None).features

    def forward(self, image: Tensor) -> Tensor:
        """Scaled images [B, 3, H, W] -> [B, 768, H / 32, W / 32]."""
        features: Tensor = self.model.features(image)  # [B, H / 32, W / 32, 768]
        return features.permute(0, 3, 1, 2)

    def load_imagenet(self, tensors: Mapping[str, Tensor], source: str) -> None:
        """Load torchvision's Swin-S classifier; its final norm and head are left out.

        Args:
            tensors: its state dict.
            source: named in errors.

        Raises:
            CheckpointError: tensors missing or unexpected (listed).
        """
        kept = {k: v for k, v in tensors.items() if not k.startswith(("norm.", "head."))}
        load_strict(self.model, kept, source)
