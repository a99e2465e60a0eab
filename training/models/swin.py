"""Swin-S (Liu et al., ICCV 2021) as a feature extractor, from torchvision.

`features` alone: final norm, pooling and classifier are left out, as TROGeo does. Stride 32, 768
channels, 48,835,722 parameters. Names under `model.features` are torchvision's; weights under
timm's names and the authors' are renamed to them. All three sum the same: the four cells of a patch
merging are in one order, and the offsets of a window's pixels index one table of biases.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from training.models.strict_loading import load_strict
from training.vision_ops import import_torchvision

CHANNELS = 768
STRIDE_PX = 32
_OURS = "features."
_MASK = ".attn_mask"  # of shifted windows: computed here
# The authors merge patches at the end of a stage, timm at the start of the next.
_AUTHORS_MARK = "layers.0.downsample.reduction.weight"
_STAGE = re.compile(r"^layers\.(\d)\.(blocks|downsample)\.")
_RENAMES = (  # timm's and the authors' names -> torchvision's
    (re.compile(r"^patch_embed\.proj\."), "features.0.0."),
    (re.compile(r"^patch_embed\.norm\."), "features.0.2."),
    (re.compile(r"\.mlp\.fc1\."), ".mlp.0."),
    (re.compile(r"\.mlp\.fc2\."), ".mlp.3."),
)


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

    def load_imagenet(self, tensors: Mapping[str, Tensor], source: str) -> list[str]:
        """Load a Swin-S classifier under the names of torchvision, timm or its authors.

        Args:
            tensors: its state dict.
            source: named in errors.

        Returns:
            Tensors that were left out: final norm, head, and the masks of shifted windows.

        Raises:
            CheckpointError: tensors missing or unexpected (listed).
        """
        left_out = [k for k in tensors if k.startswith(("norm.", "head.")) or k.endswith(_MASK)]
        renamed = torchvision_names({k: v for k, v in tensors.items() if k not in left_out})
        computed = {k: v for k, v in self.model.state_dict().items() if k.endswith("_index")}
        load_strict(self.model, computed | renamed, source)
        return left_out


def torchvision_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a Swin under torchvision's names; those that have them already stay."""
    late = _AUTHORS_MARK in tensors

    def stage(match: re.Match[str]) -> str:
        number = int(match[1])
        if match[2] == "blocks":
            return f"{_OURS}{2 * number + 1}."
        return f"{_OURS}{2 * (number + late)}."

    renamed = {}
    for name, tensor in tensors.items():
        new = name
        if not name.startswith(_OURS):
            new = _STAGE.sub(stage, name)
            for pattern, replacement in _RENAMES:
                new = pattern.sub(replacement, new)
        renamed[new] = tensor.flatten() if new.endswith("_index") else tensor  # theirs [49, 49]
    return renamed
