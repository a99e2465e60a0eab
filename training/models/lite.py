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
    box at the winning cell only: t = W_box[k] . h + b_box[k]
        its centre and the prior are then averaged, each weighted by its precision (`blend_centre`)

`v`, `u` are all that depends on the reference: they are what is cached.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.models.efficientnet_lite import CHANNELS, EfficientNetLite0
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


@dataclass(frozen=True, slots=True)
class LiteOptions:
    """What shapes a `lite` network; stored in every checkpoint."""

    frame_px: int = 512
    window_px: int = 1024
    stride_px: int = 16
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


def unit(x: Tensor, dim: int) -> Tensor:
    """L2-normalise along `dim`; a zero vector stays zero instead of becoming NaN."""
    return x * torch.rsqrt((x * x).sum(dim, keepdim=True).clamp_min(1e-12))


def cell_inv_var(prior_inv_var: Tensor, stride_px: int) -> Tensor:
    """Inverse variance of a prior once the variance of a cell, stride^2 / 12, is added."""
    return prior_inv_var / (1 + prior_inv_var * (stride_px**2 / 12))


def blend_centre(
    centre_xy_px: Tensor,
    area_px2: Tensor,
    prior_xy_px: Tensor,
    prior_inv_var: Tensor,
    o: LiteOptions,
) -> Tensor:
    """Average the head's centre and the prior by their precisions; without a prior, the head's.

    Head variance: centre_var area + floor_var. Prior variance, as a centre: 1 / inv_var + click_var
    area. All in one fraction, so that inv_var = 0 needs no division by zero.

    Args:
        centre_xy_px: [N, 2] of the head.
        area_px2: [N] of its box.
        prior_xy_px: [N, 2].
        prior_inv_var: [N].
        o: holds the three variances.
    """
    spread = prior_inv_var * o.click_var * area_px2
    head = prior_inv_var * (o.centre_var * area_px2 + o.floor_var_px2)
    trust = (head / (1 + spread + head)).unsqueeze(1)  # in the prior
    return centre_xy_px + trust * (prior_xy_px - centre_xy_px)


class GatedHead(nn.Module):
    """Gate, folded 1x1, leaky ReLU, confidence and box channels (the equations above)."""

    def __init__(self, hidden: int, anchors: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor(0.5))
        self.beta = nn.Parameter(torch.tensor(2.0))
        self.w_a = nn.Parameter(torch.zeros(hidden))
        self.b = nn.Parameter(torch.zeros(hidden))
        self.conf = nn.Linear(hidden, anchors)
        self.tau = nn.Parameter(torch.full((anchors,), 10.0))
        self.box = nn.Linear(hidden, anchors * 4)
        nn.init.normal_(self.conf.weight, std=0.01)
        nn.init.normal_(self.box.weight, std=0.01)
        nn.init.zeros_(self.box.bias)
        # 9 x 64 x 64 cells against the one "not here" logit, which is fixed at 0.
        nn.init.constant_(self.conf.bias, -8.0)

    def hidden(self, similarity: Tensor, u: Tensor) -> Tensor:
        """h of some cells. similarity [N, *cells], u [N or 1, C, *cells] -> [N, C, *cells]."""
        tail = (1,) * (u.dim() - 2)
        gate = (self.alpha + self.beta * similarity).unsqueeze(1)
        mixed = gate * (u + self.w_a.view(1, -1, *tail)) + self.b.view(1, -1, *tail)
        return nn.functional.leaky_relu(mixed, 0.1)

    def confidence(self, h: Tensor, similarity: Tensor) -> Tensor:
        """Logits without the prior. h [N, C, H, W], similarity [N, H, W] -> [N, A, H, W]."""
        mapped = torch.einsum("nchw,ac->nahw", h, self.conf.weight)
        bias = self.conf.bias.view(1, -1, 1, 1)
        return mapped + bias + self.tau.view(1, -1, 1, 1) * similarity.unsqueeze(1)


