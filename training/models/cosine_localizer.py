"""What DetGeo and OCGNet share: the reference branch, cosine fusion and the anchor head.

    r = CBL(Darknet(window))          v = r / |r|        per cell                [B, 512, Hg, Wg]
    q = the model's own query vector of a click                                  [M, 512]
    S, G = cosine and min-max gate (`cosine_fusion`)                             [M, Hg, Wg]
    head(G v)                                                                    [M, A, 5, Hg, Wg]

Cached: v, u = conv(v) of the folded head (`folded_head`), and what a model adds.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from training.models.anchor_head import AnchorHead, decode, decode_maps
from training.models.bounds import check_momentum
from training.models.click_maps import ClickMap, ClickMapOptions
from training.models.contract import Clicks, CrossViewModel, HeadMaps, Localizations
from training.models.conv_block import PUBLISHED_BN_MOMENTUM, ConvBlock
from training.models.cosine_fusion import cosine_map, min_max_gate, unit_length
from training.models.darknet import OUTPUT_CHANNELS, STRIDE_PX, Darknet
from training.models.folded_head import folded_answer
from training.models.imagenet import ImageNetScale
from training.models.peaks import peaks

EMBEDDING = 512  # channels of the query vector and of v
HEAD_HIDDEN = 256


@dataclass(frozen=True, slots=True)
class CosineLocalizerOptions(ClickMapOptions):
    """Options of DetGeo, extended by OCGNet's."""

    full_darknet: bool = False  # with the layers that feed nothing, as the published checkpoints
    fold_head: bool = True  # cache u; without it, cached equals uncached bit for bit
    bn_momentum: float = PUBLISHED_BN_MOMENTUM  # of the CBL blocks; the backbones keep 0.1

    def __post_init__(self) -> None:
        ClickMapOptions.__post_init__(self)
        check_momentum(self.bn_momentum)


class CosineLocalizer(CrossViewModel):
    """Base of DetGeo and OCGNet; they add the query branch."""

    options: CosineLocalizerOptions
    anchors_wh_px: Tensor

    def __init__(self, options: CosineLocalizerOptions) -> None:
        super().__init__()
        if options.stride_px != STRIDE_PX:
            raise ValueError(f"stride_px of {self.name} is {STRIDE_PX}, got {options.stride_px}")
        self.options = options
        self.scale = ImageNetScale()
        self.click_map = ClickMap(options)
        self.reference_darknet = Darknet(options.full_darknet)
        self.reference_mapping_visu = self.block(OUTPUT_CHANNELS, EMBEDDING)
        self.fcn_out = AnchorHead(
            EMBEDDING, HEAD_HIDDEN, len(options.anchors_wh_px), options.bn_momentum
        )
        anchors = torch.tensor(options.anchors_wh_px)
        self.register_buffer("anchors_wh_px", anchors, persistent=False)

    def block(self, c_in: int, c_out: int, kernel: int = 1, stride: int = 1) -> ConvBlock:
        """A CBL with the model's batch norm momentum; a kernel above 1 is not padded."""
        return ConvBlock(c_in, c_out, kernel, stride, 0, self.options.bn_momentum)

    # -- what a model adds -----------------------------------------------------------------------

    @abstractmethod
    def query_vectors(
        self, frame: Tensor, click_xy_px: Tensor, features: dict[str, Tensor]
    ) -> Tensor:
        """q of M clicks.

        Args:
            frame: [M, 3, h, w] RGB 0..255, one per click.
            click_xy_px: [M, 2] pixels of the frame.
            features: what `query_features` gave for the window of each click, [M, ...].

        Returns:
            [M, 512], any length.
        """

    def query_features(self, reference: Tensor) -> dict[str, Tensor]:
        """What the query branch reads of the reference r [B, 512, Hg, Wg]; nothing in DetGeo."""
        del reference
        return {}

    # -- the contract ----------------------------------------------------------------------------

    def map_reference(self, window: Tensor) -> Tensor:
        """r of the equations: [B, 3, H, W] RGB 0..255 -> [B, 512, H/16, W/16]."""
        mapped: Tensor = self.reference_mapping_visu(self.reference_darknet(self.scale(window)))
        return mapped

    def forward(self, frame: Tensor, window: Tensor, clicks: Clicks) -> HeadMaps:
        """The published model; see `CrossViewModel.forward`."""
        reference = self.map_reference(window)
        extra = {k: t[clicks.window] for k, t in self.query_features(reference).items()}
        query = self.query_vectors(frame[clicks.frame], clicks.xy_px, extra)
        v = unit_length(reference)[clicks.window]  # [M, 512, Hg, Wg]
        similarity = cosine_map(query, v)
        gate = min_max_gate(similarity)
        return HeadMaps(self.fcn_out.maps(gate.unsqueeze(1) * v), similarity, gate)

    def encode_reference(self, image: Tensor) -> dict[str, Tensor]:
        """v [B, 512, H/16, W/16], u [B, 256, ...] unless not folded, and what the model adds."""
        reference = self.map_reference(image)
        v = unit_length(reference)
        features = {"v": v, **self.query_features(reference)}
        if self.options.fold_head:
            features["u"] = self.fcn_out.fold(v)
        return features

    def localize(
        self, frame: Tensor, click_xy_px: Tensor, features: dict[str, Tensor]
    ) -> Localizations:
        """One box per click of one frame in one window; see `CrossViewModel.localize`."""
        n = len(click_xy_px)
        shared = {k: t.float() for k, t in features.items()}
        v, u = shared.pop("v"), shared.pop("u", None)
        extra = {k: t.unsqueeze(0).expand(n, *t.shape) for k, t in shared.items()}
        query = self.query_vectors(frame.expand(n, *frame.shape), click_xy_px, extra)
        similarity = cosine_map(query, v)  # [N, Hg, Wg]
        gate = min_max_gate(similarity)
        if u is None:
            boxes = self.fcn_out.maps(gate.unsqueeze(1) * v)
            box, logit = decode_maps(boxes, self.anchors_wh_px, self.options.stride_px)
        else:
            won, offsets = folded_answer(self.fcn_out, gate, u)
            box = decode(offsets, won, self.anchors_wh_px, self.options.stride_px)
            logit = won.confidence_logit
        peak, second = peaks(similarity)
        return Localizations(box, logit, peak, second, gate)
