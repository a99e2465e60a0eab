"""The published models as graph modules: one encoder, and a localizer for each kind of fusion.

Those whose window is gated by a cosine (DetGeo, OCGNet, MOGeo) share their end with `lite`: from
query vectors to boxes by TileAttention, as one node in float16, and in float32 as its equations in
plain operators. Their head is always folded: u is what is stored.

Where window and query meet in an attention (AttenGeo, TROGeo, DetGeo with their modules), the head
gives maps; the prior's log-density is added to the confidence before the winner is taken.

A prior chooses the cell in all of them and moves no box: there is nothing fitted to blend by.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from export.graph_signature import (
    GraphModule,
    encoder_module,
    in_frame,
    localizer_module,
    planes,
)
from export.plugin.heads import mogeo_head, published_head
from export.plugin.tile_attention_op import TileAttention, evaluate
from training.models.anchor_head import decode, winners
from training.models.contract import CrossViewModel
from training.models.cosine_localizer import CosineLocalizer
from training.models.gated_head import log_prior
from training.models.joint_attention import JointAttentionModel
from training.models.mogeo import MOGeo
from training.models.peaks import peaks

FOLDED = ("v", "u")  # come first where a model has them


def published_modules(model: CrossViewModel, precision: str) -> tuple[GraphModule, GraphModule]:
    """Encoder and localizer of a published model for `precision`, "fp32" or "fp16".

    Raises:
        TypeError: a model of neither kind.
    """
    model = model.cpu().eval()
    shapes = feature_shapes(model)
    localizer: nn.Module
    form = ""
    if isinstance(model, (CosineLocalizer, MOGeo)):
        form = precision
        localizer = CosineGraph(model, tuple(shapes), one_node=precision != "fp32")
    elif isinstance(model, JointAttentionModel):
        localizer = JointGraph(model, tuple(shapes))
    else:
        raise TypeError(f"no graph is known for a {type(model).__name__}")
    side = model.options.window_px
    return (
        encoder_module(PublishedEncoder(model), tuple(shapes), (side, side)),
        localizer_module(localizer, shapes, model.options.frame_hw_px, form),
    )


def feature_shapes(model: CrossViewModel) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what is stored of one window, from shapes alone."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    side = model.options.window_px
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        features = stored_features(model, torch.zeros(1, 3, side, side))
    return {name: tuple(tensor.shape[1:]) for name, tensor in features.items()}


def stored_features(model: CrossViewModel, image: Tensor) -> dict[str, Tensor]:
    """As `encode_reference`, the head folded: v and u first where the model has a cosine."""
    features = model.encode_reference(image)
    if isinstance(model, CosineLocalizer) and "u" not in features:
        features["u"] = model.fcn_out.fold(features["v"])
    elif isinstance(model, MOGeo) and "u" not in features:
        features["u"] = model.fold(features.pop("reference", features["v"]))
    order = [n for n in FOLDED if n in features] + [n for n in features if n not in FOLDED]
    return {name: features[name] for name in order}


class PublishedEncoder(nn.Module):
    """image uint8 [H, W, 3] -> the stored features, float16."""

    def __init__(self, model: CrossViewModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Encode one window; float16 is what is stored, so cached and fresh features are equal."""
        features = stored_features(self.model, planes(image))
        return tuple(tensor[0].half() for tensor in features.values())


class CosineGraph(nn.Module):
    """Query vectors by the model, all that follows by TileAttention."""

    def __init__(
        self, model: CosineLocalizer | MOGeo, features: tuple[str, ...], one_node: bool
    ) -> None:
        super().__init__()
        self.model = model
        self.features = features
        self.one_node = one_node
        head = mogeo_head(model) if isinstance(model, MOGeo) else published_head(model)
        self.tile_attention = TileAttention(*head)

    def forward(
        self, frame: Tensor, frame_affine: Tensor, click_xy_px: Tensor, *rest: Tensor
    ) -> tuple[Tensor, ...]:
        """Shapes and units as in `graph_signature`."""
        *features, prior_xy_px, prior_inv_var = rest
        named = dict(zip(self.features, features, strict=True))
        v, u = named.pop("v"), named.pop("u")
        boxed = in_frame(click_xy_px, frame_affine)
        query = self.query_vectors(planes(frame), boxed, named)
        tile, prior = self.tile_attention, (prior_xy_px, prior_inv_var)
        if self.one_node:
            return (*tile(query.half(), v, u, *prior), query)
        head = tile.channels, tile.confidence, tile.boxes, tile.anchors
        return (*evaluate(query, v, u, *head, *prior, tile.settings), query)

    def query_vectors(self, frame: Tensor, boxed: Tensor, extra: dict[str, Tensor]) -> Tensor:
        """[N, 512] of any length. frame [1, 3, h, w], boxed [N, 2] pixels of it."""
        if isinstance(self.model, MOGeo):
            return self.model.query_vectors(frame, boxed, torch.zeros_like(boxed[:, 0]).long())
        n = boxed.shape[0]
        shared = {name: _per_click(tensor.float(), n) for name, tensor in extra.items()}
        return self.model.query_vectors(_per_click(frame[0], n), boxed, shared)


class JointGraph(nn.Module):
    """The model's head maps, the prior, and the winner's box.

    `confidence` and `offsets` change nothing: they are where these two values can be tapped.
    """

    def __init__(self, model: JointAttentionModel, features: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.features = features
        self.confidence = nn.Identity()
        self.offsets = nn.Identity()

    def forward(
        self, frame: Tensor, frame_affine: Tensor, click_xy_px: Tensor, *rest: Tensor
    ) -> tuple[Tensor, ...]:
        """Shapes and units as in `graph_signature`."""
        *features, prior_xy_px, prior_inv_var = rest
        model, n = self.model, click_xy_px.shape[0]
        boxed = in_frame(click_xy_px, frame_affine)
        query = model.encode_query(_per_click(planes(frame)[0], n), boxed)
        stored = zip(self.features, features, strict=True)
        maps = model.fuse(query, {name: _per_click(tensor.float(), n) for name, tensor in stored})

        boxes = maps.boxes  # [N, A, 5, Hg, Wg]
        anchors, _, height, width = boxes.shape[1:]
        stride_px = model.options.stride_px
        prior = log_prior(prior_xy_px, prior_inv_var, (height, width), stride_px)
        won = winners(self.confidence(boxes[:, :, 4]) + prior.unsqueeze(1))
        cell = (won.row * width + won.column).unsqueeze(1)  # [N, 1]
        at_cell = boxes.flatten(3).gather(3, cell[:, None, None].expand(n, anchors, 5, 1))
        chosen = won.anchor[:, None, None, None].expand(n, 1, 5, 1)
        offsets = self.offsets(at_cell.gather(1, chosen)[:, 0, :4, 0])  # [N, 4]
        box = decode(offsets, won, model.anchors_wh_px, stride_px)
        peak, second = peaks(maps.similarity, model.lowest_similarity)
        at_winner = maps.similarity.flatten(1).gather(1, cell).squeeze(1)
        vector = query.mean((2, 3))  # [N, C]
        return box, won.confidence_logit, peak, second, at_winner, maps.attention, vector


def _per_click(tensor: Tensor, clicks: int) -> Tensor:
    """What all clicks share, [...], seen as [N, ...]."""
    return tensor.unsqueeze(0).expand(clicks, *tensor.shape)
