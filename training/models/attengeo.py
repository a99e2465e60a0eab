"""AttenGeo (arXiv 2510.27139): cross-view cross-attention, then spatial attention.

    Q = W_q f(click fusion(frame))      R = W_r f(window)       f: ConvNeXt V2-Tiny, shared
    O = CVCAM(Q, R),   M = MHSAM gate of O,   boxes = anchor head of M O

No code was published. What is built here is the reconstruction that reproduces the three figures of
its cost table; two variants do, and both are options:

    F1 (default)   joint attention projections, feed-forward width 1024, grid of stride 32
    F2             plain linear projections, width 512, map doubled before the head: stride 16

Choices that cost cannot decide are options too (here and in `AttentionOptions`): among them whether
the blocks of click fusion and head end in DetGeo's leaky ReLU or in a plain one, which the paper
does not say, and whether a projection is a convolution with a bias or, 512 parameters more in both,
one with a batch norm, which cost the same to rounding.

Cached per window: R, [256, H / 32, W / 32]. With `cvcam` off, the baseline of the ablation: R plus
the query, "a plain sum"; how the paper fits the sizes is unknown, so `sum_query` says it. With
`mhsam` off the head sees O itself, and `attention` is the confidence map.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.models.anchor_head import AnchorHead
from training.models.attention_options import AttentionOptions
from training.models.bounds import check_positive, check_rate
from training.models.choice import chosen
from training.models.click_maps import ClickMap
from training.models.contract import HeadMaps
from training.models.conv_block import BlockActivation, ConvBlock
from training.models.convnext import CHANNELS, STRIDE_PX, ConvNeXtV2Tiny
from training.models.cvcam import Cvcam
from training.models.imagenet import ImageNetScale
from training.models.joint_attention import JointAttentionModel
from training.models.mhsam import Mhsam

# Changes to the defaults that make variant F2: build("attengeo", **F2).
F2 = {"stride_px": 16, "ffn": 512, "attention": "linear"}


class SumQuery(str, Enum):
    """How the query's map takes the size of the reference's where they are simply added."""

    MEAN = "mean"  # its spatial mean, at every cell
    RESIZE = "resize"  # bilinear


class Projection(str, Enum):
    """What brings the backbone's map of a view to the width of CVCAM."""

    CONV = "conv"  # 1x1 with a bias
    CONV_NORM = "conv-norm"  # 1x1 without one, and a batch norm


class Upsample(str, Enum):
    """How F2 doubles the fused map in front of its head."""

    BILINEAR = "bilinear"
    NEAREST = "nearest"  # the head is 1x1: the four cells of a square get the same logits


@dataclass(frozen=True, slots=True)
class AttenGeoOptions(AttentionOptions):
    """What shapes an AttenGeo; the defaults are variant F1.

    Raises:
        ValueError: see `AttentionOptions`.
    """

    stride_px: int = 32
    head_hidden: int = 128
    upsample: str = Upsample.BILINEAR.value  # F2 alone; unpublished
    sum_query: str = SumQuery.MEAN.value  # unpublished
    drop_path: float = 0.0  # stochastic depth of the backbone; unpublished
    click_activation: str = BlockActivation.LEAKY_RELU.value  # of click fusion; unpublished
    head_activation: str = BlockActivation.LEAKY_RELU.value  # inside the head; unpublished
    projection: str = Projection.CONV.value  # unpublished

    def __post_init__(self) -> None:
        AttentionOptions.__post_init__(self)
        check_positive(self, "head_hidden")
        check_rate(self, "drop_path")


class AttenGeo(JointAttentionModel):
    """The whole model; see the module's text.

    Raises:
        ValueError: a stride other than 32 or 16, an unknown choice (names the nearest), or sizes
            that do not fit together.
    """

    name: ClassVar[str] = "attengeo"

    def __init__(self, options: AttenGeoOptions | None = None) -> None:
        super().__init__()
        self.options: AttenGeoOptions = options or AttenGeoOptions()
        o = self.options
        if o.stride_px not in (STRIDE_PX, STRIDE_PX // 2):
            raise ValueError(f"stride_px is 32 (F1) or 16 (F2), got {o.stride_px}")
        self.sum_query = chosen("sum_query", SumQuery, o.sum_query)
        self.upsample = chosen("upsample", Upsample, o.upsample)
        self.keep_anchors()
        self.scale = ImageNetScale()
        self.click_map = ClickMap(o)
        after_click = chosen("click_activation", BlockActivation, o.click_activation)
        in_head = chosen("head_activation", BlockActivation, o.head_activation)
        self.click_fusion = ConvBlock(4, 3, bn_momentum=o.bn_momentum, activation=after_click)
        self.backbone = ConvNeXtV2Tiny(o.drop_path)
        self.query_projection = _projection(o)
        self.reference_projection = _projection(o)
        cvcam_options = o.cvcam_options()
        self.cvcam = Cvcam(cvcam_options) if o.cvcam else None
        self.mhsam = Mhsam(o.width, o.mhsam_hidden) if o.mhsam else None
        self.head = AnchorHead(o.width, o.head_hidden, len(o.anchors_wh_px), o.bn_momentum, in_head)

    def encode_reference(self, image: Tensor) -> dict[str, Tensor]:
        """Windows [B, 3, H, W] RGB 0..255 -> `reference` [B, width, H / 32, W / 32]."""
        return {"reference": self.reference_projection(self.backbone(self.scale(image)))}

    def encode_query(self, frame: Tensor, click_xy_px: Tensor) -> Tensor:
        """See `JointAttentionModel.encode_query`; [M, width, h / 32, w / 32]."""
        drawn = self.click_map(click_xy_px, (frame.shape[2], frame.shape[3]))
        image = self.click_fusion(torch.cat([self.scale(frame), drawn], 1))
        projected: Tensor = self.query_projection(self.backbone(image))
        return projected

    def fuse(self, query: Tensor, features: dict[str, Tensor]) -> HeadMaps:
        """See `JointAttentionModel.fuse`; `attention` is the mean of MHSAM's gate over channels."""
        reference = features["reference"]  # [M, width, H / 32, W / 32]
        if self.cvcam is not None:
            fused = self.cvcam(query, reference)
        elif self.sum_query is SumQuery.MEAN:
            fused = reference + query.mean((2, 3), keepdim=True)
        else:
            fused = reference + functional.interpolate(
                query, reference.shape[2:], mode="bilinear", align_corners=False
            )
        gate = self.mhsam.gate(fused) if self.mhsam is not None else None
        attended = fused if gate is None else gate * fused
        if self.options.stride_px != STRIDE_PX:
            attended = functional.interpolate(attended, scale_factor=2.0, mode=self.upsample.value)
        boxes = self.head.maps(attended)  # [M, A, 5, Hg, Wg]
        similarity = boxes[:, :, 4].amax(1)
        return HeadMaps(boxes, similarity, similarity if gate is None else gate.mean(1))


def _projection(o: AttenGeoOptions) -> nn.Module:
    if chosen("projection", Projection, o.projection) is Projection.CONV:
        return nn.Conv2d(CHANNELS, o.width, 1)
    return nn.Sequential(
        nn.Conv2d(CHANNELS, o.width, 1, bias=False),
        nn.BatchNorm2d(o.width, momentum=o.bn_momentum),
    )
