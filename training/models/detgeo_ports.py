"""AttenGeo's modules inside DetGeo: table 4 of arXiv 2510.27139.

    m = CBL(ResNet-18(click fusion(frame)))       r = CBL(Darknet(window))       as DetGeo
    O = CVCAM(m, r), or DetGeo's cosine fusion G r / |r|
    boxes = head(MHSAM(O)), or head(O)

`cvcam` replaces the fusion, `mhsam` is put before the head; with neither this would be DetGeo. The
table names neither channels nor where a module sits. Assumed: both modules keep the sizes that they
have in AttenGeo, so the two mappings end at `width` = 256 channels. 512 keeps DetGeo's; with `ffn`
and `mhsam_hidden` doubled too, the modules cost four times as much. Modules that DetGeo has as well
carry its names.

Cached: r, [width, H / 16, W / 16]. There is no head to fold: both modules are behind the gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from training.models.anchor_head import AnchorHead
from training.models.attention_options import AttentionOptions
from training.models.click_maps import ClickMap
from training.models.contract import HeadMaps
from training.models.conv_block import ConvBlock
from training.models.cosine_fusion import cosine_map, min_max_gate, unit_length
from training.models.cosine_localizer import HEAD_HIDDEN
from training.models.cvcam import Cvcam
from training.models.darknet import OUTPUT_CHANNELS, STRIDE_PX, Darknet
from training.models.imagenet import ImageNetScale
from training.models.joint_attention import JointAttentionModel
from training.models.mhsam import Mhsam
from training.models.resnet import ResNet18


@dataclass(frozen=True, slots=True)
class PortedDetGeoOptions(AttentionOptions):
    """Which module is ported, and its sizes; the paper's two rows are one module each."""

    mhsam: bool = False
    full_darknet: bool = False  # with the layers that feed nothing


class PortedDetGeo(JointAttentionModel):
    """DetGeo with CVCAM, MHSAM, or both; see the module's text.

    `similarity` is the raw cosine where the cosine fusion is kept, else the confidence map;
    `attention` is MHSAM's gate (mean over channels), else the cosine gate, else the confidence map.

    Raises:
        ValueError: neither module, or a stride other than 16.
    """

    name: ClassVar[str] = "detgeo_ported"

    def __init__(self, options: PortedDetGeoOptions | None = None) -> None:
        super().__init__()
        self.options: PortedDetGeoOptions = options or PortedDetGeoOptions()
        o = self.options
        if not (o.cvcam or o.mhsam):
            raise ValueError("neither cvcam nor mhsam: that is the model 'detgeo'")
        if o.stride_px != STRIDE_PX:
            raise ValueError(f"stride_px is {STRIDE_PX}, got {o.stride_px}")
        self.keep_anchors()
        self.scale = ImageNetScale()
        self.click_map = ClickMap(o)
        self.combine_clickptns_conv = ConvBlock(4, 3, bn_momentum=o.bn_momentum)
        self.query_resnet = ResNet18()
        self.query_mapping_visu = ConvBlock(
            self.query_resnet.channels, o.width, bn_momentum=o.bn_momentum
        )
        self.reference_darknet = Darknet(o.full_darknet)
        self.reference_mapping_visu = ConvBlock(OUTPUT_CHANNELS, o.width, bn_momentum=o.bn_momentum)
        cvcam_options = o.cvcam_options()
        self.cvcam = Cvcam(cvcam_options) if o.cvcam else None
        self.mhsam = Mhsam(o.width, o.mhsam_hidden) if o.mhsam else None
        self.fcn_out = AnchorHead(o.width, HEAD_HIDDEN, len(o.anchors_wh_px), o.bn_momentum)
        if not o.cvcam:
            self.lowest_similarity = -1.0

    def encode_reference(self, image: Tensor) -> dict[str, Tensor]:
        """Windows [B, 3, H, W] RGB 0..255 -> `reference` [B, width, H / 16, W / 16]."""
        return {"reference": self.reference_mapping_visu(self.reference_darknet(self.scale(image)))}

    def encode_query(self, frame: Tensor, click_xy_px: Tensor) -> Tensor:
        """See `JointAttentionModel.encode_query`; [M, width, h / 32, w / 32]."""
        drawn = self.click_map(click_xy_px, (frame.shape[2], frame.shape[3]))
        image = self.combine_clickptns_conv(torch.cat([self.scale(frame), drawn], 1))
        mapped: Tensor = self.query_mapping_visu(self.query_resnet(image)[1])
        return mapped

    def fuse(self, query: Tensor, features: dict[str, Tensor]) -> HeadMaps:
        """See `JointAttentionModel.fuse`."""
        reference = features["reference"]
        similarity = attention = None
        if self.cvcam is not None:
            fused = self.cvcam(query, reference)
        else:
            unit = unit_length(reference)
            similarity = cosine_map(query.mean((2, 3)), unit)
            attention = min_max_gate(similarity)
            fused = attention.unsqueeze(1) * unit
        if self.mhsam is not None:
            gate = self.mhsam.gate(fused)
            fused, attention = gate * fused, gate.mean(1)
        boxes = self.fcn_out.maps(fused)  # [M, A, 5, Hg, Wg]
        confidence = boxes[:, :, 4].amax(1)
        return HeadMaps(
            boxes,
            confidence if similarity is None else similarity,
            confidence if attention is None else attention,
        )
