"""ConvNeXt V2-Tiny (Woo et al., CVPR 2023) as a feature extractor, from timm.

Four stages of 96, 192, 384 and 768 channels and 3, 3, 9 and 3 blocks; stride 32, 27,864,960
parameters. The norm and classifier behind the last stage are left out: AttenGeo's cost only adds up
without them. Built with random weights. The published weights are CC-BY-NC 4.0: load your own copy
with `load_pretrained`, they are never part of this project.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from training.models.strict_loading import load_strict
from training.vision_ops import import_torchvision

CHANNELS = 768
STRIDE_PX = 32
_CLASSIFIER = re.compile(r"(norm|head|norm_pre)\.")
_RENAMES = (  # the authors' names -> timm's
    (re.compile(r"^downsample_layers\.0\."), "stem."),
    (re.compile(r"^downsample_layers\.(\d)\."), r"stages.\1.downsample."),
    (re.compile(r"^stages\.(\d)\.(\d+)\."), r"stages.\1.blocks.\2."),
    (re.compile(r"\.dwconv\."), ".conv_dw."),
    (re.compile(r"\.pwconv(\d)\."), r".mlp.fc\1."),
    (re.compile(r"\.grn\.gamma$"), ".mlp.grn.weight"),
    (re.compile(r"\.grn\.beta$"), ".mlp.grn.bias"),
)


class ConvNeXtV2Tiny(nn.Module):
    """The four stages; parameters carry timm's names.

    Args:
        drop_path: stochastic depth while training; AttenGeo states none.
    """

    def __init__(self, drop_path: float = 0.0) -> None:
        super().__init__()
        import_torchvision()
        import timm

        whole = timm.create_model(
            "convnextv2_tiny", pretrained=False, num_classes=0, drop_path_rate=drop_path
        )
        self.stem = whole.stem
        self.stages = whole.stages

    def forward(self, image: Tensor) -> Tensor:
        """Scaled images [B, 3, H, W] -> [B, 768, H / 32, W / 32]."""
        features: Tensor = self.stages(self.stem(image))
        return features

    def load_pretrained(self, tensors: Mapping[str, Tensor], source: str) -> list[str]:
        """Load a ConvNeXt V2-Tiny classifier under its authors' names or timm's.

        Args:
            tensors: its state dict.
            source: named in errors.

        Returns:
            Tensors that were left out: the final norm and the classifier.

        Raises:
            CheckpointError: tensors missing or unexpected (listed).
        """
        load_strict(self, timm_names(tensors), source)
        return [name for name in tensors if _CLASSIFIER.match(name)]


def timm_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict under timm's names, without final norm and classifier.

    The authors' names become timm's, timm's stay; the authors' [1, 1, 1, C] of the response
    normalisation become [C].
    """
    renamed = {}
    for name, tensor in tensors.items():
        if _CLASSIFIER.match(name):
            continue
        new = name
        for pattern, replacement in () if ".blocks." in name else _RENAMES:
            new = pattern.sub(replacement, new)
        renamed[new] = tensor.flatten() if ".grn." in new else tensor
    return renamed
