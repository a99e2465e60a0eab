"""`lite` as graph modules: its encoder, and its localizer in either of two forms.

In float32 the localizer ranks the cells by a secant and evaluates a shortlist, in plain operators:
the fastest that ONNX Runtime runs. In float16 one TileAttention evaluates every cell, as the plugin
does, so that an engine has one layer between the query vectors and the boxes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from export.graph_signature import (
    LOCALIZER_OUTPUTS,
    GraphModule,
    encoder_module,
    in_frame,
    localizer_module,
    planes,
)
from export.plugin.heads import lite_head
from export.plugin.tile_attention_op import TileAttention
from training.models.lite import Lite

FEATURES = ("v", "u")


def lite_modules(model: Lite, precision: str) -> tuple[GraphModule, GraphModule]:
    """Encoder and localizer of a `lite` for `precision`, "fp32" or "fp16"."""
    o = model.options
    model = model.cpu().eval()
    cells = o.window_px // o.stride_px
    shapes = {"v": (o.embedding, cells, cells), "u": (o.hidden, cells, cells)}
    plain = precision == "fp32"
    localizer = ShortlistLocalizer(model) if plain else TileLocalizer(model)
    encoder = LiteEncoder(model, cast_first=not plain)
    return (
        encoder_module(encoder, FEATURES, (o.window_px, o.window_px), precision),
        localizer_module(localizer, shapes, o.frame_hw_px, precision),
    )


class LiteEncoder(nn.Module):
    """image uint8 [H, W, 3] -> v float16 [D, H/stride, W/stride], u float16 [C, ...]."""

    def __init__(self, model: Lite, cast_first: bool) -> None:
        super().__init__()
        self.model = model
        self.planes = planes if cast_first else _planes_of_bytes

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Encode one window; float16 is what is stored, so cached and fresh features are equal."""
        out = self.model.encode_reference(self.planes(image))
        return out["v"][0].half(), out["u"][0].half()


class ShortlistLocalizer(nn.Module):
    """The frame, its clicks and a window's tensors -> one box per click, from a shortlist."""

    def __init__(self, model: Lite) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        frame: Tensor,
        frame_affine: Tensor,
        click_xy_px: Tensor,
        v: Tensor,
        u: Tensor,
        prior_xy_px: Tensor,
        prior_inv_var: Tensor,
    ) -> tuple[Tensor, ...]:
        """Shapes and units as in `graph_signature`."""
        boxed = click_xy_px @ frame_affine[:, :2].t() + frame_affine[:, 2]
        query_map = self.model.encode_query(_planes_of_bytes(frame))[0]
        out = self.model.localize(query_map, boxed, {"v": v, "u": u}, prior_xy_px, prior_inv_var)
        return tuple(getattr(out, name) for name in LOCALIZER_OUTPUTS)


class TileLocalizer(nn.Module):
    """The same from one TileAttention; its v and u stay as they are stored."""

    def __init__(self, model: Lite) -> None:
        super().__init__()
        self.model = model
        self.tile_attention = TileAttention(*lite_head(model))

    def forward(
        self,
        frame: Tensor,
        frame_affine: Tensor,
        click_xy_px: Tensor,
        v: Tensor,
        u: Tensor,
        prior_xy_px: Tensor,
        prior_inv_var: Tensor,
    ) -> tuple[Tensor, ...]:
        """Shapes and units as in `graph_signature`."""
        boxed = in_frame(click_xy_px, frame_affine)
        query_map = self.model.encode_query(planes(frame))
        query = self.model.gather(query_map, boxed, torch.zeros_like(boxed[:, 0]))
        answers = self.tile_attention(query.half(), v, u, prior_xy_px, prior_inv_var)
        return (*answers, query)


def _planes_of_bytes(image: Tensor) -> Tensor:
    """As `planes`, the cast last: the shipped float32 graphs are so, and their hash is a name."""
    return image.permute(2, 0, 1).unsqueeze(0).float()
