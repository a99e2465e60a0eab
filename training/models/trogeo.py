"""TROGeo (ICCV 2025): one Swin-S for both views, CVOPM, a box head and a mask head.

    Q = f(click fusion(frame)),  R = f(window),  O = CVOPM(R; Q)
    boxes = box head of O,  mask = mask head of O       both at stride 16

The mask is a training aid there, and a prompt for a segmenter: `localize` leaves it out, `segment`
gives it alone. Cached per window: R and, past the module's self-attention, its tokens.

Published checkpoints hold the shared backbone twice, as `query_model` and `reference_model`. Here
it is held once, under the first name; `one_backbone` takes either and refuses two that differ.
`attention` is the confidence map: nothing gates the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from edge.errors import CheckpointError
from training.models.anchor_head import FIELDS
from training.models.click_maps import ClickMap, ClickMapOptions
from training.models.contract import HeadMaps
from training.models.cvopm import Cvopm
from training.models.imagenet import ImageNetScale
from training.models.joint_attention import JointAttentionModel
from training.models.swin import CHANNELS, STRIDE_PX, SwinSmall

QUERY_PREFIX = "query_model."
REFERENCE_PREFIX = "reference_model."


@dataclass(frozen=True, slots=True)
class TROGeoOptions(ClickMapOptions):
    """What shapes a TROGeo; DetGeo's click map, stride 16."""


class DoublingHead(nn.Sequential):
    """Transposed convolution to twice the size and half the channels, ReLU, 1x1 with bias."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(
            nn.ConvTranspose2d(c_in, c_in // 2, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(c_in // 2, c_out, 1),
        )


class TROGeo(JointAttentionModel):
    """The whole model; see the module's text. Parameter names are the published ones.

    Raises:
        ValueError: a stride other than 16.
    """

    name: ClassVar[str] = "trogeo"

    def __init__(self, options: TROGeoOptions | None = None) -> None:
        super().__init__()
        self.options: TROGeoOptions = options or TROGeoOptions()
        if self.options.stride_px != STRIDE_PX // 2:
            raise ValueError(f"stride_px is 16, got {self.options.stride_px}")
        self.keep_anchors()
        self.scale = ImageNetScale()
        self.click_map = ClickMap(self.options)
        self.query_model = SwinSmall()  # of both views
        self.combine_clickptns_conv = nn.Sequential(
            nn.Conv2d(4, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 3, padding=1)
        )
        self.cross_attention = Cvopm(CHANNELS, CHANNELS)
        self.fcn_out = DoublingHead(CHANNELS, len(self.options.anchors_wh_px) * FIELDS)
        self.coodrs_out = DoublingHead(CHANNELS, 1)  # the mask; spelled as published

    def encode_reference(self, image: Tensor) -> dict[str, Tensor]:
        """Windows to what is cached.

        Args:
            image: [B, 3, H, W] RGB 0..255.

        Returns:
            `reference` [B, 768, H / 32, W / 32] and `tokens` [B, H W / 1024, 768].
        """
        reference = self.query_model(self.scale(image))
        return {"reference": reference, "tokens": self.cross_attention.before_query(reference)}

    def encode_query(self, frame: Tensor, click_xy_px: Tensor) -> Tensor:
        """See `JointAttentionModel.encode_query`; [M, 768, h / 32, w / 32]."""
        drawn = self.click_map(click_xy_px, (frame.shape[2], frame.shape[3]))
        image = self.combine_clickptns_conv(torch.cat([self.scale(frame), drawn], 1))
        features: Tensor = self.query_model(image)
        return features

    def perceive(self, query: Tensor, features: dict[str, Tensor]) -> Tensor:
        """O of the module's text, [M, 768, H / 32, W / 32]."""
        return self.cross_attention.with_query(features["reference"], features["tokens"], query)

    def fuse(self, query: Tensor, features: dict[str, Tensor]) -> HeadMaps:
        """See `JointAttentionModel.fuse`; without the mask."""
        return self.box_maps(self.perceive(query, features))

    def fuse_training(self, query: Tensor, features: dict[str, Tensor]) -> HeadMaps:
        """As `fuse`, and the mask's logits [M, H / 16, W / 16], which the training loss reads."""
        perceived = self.perceive(query, features)
        maps = self.box_maps(perceived)
        mask = self.coodrs_out(perceived).squeeze(1)
        return HeadMaps(maps.boxes, maps.similarity, maps.attention, mask)

    def box_maps(self, perceived: Tensor) -> HeadMaps:
        """Boxes and confidence from O."""
        anchors = len(self.options.anchors_wh_px)
        boxes = self.fcn_out(perceived).unflatten(1, (anchors, FIELDS))  # [M, A, 5, Hg, Wg]
        similarity = boxes[:, :, 4].amax(1)
        return HeadMaps(boxes, similarity, similarity)

    def segment(self, frame: Tensor, click_xy_px: Tensor, features: dict[str, Tensor]) -> Tensor:
        """Masks of the clicked objects in one window; arguments as of `localize`.

        Returns:
            [N, H / 16, W / 16] logits.
        """
        n = len(click_xy_px)
        own = {name: tensor.float().expand(n, *tensor.shape) for name, tensor in features.items()}
        query = self.encode_query(frame.expand(n, *frame.shape), click_xy_px)
        mask: Tensor = self.coodrs_out(self.perceive(query, own)).squeeze(1)
        return mask


def one_backbone(tensors: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """A published state dict with its shared backbone once, under `query_model`.

    Args:
        tensors: names without `module.`; the backbone under either prefix, or under both.
        source: named in errors.

    Raises:
        CheckpointError: both prefixes, and tensors that differ between them (listed).
    """
    merged = {k: v for k, v in tensors.items() if not k.startswith(REFERENCE_PREFIX)}
    differ = []
    for name, tensor in tensors.items():
        if name not in merged:
            own = QUERY_PREFIX + name.removeprefix(REFERENCE_PREFIX)
            if not torch.equal(merged.setdefault(own, tensor), tensor):
                differ.append(name)
    if differ:
        raise CheckpointError(
            f"the two backbones of {source} are not the same",
            expected=f"equal tensors under {QUERY_PREFIX} and {REFERENCE_PREFIX}",
            found=f"{len(differ)} that differ, first {differ[0]}",
            do="use a checkpoint of the published TROGeo, which shares one backbone",
        )
    return merged
