"""`lite` in the layers of `arranged_layers`: both branches and the gather at the clicks.

The answers are the model's own but for rounding; it serves inference alone, one size of frames and
one of windows at a time being kept in its buffers. It is the form of `lite` that the benchmarks
time on a GPU without TensorRT (`benchmarks.gpu.model_trial`); nothing is exported from it.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.arranged_layers import Inverted, Pointwise, Stem
from training.models import efficientnet_lite
from training.models.click_gather import ClickGather, unit
from training.models.efficientnet_lite import EfficientNetLite0
from training.models.folded_norms import absorb_batch_norms
from training.models.lite import Lite
from training.models.necks import ContextNeck

Maps = dict[int, Tensor]  # stride -> [B, H / stride, W / stride, C]


class ArrangedBackbone(nn.Module):
    """EfficientNet-Lite0, its norms absorbed; features less what waits in `waiting_at`."""

    def __init__(self, backbone: EfficientNetLite0, stride_of_block: dict[int, int]) -> None:
        super().__init__()
        stem = backbone._conv_stem
        self.stride_of_block = stride_of_block
        self.stem = Stem(stem, border_of(stem) or (0, 0))
        self.waiting_at: dict[int, Tensor] = {}  # [C]
        self.blocks = nn.ModuleList()
        waiting = stem.weight.new_zeros(stem.out_channels)
        for index, block in enumerate(backbone._blocks):
            depthwise = block._depthwise_conv
            made = Inverted(
                block._expand_conv if block.expands else None,
                depthwise,
                block._project_conv,
                waiting,
                block.adds,
                border_of(depthwise),
            )
            self.blocks.append(made)
            waiting = made.waiting
            if index in stride_of_block:
                self.waiting_at[stride_of_block[index]] = waiting

    def forward(self, image: Tensor, deepest_stride: int) -> Maps:
        """[B, 3, H, W] RGB 0..255 -> features down to `deepest_stride`."""
        x = self.stem(image)
        features: Maps = {}
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.stride_of_block:
                features[self.stride_of_block[index]] = x
                if self.stride_of_block[index] >= deepest_stride:
                    break
        return features


class ArrangedNeck(nn.Module):
    """A neck at stride 8, which no feature is finer than."""

    def __init__(self, neck: ContextNeck, waiting_at: dict[int, Tensor]) -> None:
        super().__init__()
        self.strides, self.stride_px = neck.strides, neck.stride_px
        if min(self.strides) < self.stride_px:
            raise ValueError(f"a feature at stride {min(self.strides)} is finer than the result")
        waiting = torch.cat([waiting_at[stride] for stride in self.strides])
        self.reduce = Pointwise(neck.reduce, waiting)
        self.blocks = nn.Sequential()
        waiting = torch.zeros_like(self.reduce.bias)
        for block in neck.blocks:
            made = Inverted(block.expand, block.depthwise, block.project, waiting, True)
            self.blocks.append(made)
            waiting = made.waiting
        self.waiting = waiting

    def forward(self, features: Maps) -> Tensor:
        """-> [B, H / 8, W / 8, width], less what waits."""
        parts = []
        for stride in self.strides:
            x = features[stride].permute(0, 3, 1, 2)
            if stride > self.stride_px:
                times = float(stride // self.stride_px)
                x = functional.interpolate(x, scale_factor=times, mode="nearest")
            parts.append(x)
        x = self.reduce(torch.cat(parts, 1).permute(0, 2, 3, 1))
        mixed: Tensor = self.blocks(functional.relu6(x, inplace=True))
        return mixed


class ArrangedGather(nn.Module):
    """`ClickGather` by torch's grid_sample, in float32.

    Args:
        gather: of the model.
        frame_px: side of the frame.
    """

    scale: Tensor
    offset: Tensor
    weights: Tensor

    def __init__(self, gather: ClickGather, frame_px: int) -> None:
        super().__init__()
        reach = gather.reach_cells
        offset_cells = gather.offset_cells if reach else torch.zeros(1, 2)
        weights = gather.place_logit.detach().softmax(0) if reach else torch.ones(1)
        # grid_sample's -1..1 are the frame's two edges
        self.scale_of_px = 2 / frame_px
        self.register_buffer("offset", 2 * gather.stride_px / frame_px * offset_cells - 1)
        self.register_buffer("weights", weights)

    def forward(self, maps: Tensor, click_xy_px: Tensor) -> Tensor:
        """One map [1, h, w, D] and clicks [N, 2] -> [N, D] of unit length, float32 at least."""
        grid = torch.add(self.offset, click_xy_px.unsqueeze(1), alpha=self.scale_of_px)
        wide = maps.permute(0, 3, 1, 2).to(grid.dtype)
        read = functional.grid_sample(wide, grid.unsqueeze(0), "bilinear", "border", False)
        mixed = read[0] @ self.weights  # [D, N, K] -> [D, N]
        return functional.normalize(mixed, dim=0, eps=1e-6).t()


class ArrangedLite(nn.Module):
    """A `lite`'s two branches and its gather, called as the model's own.

    Args:
        model: in evaluation mode, in float32 or wider; stays as it is.

    Raises:
        ValueError: a `lite` with another backbone or stride than the default, or for frames that
            are no squares.
    """

    def __init__(self, model: Lite) -> None:
        super().__init__()
        o = model.options
        if not isinstance(model.backbone, EfficientNetLite0) or o.stride_px != min(
            efficientnet_lite.LAST_BLOCK.values()
        ):
            raise ValueError(f"no arrangement for {o.backbone} at stride {o.stride_px}")
        if o.frame_hw_px != (o.frame_px, o.frame_px):
            raise ValueError(f"no arrangement for frames that are no squares, {o.frame_hw_px}")
        folded = copy.deepcopy(model)
        absorb_batch_norms(folded)
        with torch.no_grad():
            self.backbone = ArrangedBackbone(folded.backbone, dict(efficientnet_lite.LAST_BLOCK))
            at = self.backbone.waiting_at
            self.reference_neck = ArrangedNeck(folded.reference_neck, at)
            self.query_neck = ArrangedNeck(folded.query_neck, at)
            after = self.reference_neck.waiting
            self.reference_embedding = Pointwise(folded.reference_embedding, after)
            self.reference_hidden = Pointwise(folded.reference_hidden, after)
            self.query_embedding = Pointwise(folded.query_embedding, self.query_neck.waiting)
            self.at_clicks = ArrangedGather(folded.gather, o.frame_px)

    def encode_reference(self, image: Tensor) -> dict[str, Tensor]:
        """See `Lite.encode_reference`; channels vary fastest in memory."""
        x = self.reference_neck(self.backbone(image, max(self.reference_neck.strides)))
        v = unit(self.reference_embedding(x), 3)
        return {k: t.permute(0, 3, 1, 2) for k, t in (("v", v), ("u", self.reference_hidden(x)))}

    def encode_query(self, frame: Tensor) -> Tensor:
        """See `Lite.encode_query`; channels vary fastest in memory."""
        x = self.query_neck(self.backbone(frame, max(self.query_neck.strides)))
        embedded: Tensor = self.query_embedding(x)
        return embedded.permute(0, 3, 1, 2)

    def gather(self, maps: Tensor, click_xy_px: Tensor, map_of_click: Tensor) -> Tensor:
        """See `ClickGather.forward`, for one map."""
        del map_of_click
        read: Tensor = self.at_clicks(maps.permute(0, 2, 3, 1), click_xy_px)
        return read

    def _apply(self, convert: Any, recurse: bool = True) -> ArrangedLite:
        """Another type or device for all, but the gather stays in float32 at least."""
        kept = {name: t.clone() for name, t in self.at_clicks.named_buffers()}
        super()._apply(convert, recurse)
        for name, narrow in self.at_clicks.named_buffers():
            wide = torch.promote_types(narrow.dtype, torch.float32)
            setattr(self.at_clicks, name, kept[name].to(narrow.device, wide))
        return self


def border_of(convolution: Any) -> tuple[int, int] | None:
    """Zeros before and after each row and column that a `SameConv` is given by itself."""
    pad: tuple[int, int, int, int] | None = convolution.same_pad
    return None if pad is None else pad[:2]
