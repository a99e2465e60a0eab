"""MOGeo: cross-view localization of many objects (CVPR 2026, arXiv 2603.13843).

    F_q = ResNet-18(frame) at stride 16       r = CBL(Darknet(window)),  v = r / |r| per cell
    q = MOPE(F_q, click)                      one vector per click, one backbone pass for all
    S = q / |q| . v                           raw cosine, which is the gate G
    boxes = head([G | G F])                   CVMF; one head for every object

Its code was not to be had: this is a reconstruction from the paper. What the paper leaves open is
an option: the query backbone (A: cut after layer3; B: layer4 with stride 1), min-max instead of the
raw cosine, which reference F the gate multiplies, the layer that makes r (the paper's "fully
connected"), and how MOPE pools. With full Darknet: A 65,271,114 parameters, B 73,795,914.

One reading is no option. The paper writes "multiple detection heads"; there is one here, run once
for each object: a frame has any number of objects, in any order, so there is nothing that a second
set of weights would belong to.

Ablations: without MOPE the click is drawn into the frame as DetGeo does, at one backbone pass a
click, and the mapped features are averaged; without CVMF the head sees G F alone, DetGeo's fusion
without its min-max.

Cached per window: v, and u = w_g + W F of the folded head, since conv([G | G F]) = G (w_g + W F).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import torch
from torch import Tensor, nn

from training.models.anchor_head import AnchorHead, decode, decode_maps
from training.models.bounds import check_momentum
from training.models.choice import chosen
from training.models.click_maps import ClickMap, ClickMapOptions
from training.models.contract import Clicks, CrossViewModel, HeadMaps, Localizations
from training.models.conv_block import PUBLISHED_BN_MOMENTUM, ConvBlock
from training.models.cosine_fusion import cosine_map, min_max_gate, unit_length
from training.models.darknet import OUTPUT_CHANNELS, STRIDE_PX, Darknet
from training.models.folded_head import folded_answer
from training.models.imagenet import ImageNetScale
from training.models.mope import Impulse, Mope, Neighbourhood, Pooling
from training.models.peaks import peaks
from training.models.resnet import ResNet18

EMBEDDING = 512
HEAD_HIDDEN = 256


class QueryBackbone(str, Enum):
    """How ResNet-18 gets to stride 16; both readings fit the paper."""

    A = "A"  # cut after layer3: 256 channels
    B = "B"  # layer4 with stride 1: 512 channels


class ReferenceLayer(str, Enum):
    """The paper's "fully connected layer" behind Darknet, run at each cell."""

    CBL = "cbl"  # convolution 1x1, batch norm, leaky ReLU, as in DetGeo
    LINEAR = "linear"  # convolution 1x1 with a bias


class GatedReference(str, Enum):
    """F of the equations: what the gate multiplies; the paper calls it F_r."""

    UNIT = "unit"  # v, as in DetGeo
    MAPPED = "mapped"  # r
    BACKBONE = "backbone"  # Darknet's own output, before the layer that makes V_r of it


@dataclass(frozen=True, slots=True)
class MOGeoOptions(ClickMapOptions):
    """What shapes a MOGeo; the click map serves only without MOPE.

    Raises:
        ValueError: see `ClickMapOptions`; or an option of the click map beside MOPE, which draws
            none.
    """

    frame_step_px: ClassVar[int] = STRIDE_PX

    query_backbone: str = QueryBackbone.A.value
    mope: bool = True
    cvmf: bool = True
    min_max: bool = False  # of the gate
    gated_reference: str = GatedReference.UNIT.value
    neighbourhood: str = Neighbourhood.OFF.value  # ours, against click noise: see `mope`
    hardness: float = 0.5
    neighbourhood_sigma_px: float = 8.0
    reach_cells: int = 1
    full_darknet: bool = False  # with the layers that feed nothing
    fold_head: bool = True  # cache u; without it, cached equals uncached bit for bit
    bn_momentum: float = PUBLISHED_BN_MOMENTUM  # of the CBL blocks, DetGeo's
    pooling: str = Pooling.SUM.value  # of MOPE; unpublished
    reference_layer: str = ReferenceLayer.CBL.value  # unpublished

    def __post_init__(self) -> None:
        ClickMapOptions.__post_init__(self)
        check_momentum(self.bn_momentum)
        changed = self.changed_click_map() if self.mope else []
        if changed:
            raise ValueError(
                f"{changed[0]} = {getattr(self, changed[0])!r} means nothing while mope is on: "
                "clicks are drawn only with mope off"
            )