class Lite(nn.Module):
    """The whole model; see the module's text for the mathematics."""

    def __init__(self, options: LiteOptions | None = None) -> None:
        super().__init__()
        self.options = options or LiteOptions()
        o = self.options
        if o.stride_px != 16:
            raise ValueError(f"stride_px is 16 in this version, got {o.stride_px}")
        self.backbone = EfficientNetLite0(32)
        strides = (8, 16, 32)
        self.reference_neck = ContextNeck(
            {s: CHANNELS[s] for s in strides}, o.width, o.reference_depth
        )
        self.query_neck = ContextNeck({s: CHANNELS[s] for s in strides[:2]}, o.width, o.query_depth)
        self.reference_embedding = nn.Conv2d(o.width, o.embedding, 1)
        self.reference_hidden = nn.Conv2d(o.width, o.hidden, 1)
        self.query_embedding = nn.Conv2d(o.width, o.embedding, 1)
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

    def gather_clicks(self, query_map: Tensor, click_xy_px: Tensor) -> Tensor:
        """Unit query vectors, bilinear at each click.

        Args:
            query_map: [D, h, w] of one frame.
            click_xy_px: [N, 2] pixels of the letterboxed frame.

        Returns:
            [N, D].
        """
        d, height, width = query_map.shape
        at = click_xy_px / self.options.stride_px - 0.5  # cell centres lie at half-integers
        x = at[:, 0].clamp(0, width - 1)
        y = at[:, 1].clamp(0, height - 1)
        x0 = x.floor().clamp(max=width - 2)
        y0 = y.floor().clamp(max=height - 2)
        fx, fy = (x - x0)[None], (y - y0)[None]
        corner = (y0 * width + x0).long()
        flat = query_map.reshape(d, height * width)
        top = flat[:, corner] * (1 - fx) + flat[:, corner + 1] * fx
        low = flat[:, corner + width] * (1 - fx) + flat[:, corner + width + 1] * fx
        return unit((top * (1 - fy) + low * fy).t(), 1)

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
        queries = click_xy_px.new_zeros(len(click_xy_px), query_map.shape[1])
        for index in frame_of_click.unique().tolist():
            chosen = frame_of_click == index
            queries[chosen] = self.gather_clicks(query_map[index], click_xy_px[chosen])
        similarity = torch.einsum("md,mdhw->mhw", queries, reference["v"][window_of_click])
        hidden = self.head.hidden(similarity, reference["u"][window_of_click])
        return similarity, hidden, self.head.confidence(hidden, similarity)

    # -- the contract of every model -------------------------------------------------------------

    def encode_reference(self, image: Tensor) -> dict[str, Tensor]:
        """Tensors of windows: [B, 3, H, W] RGB 0..255 -> v [B, D, H/16, W/16], u [B, C, ...]."""
        return self.reference_from_features(self.backbone(image))

    def encode_query(self, frame: Tensor) -> Tensor:
        """Query map of frames. frame [B, 3, h, w] RGB 0..255 -> [B, D, h/16, w/16]."""
        return self.query_from_features(self.backbone(frame, deepest_stride=16))

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
        query = self.gather_clicks(query_map, click_xy_px)
        similarity = torch.einsum("nd,dhw->nhw", query, v)
        logits = self.head.confidence(self.head.hidden(similarity, u.unsqueeze(0)), similarity)
        n, anchors, height, width = logits.shape
        columns = torch.arange(width, device=v.device)
        rows = torch.arange(height, device=v.device)
        if prior_xy_px is not None and prior_inv_var is not None:
            dx = (columns + 0.5) * o.stride_px - prior_xy_px[:, :1]  # [N, W]
            dy = (rows + 0.5) * o.stride_px - prior_xy_px[:, 1:]  # [N, H]
            square = dy.square().unsqueeze(2) + dx.square().unsqueeze(1)  # [N, H, W]
            inv_var = cell_inv_var(prior_inv_var, o.stride_px).view(-1, 1, 1)
            logits = logits - (0.5 * inv_var * square).unsqueeze(1)
        best_logit, best = logits.reshape(n, -1).max(1)
        cells = height * width
        anchor, cell = best // cells, best % cells
        row, column = cell // width, cell % width
        at_cell = similarity.reshape(n, cells).gather(1, cell.unsqueeze(1)).squeeze(1)
        u_cell = u.reshape(-1, cells)[:, cell]  # [C, N]
        h = self.head.hidden(at_cell, u_cell.t())  # [N, C]
        t = self.head.box(h).reshape(n, anchors, 4)
        t = t.gather(1, anchor.view(-1, 1, 1).expand(-1, 1, 4)).squeeze(1)  # [N, 4]
        centre = (t[:, :2].sigmoid() + torch.stack([column, row], 1)) * o.stride_px
        size = t[:, 2:].clamp(-SIZE_LOG_LIMIT, SIZE_LOG_LIMIT).exp() * self.anchors_wh_px[anchor]
        if prior_xy_px is not None and prior_inv_var is not None:
            centre = blend_centre(centre, size.prod(1), prior_xy_px, prior_inv_var, o)
        box = torch.cat([centre - size / 2, centre + size / 2], 1)
        peak, second = peaks(similarity)
        return LiteOutputs(box, best_logit, peak, second, at_cell, similarity, query)
