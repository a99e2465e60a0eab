"""The feature pyramids that `lite` can stand on, by name.

Each has `channels` (by stride 8, 16, 32), `forward(image, deepest_stride)` -> features by stride,
and `load_pretrained()`, which finds its weights in a package of the extra `test`.
"""

from __future__ import annotations

from collections.abc import Callable

from training.models.efficientnet_lite import EfficientNetLite0
from training.models.xfeat_backbone import XFeatBackbone

Backbone = EfficientNetLite0 | XFeatBackbone
BACKBONES: dict[str, Callable[[], Backbone]] = {
    "efficientnet_lite0": EfficientNetLite0,
    "xfeat": XFeatBackbone,
}


def build_backbone(name: str) -> Backbone:
    """Construct a backbone with random weights.

    Raises:
        ValueError: no backbone of that name.
    """
    if name not in BACKBONES:
        raise ValueError(f"unknown backbone {name!r}; known: {', '.join(BACKBONES)}")
    return BACKBONES[name]()
