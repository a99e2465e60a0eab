"""ConvNeXt-Tiny as a query encoder, the variant of OCGNet's README.

Architecture: Liu et al., "A ConvNet for the 2020s" (CVPR 2022), the first version, as torchvision
builds it. The stem's output stands in for ResNet's layer1, and a 1x1 convolution with bias brings
the last features to 512 channels. `training.checkpoints.convnext_query` says how the authors'
checkpoints hold it; torchvision's ImageNet weights can be loaded as well.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from training.models.strict_loading import load_strict
from training.vision_ops import import_torchvision

WIDTH = 768


class ConvNeXtTinyQuery(nn.Module):
    """The features of ConvNeXt-Tiny behind ResNet18's interface.

    Args:
        channels: of the last map.
    """

    def __init__(self, channels: int = 512) -> None:
        super().__init__()
        self.features = import_torchvision().models.convnext_tiny(weights=None).features
        self.reduce = nn.Conv2d(WIDTH, channels, 1)
        self.channels = channels

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 3, h, w] float, ImageNet scale -> [B, 96, h/4, w/4] and [B, channels, h/32, w/32]."""
        early: Tensor = self.features[0](image)
        return early, self.reduce(self.features[1:](early))

    def load_imagenet(self, tensors: Mapping[str, Tensor], source: str) -> list[str]:
        """Load torchvision's ConvNeXt-Tiny.

        Args:
            tensors: its state dict.
            source: named in errors.

        Returns:
            Tensors that were left out: its classifier.

        Raises:
            CheckpointError: tensors missing or unexpected (listed).
        """
        left_out = [k for k in tensors if k.startswith("classifier.")]
        published = nn.Module()  # without `reduce`
        published.features = self.features
        load_strict(published, {k: v for k, v in tensors.items() if k not in left_out}, source)
        return left_out
