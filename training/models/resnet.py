"""ResNet-18 without its classifier, the query encoder of DetGeo, OCGNet and MOGeo.

Architecture: He et al., "Deep residual learning" (CVPR 2016), table 1, as torchvision builds it, so
that its ImageNet weights and the published checkpoints load (`base_model.layer1.0.conv1.weight`).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from training.models.strict_loading import load_strict
from training.vision_ops import import_torchvision

CHANNELS = (64, 128, 256, 512)  # of layer1 .. layer4
EARLY_STRIDE = 4


class ResNet18(nn.Module):
    """The convolutional part of ResNet-18.

    Args:
        stages: how many of layer1 .. layer4 to keep.
        last_stride: stride of the last kept stage; 1 keeps the resolution of the one before.
    """

    def __init__(self, stages: int = 4, last_stride: int = 2) -> None:
        super().__init__()
        if not 2 <= stages <= 4 or last_stride not in (1, 2):
            raise ValueError(
                f"stages is 2 to 4 and last_stride 1 or 2, got {stages} and {last_stride}"
            )
        self.base_model = import_torchvision().models.resnet18(weights=None)
        del self.base_model.fc
        for unused in range(stages + 1, 5):
            delattr(self.base_model, f"layer{unused}")
        self.stages = stages
        first = getattr(self.base_model, f"layer{stages}")[0]
        first.conv1.stride = first.downsample[0].stride = (last_stride, last_stride)
        self.channels = CHANNELS[stages - 1]
        self.stride = 2 ** (stages + 1) // (2 // last_stride)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Early and last features.

        Args:
            image: [B, 3, h, w] float, scaled as ImageNet's.

        Returns:
            layer1: [B, 64, h/4, w/4]; the last stage: [B, channels, h/stride, w/stride].
        """
        net = self.base_model
        x = net.maxpool(net.relu(net.bn1(net.conv1(image))))
        early: Tensor = net.layer1(x)
        x = early
        for stage in range(2, self.stages + 1):
            x = getattr(net, f"layer{stage}")(x)
        return early, x

    def load_imagenet(self, tensors: Mapping[str, Tensor], source: str) -> list[str]:
        """Load torchvision's ResNet-18.

        Args:
            tensors: its state dict.
            source: named in errors.

        Returns:
            Tensors that were left out: its classifier and the stages cut here.

        Raises:
            CheckpointError: tensors missing or unexpected (listed).
        """
        cut = tuple(f"layer{stage}." for stage in range(self.stages + 1, 5))
        left_out = [k for k in tensors if k.startswith(("fc.", *cut))]
        load_strict(
            self.base_model, {k: v for k, v in tensors.items() if k not in left_out}, source
        )
        return left_out