class MOGeo(CrossViewModel):
    """The whole model; see the module's text.

    Raises:
        ValueError: a stride other than 16, or an unknown choice (names the nearest).
    """

    name: ClassVar[str] = "mogeo"
    anchors_wh_px: Tensor  # [A, 2]

    def __init__(self, options: MOGeoOptions | None = None) -> None:
        super().__init__()
        self.options: MOGeoOptions = options or MOGeoOptions()
        o = self.options
        if o.stride_px != STRIDE_PX:
            raise ValueError(f"stride_px is {STRIDE_PX}, got {o.stride_px}")
        self.gated_reference = chosen("gated_reference", GatedReference, o.gated_reference)
        self.scale = ImageNetScale()
        if chosen("query_backbone", QueryBackbone, o.query_backbone) is QueryBackbone.A:
            self.query_resnet = ResNet18(stages=3)
        else:
            self.query_resnet = ResNet18(last_stride=1)
        impulse = Impulse(
            chosen("neighbourhood", Neighbourhood, o.neighbourhood),
            o.hardness,
            o.neighbourhood_sigma_px,
            o.reach_cells,
        )
        channels = self.query_resnet.channels
        if o.mope:
            stride_px, pooling = self.query_resnet.stride, chosen("pooling", Pooling, o.pooling)
            self.mope = Mope(channels, EMBEDDING, stride_px, impulse, o.bn_momentum, pooling)
        else:
            self.click_map = ClickMap(o)
            self.click_fusion = ConvBlock(4, 3, bn_momentum=o.bn_momentum)
            self.query_mapping = ConvBlock(channels, EMBEDDING, bn_momentum=o.bn_momentum)
        self.reference_darknet = Darknet(o.full_darknet)
        self.reference_mapping: nn.Module
        if chosen("reference_layer", ReferenceLayer, o.reference_layer) is ReferenceLayer.CBL:
            self.reference_mapping = ConvBlock(
                OUTPUT_CHANNELS, EMBEDDING, bn_momentum=o.bn_momentum
            )
        else:
            self.reference_mapping = nn.Conv2d(OUTPUT_CHANNELS, EMBEDDING, 1)
        self.head = AnchorHead(
            EMBEDDING + int(o.cvmf), HEAD_HIDDEN, len(o.anchors_wh_px), o.bn_momentum
        )
        anchors = torch.tensor(o.anchors_wh_px)
        self.register_buffer("anchors_wh_px", anchors, persistent=False)

    # -- the two branches ------------------------------------------------------------------------

    def query_vectors(self, frame: Tensor, click_xy_px: Tensor, of_frame: Tensor) -> Tensor:
        """q of the equations.

        Args:
            frame: [B, 3, h, w] RGB 0..255.
            click_xy_px: [M, 2] pixels of the frames.
            of_frame: [M] int64, which of the B frames.

        Returns:
            [M, 512], any length.
        """
        scaled = self.scale(frame)
        if self.options.mope:
            vectors: Tensor = self.mope(self.query_resnet(scaled)[1], click_xy_px, of_frame)
            return vectors
        drawn = self.click_map(click_xy_px, (frame.shape[2], frame.shape[3]))
        image = self.click_fusion(torch.cat([scaled[of_frame], drawn], 1))
        mapped: Tensor = self.query_mapping(self.query_resnet(image)[1])  # [M, 512, h/16, w/16]
        return mapped.mean((2, 3))

    def map_reference(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """v and F of the equations, both [B, 512, H / 16, W / 16]."""
        body = self.reference_darknet(self.scale(window))
        mapped = self.reference_mapping(body)
        v = unit_length(mapped)
        gated = {
            GatedReference.UNIT: v,
            GatedReference.MAPPED: mapped,
            GatedReference.BACKBONE: body,
        }
        return v, gated[self.gated_reference]

    def gate(self, similarity: Tensor) -> Tensor:
        """G of the equations: [M, Hg, Wg] -> the same."""
        return min_max_gate(similarity) if self.options.min_max else similarity

    def head_maps(self, gate: Tensor, reference: Tensor) -> Tensor:
        """Boxes from G [M, Hg, Wg] and F [M or 1, 512, Hg, Wg] -> [M, A, 5, Hg, Wg]."""
        weighted = gate.unsqueeze(1) * reference
        if self.options.cvmf:
            weighted = torch.cat([gate.unsqueeze(1), weighted], 1)
        return self.head.maps(weighted)

    def fold(self, reference: Tensor) -> Tensor:
        """u of the module's text: F [B, 512, Hg, Wg] -> [B, 256, Hg, Wg]."""
        if not self.options.cvmf:
            return self.head.fold(reference)
        weight = self.head.block.conv.weight  # [256, 513, 1, 1], the gate's channel first
        folded = torch.nn.functional.conv2d(reference, weight[:, 1:])
        return folded + weight[:, :1].transpose(0, 1)

    # -- the contract ----------------------------------------------------------------------------

    def forward(self, frame: Tensor, window: Tensor, clicks: Clicks) -> HeadMaps:
        """See `CrossViewModel.forward`; `attention` is what the similarity loss compares."""
        v, reference = self.map_reference(window)
        query = self.query_vectors(frame, clicks.xy_px, clicks.frame)
        similarity = cosine_map(query, v[clicks.window])
        gate = self.gate(similarity)
        return HeadMaps(self.head_maps(gate, reference[clicks.window]), similarity, gate)

    def encode_reference(self, image: Tensor) -> dict[str, Tensor]:
        """Windows to what is cached.

        Args:
            image: [B, 3, H, W] RGB 0..255.

        Returns:
            v [B, 512, H / 16, W / 16] and u [B, 256, ...]; without folding, F as `reference` unless
            it is v.
        """
        v, reference = self.map_reference(image)
        if self.options.fold_head:
            return {"v": v, "u": self.fold(reference)}
        return {"v": v} if reference is v else {"v": v, "reference": reference}

    def localize(
        self, frame: Tensor, click_xy_px: Tensor, features: dict[str, Tensor]
    ) -> Localizations:
        """See `CrossViewModel.localize`; the frame runs through the backbone once."""
        only = torch.zeros(len(click_xy_px), dtype=torch.long, device=click_xy_px.device)
        query = self.query_vectors(frame.unsqueeze(0), click_xy_px, only)
        shared = {name: tensor.float() for name, tensor in features.items()}
        v = shared["v"]
        folded = "u" in shared
        if folded and not self.options.min_max:
            # One matrix product for all clicks: faster, and bits depend on their number. Min-max
            # would stretch the difference past what folding may change.
            similarity = (unit_length(query) @ v.flatten(1)).unflatten(1, v.shape[1:])
        else:
            similarity = cosine_map(query, v)
        gate = self.gate(similarity)
        stride_px = self.options.stride_px
        if folded:
            won, offsets = folded_answer(self.head, gate, shared["u"])
            box, logit = decode(offsets, won, self.anchors_wh_px, stride_px), won.confidence_logit
        else:
            boxes = self.head_maps(gate, shared.get("reference", v).unsqueeze(0))
            box, logit = decode_maps(boxes, self.anchors_wh_px, stride_px)
        peak, second = peaks(similarity)
        return Localizations(box, logit, peak, second, gate)
