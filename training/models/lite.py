"""Model `lite`: the project's own compact cross-view object localizer.

A shared EfficientNet-Lite0 reads both views. The frame runs through it once, whatever the number of
clicks: a click is a gather from the feature map (the impulse encoding of MOGeo, arXiv 2603.13843,
section 3.2, is exactly that). Fusion is the cosine of DetGeo (TGRS 2023) without its min-max, which
erases "not in this window": the gate is affine in the raw cosine instead. The head's first 1x1
convolution is folded into the cached reference tensor `u`.

After the query vector q, per click n, anchor k and cell (i, j):

    S = q . v                                     raw cosine                 [N, H, W]
    g = alpha + beta S                            gate
    h = LeakyReLU_0.1(g (u + w_a) + b)            folded head                [N, C, H, W]
    logit_k = W_conf[k] . h + c_k + tau_k S - 0.5 i |cell centre - prior|^2
        i = inv_var / (1 + inv_var stride^2 / 12): a cell is a square, and its variance adds
    the winner is the largest of all; found by a shortlist (`GatedHead.shortlist`)
    box at the winning cell only: t = W_box[k] . h + b_box[k]
        its centre and the prior are then averaged, each weighted by its precision (`blend_centre`)

`v`, `u` are all that depends on the reference: they are what is cached.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.models.backbones import build_backbone
from training.models.bounds import check_anchors, check_not_negative, check_positive
from training.models.click_gather import ClickGather, unit
from training.models.gated_head import GatedHead, blend_centre, log_prior
from training.models.necks import ContextNeck
from training.models.peaks import peaks

# Anchors (width, height) in window pixels at 0.25 m/px, largest first as the published models order
# theirs: six near the k-means of the orthophoto boxes (`tilefix datasets anchors`), which are
# houses, and three larger ones for the halls, long blocks and yards of the procedural towns.
DEFAULT_ANCHORS_WH_PX = (
    (280.0, 230.0),
    (170.0, 160.0),
    (150.0, 70.0),
    (70.0, 150.0),
    (92.0, 90.0),
    (62.0, 62.0),
    (43.0, 42.0),
    (28.0, 28.0),
    (15.0, 15.0),
)
SIZE_LOG_LIMIT = 4.0
DEEPEST_STRIDE_PX = 32  # of the backbone
FRAME_STRIDE_PX = 16  # of what a frame is read down to


@dataclass(frozen=True, slots=True)
class LiteOptions:
    """What shapes a `lite` network; stored in every checkpoint.

    Raises:
        ValueError: a number that shapes nothing.
    """

    frame_px: int = 512  # width; also the height, unless that is given
    window_px: int = 1024
    backbone: str = "efficientnet_lite0"  # or another of `training.models.backbones`
    stride_px: int = 8  # or 16, four times quicker to train and ten points worse on small things
    click_reach_cells: int = 1  # of `ClickGather`
    embedding: int = 128  # D, channels of q and v
    hidden: int = 64  # C, channels of u
    width: int = 128  # channels inside the two necks
    reference_depth: int = 3  # residual blocks of the reference neck
    query_depth: int = 2
    anchors_wh_px: tuple[tuple[float, float], ...] = DEFAULT_ANCHORS_WH_PX
    # Variances of a box's centre for `blend_centre`, fitted on held-out samples at export. All
    # zero: the prior chooses the cell and does not move the box.
    click_var: float = 0.0  # of a click around its object's centre, per square pixel of box area
    centre_var: float = 0.0  # of the head's centre, per square pixel of box area
    floor_var_px2: float = 0.0  # of the head's centre, whatever the size
    # Of a copy for a camera of one shape (`export.frame_size`): fewer borders to compute. Training
    # has frames of every shape, in squares.
    frame_height_px: int | None = None

    def __post_init__(self) -> None:
        check_anchors(self.anchors_wh_px)
        _check_side("window_px", self.window_px, DEEPEST_STRIDE_PX)
        _check_side("frame_px", self.frame_px, FRAME_STRIDE_PX)
        if self.frame_height_px is not None:
            _check_side("frame_height_px", self.frame_height_px, FRAME_STRIDE_PX)
            if self.frame_height_px == self.frame_px:  # one size has one form
                raise ValueError(f"frame_height_px is another than frame_px, got {self.frame_px}")
        check_positive(self, "embedding", "hidden", "width")
        check_not_negative(self, "click_reach_cells", "reference_depth", "query_depth")
        check_not_negative(self, "click_var", "centre_var", "floor_var_px2")

    @property
    def frame_hw_px(self) -> tuple[int, int]:
        """Height, width."""
        height_px = self.frame_px if self.frame_height_px is None else self.frame_height_px
        return height_px, self.frame_px


def _check_side(name: str, side_px: int, step_px: int) -> None:
    if side_px <= 0 or side_px % step_px:
        raise ValueError(f"{name} is a positive multiple of {step_px}, got {side_px}")


@dataclass(frozen=True, slots=True)
class LiteOutputs:
    """What the localizer answers for N clicks; meanings as in `edge.types.Localizations`."""

    box_xyxy_px: Tensor  # [N, 4]
    confidence_logit: Tensor  # [N]
    peak_similarity: Tensor  # [N]
    second_peak_similarity: Tensor  # [N]
    cell_similarity: Tensor  # [N]
    attention: Tensor  # [N, H, W]
    query_vector: Tensor  # [N, D]


class Lite(nn.Module):
    """The whole model; see the module's text for the mathematics."""

    def __init__(self, options: LiteOptions | None = None) -> None:
        super().__init__()
        self.options = options or LiteOptions()
        o = self.options
        if o.stride_px not in (8, 16):
            raise ValueError(f"stride_px is 8 or 16, got {o.stride_px}")
        self.backbone = build_backbone(o.backbone)
        channels = self.backbone.channels
        self.reference_neck = ContextNeck(channels, o.width, o.reference_depth, o.stride_px)
        shallow = {s: c for s, c in channels.items() if s < 32}
        self.query_neck = ContextNeck(shallow, o.width, o.query_depth, o.stride_px)
        self.reference_embedding = nn.Conv2d(o.width, o.embedding, 1)
        self.reference_hidden = nn.Conv2d(o.width, o.hidden, 1)
        self.query_embedding = nn.Conv2d(o.width, o.embedding, 1)
        self.gather = ClickGather(o.stride_px, o.click_reach_cells)
        self.head = GatedHead(o.hidden, len(o.anchors_wh_px))
        self.register_buffer("anchors_wh_px", torch.tensor(o.anchors_wh_px), persistent=False)

    # -- the two branches, from backbone features ------------------------------------------------

    def reference_from_features(self, features: dict[int, Tensor]) -> dict[str, Tensor]:
        """v [B, D, H, W] (unit length per cell) and u [B, C, H, W] from the reference backbone."""
        x = self.reference_neck(features)
        return {"v": unit(self.reference_embedding(x), 1), "u": self.reference_hidden(x)}

    def query_from_features(self, features: dict[int, Tensor]) -> Tensor:
        """Query map [B, D, h, w] from the frame's features at strides 8 and 16."""
        embedded: Tensor = self.query_embedding(self.query_neck(features))
        return embedded

    def training_maps(
        self,
        query_map: Tensor,
        reference: dict[str, Tensor],
        click_xy_px: Tensor,
        frame_of_click: Tensor,
        window_of_click: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """All that the losses need, for M clicks in a batch of B pairs.

        Args:
            query_map: [B, D, h, w].
            reference: v [B, D, H, W], u [B, C, H, W].
            click_xy_px: [M, 2] pixels of the letterboxed frames.
            frame_of_click: [M] index of each click's frame.
            window_of_click: [M] index of the window it is looked for in (another one: a negative).

        Returns:
            similarity [M, H, W], hidden [M, C, H, W], logits without prior [M, A, H, W].
        """
        queries = self.gather(query_map, click_xy_px, frame_of_click)
        similarity = torch.einsum("md,mdhw->mhw", queries, reference["v"][window_of_click])
        hidden = self.head.hidden(similarity, reference["u"][window_of_click])
        return similarity, hidden, self.head.confidence(hidden, similarity)

    # -- the contract of every model -------------------------------------------------------------

    def encode_reference(self, image: Tensor) -> dict[str, Tensor]:
        """Tensors of windows: [B, 3, H, W] RGB 0..255 -> v [B, D, H/stride, W/stride], u."""
        return self.reference_from_features(self.backbone(image))

    def encode_query(self, frame: Tensor) -> Tensor:
        """Query map of frames. frame [B, 3, h, w] RGB 0..255 -> [B, D, h/stride, ...]."""
        return self.query_from_features(self.backbone(frame, deepest_stride=FRAME_STRIDE_PX))

    def localize(
        self,
        query_map: Tensor,
        click_xy_px: Tensor,
        features: dict[str, Tensor],
        prior_xy_px: Tensor | None = None,
        prior_inv_var: Tensor | None = None,
    ) -> LiteOutputs:
        """One box per click of one frame against one window.

        Args:
            query_map: [D, h, w] from `encode_query`.
            click_xy_px: [N, 2] pixels of the letterboxed frame.
            features: v [D, H, W] and u [C, H, W] of the window.
            prior_xy_px: [N, 2] window pixels; None: no prior.
            prior_inv_var: [N] per square pixel.
        """
        o = self.options
        v, u = features["v"].float(), features["u"].float()
        first = torch.zeros_like(click_xy_px[:, 0])
        query = self.gather(query_map.unsqueeze(0), click_xy_px, first)
        similarity = (query @ v.flatten(1)).unflatten(1, v.shape[1:])  # [N, H, W]
        width = v.shape[2]
        prior = None
        if prior_xy_px is not None and prior_inv_var is not None:
            grid = (v.shape[1], width)
            prior = log_prior(prior_xy_px, prior_inv_var, grid, o.stride_px)
        cells = self.head.shortlist(similarity, u, prior)  # [N, K]
        at_cells = similarity.flatten(1).gather(1, cells)
        h = self.head.hidden(at_cells, u.flatten(1)[:, cells].transpose(0, 1))  # [N, C, K]
        logits = self.head.confidence(h, at_cells)  # [N, A, K]
        if prior is not None:
            logits = logits + prior.flatten(1).gather(1, cells).unsqueeze(1)
        best_logit, best = logits.flatten(1).max(1)
        anchor, place = best // cells.shape[1], (best % cells.shape[1]).unsqueeze(1)
        cell, at_cell = (x.gather(1, place).squeeze(1) for x in (cells, at_cells))
        row, column = cell // width, cell % width
        h = h.gather(2, place.unsqueeze(1).expand(-1, h.shape[1], -1)).squeeze(2)  # [N, C]
        t = self.head.box(h).unflatten(1, (-1, 4))  # [N, A, 4]
        t = t.gather(1, anchor.view(-1, 1, 1).expand(-1, 1, 4)).squeeze(1)  # [N, 4]
        centre = (t[:, :2].sigmoid() + torch.stack([column, row], 1)) * o.stride_px
        size = t[:, 2:].clamp(-SIZE_LOG_LIMIT, SIZE_LOG_LIMIT).exp() * self.anchors_wh_px[anchor]
        if prior_xy_px is not None and prior_inv_var is not None:
            centre = blend_centre(
                centre,
                size.prod(1),
                prior_xy_px,
                prior_inv_var,
                click_var=o.click_var,
                centre_var=o.centre_var,
                floor_var_px2=o.floor_var_px2,
            )
        box = torch.cat([centre - size / 2, centre + size / 2], 1)
        peak, second = peaks(similarity)
        return LiteOutputs(box, best_logit, peak, second, at_cell, similarity, query)
