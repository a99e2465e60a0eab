"""The head of a model as TileAttention takes it."""

from __future__ import annotations

import torch
from torch import Tensor

from export.plugin.tile_attention import (
    DETGEO,
    MOGEO,
    TileHead,
    TileSettings,
    lite_settings,
)
from training.models.anchor_head import FIELDS, AnchorHead
from training.models.cosine_localizer import CosineLocalizer
from training.models.folded_head import running_affine
from training.models.lite import SIZE_LOG_LIMIT, Lite
from training.models.mogeo import MOGeo

__all__ = ["lite_head", "mogeo_head", "published_head"]


def published_head(model: CosineLocalizer) -> tuple[TileHead, TileSettings]:
    """Head and variant of a DetGeo or OCGNet whose cached u is folded."""
    return _anchor_head(model.fcn_out, model.anchors_wh_px), DETGEO


def mogeo_head(model: MOGeo) -> tuple[TileHead, TileSettings]:
    """Head and variant of a MOGeo whose cached u is folded (and holds w_g)."""
    variant = DETGEO if model.options.min_max else MOGEO
    return _anchor_head(model.head, model.anchors_wh_px), variant


def lite_head(model: Lite) -> tuple[TileHead, TileSettings]:
    """Head and variant of a `lite`."""
    head, o = model.head, model.options
    count = len(o.anchors_wh_px)
    channels = torch.stack([torch.ones_like(head.b), head.w_a, head.b], 1)
    columns = [head.conf.bias.unsqueeze(1), head.tau.unsqueeze(1), head.box.bias.view(count, 4)]
    variant = lite_settings(
        float(head.alpha.detach()),
        float(head.beta.detach()),
        float(o.stride_px),
        o.click_var,
        o.centre_var,
        o.floor_var_px2,
    )
    if variant.log_size_limit != SIZE_LOG_LIMIT:
        raise ValueError(f"lite bounds log sizes by {SIZE_LOG_LIMIT}, its decoding by another")
    return _tile_head(
        channels,
        head.conf.weight,
        head.box.weight.view(count, 4, o.hidden),
        torch.cat([*columns, model.anchors_wh_px], 1),
    ), variant


def _anchor_head(head: AnchorHead, anchors_wh_px: Tensor) -> TileHead:
    scale, bias = running_affine(head.block.bn)
    last = head[1]
    weight = last.weight[:, :, 0, 0].unflatten(0, (head.anchors, FIELDS))  # [A, 5, C]
    offset = last.bias.unflatten(0, (head.anchors, FIELDS))  # [A, 5]
    anchors = torch.cat(
        [offset[:, 4:], torch.zeros_like(offset[:, :1]), offset[:, :4], anchors_wh_px], 1
    )
    channels = torch.stack([scale, torch.zeros_like(scale), bias], 1)
    return _tile_head(channels, weight[:, 4], weight[:, :4], anchors)


def _tile_head(*tensors: Tensor) -> TileHead:
    return TileHead(*(t.detach().float().cpu().contiguous().numpy() for t in tensors))
