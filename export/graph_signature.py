"""What the two graphs of a bundle take and give, whatever the model and its precision.

The contract is in `edge.executors.base`: images enter as uint8 [H, W, 3] RGB, clicks as pixels of
the original frame with the affine of the letterbox, boxes leave as pixels of the window. The
number of clicks is dynamic; all else is fixed, so that a TensorRT profile has one free dimension.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edge.bundle import ENCODER, LOCALIZER

OPSET = 18
CLICKS = "clicks"  # name of the dynamic dimension
MOST_CLICKS = 256
BEFORE_FEATURES = ("frame", "frame_affine", "click_xy_px")
PRIOR = ("prior_xy_px", "prior_inv_var")
LOCALIZER_OUTPUTS = (
    "box_xyxy_px",
    "confidence_logit",
    "peak_similarity",
    "second_peak_similarity",
    "cell_similarity",
    "attention",
    "query_vector",
)


@dataclass(frozen=True, slots=True)
class GraphModule:
    """A graph before it is one: a torch module with the names and examples of what it takes."""

    kind: str  # "reference_encoder" or "localizer"
    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    example: tuple[Tensor, ...]
    form: str = ""  # which of a model's modules of this kind; of one form, all are the same

    def dynamic_shapes(self) -> tuple[Any, ...] | None:
        """What `torch.export` shall keep dynamic: the number of clicks, where there are any."""
        if self.kind == ENCODER:
            return None
        count = torch.export.Dim(CLICKS, min=1, max=MOST_CLICKS)
        per_click = ("click_xy_px", *PRIOR)
        return tuple({0: count} if name in per_click else None for name in self.inputs)


def encoder_module(
    module: nn.Module, features: tuple[str, ...], window_hw_px: tuple[int, int], form: str = ""
) -> GraphModule:
    """image uint8 [H, W, 3] -> the named features, float16.

    Args:
        module: takes the image, answers with the features in their order.
        features: their names.
        window_hw_px: rows and columns of the window.
        form: see `GraphModule`.
    """
    image = torch.zeros(*window_hw_px, 3, dtype=torch.uint8)
    return GraphModule(ENCODER, module.eval(), ("image",), features, (image,), form)


def localizer_module(
    module: nn.Module,
    features: Mapping[str, tuple[int, ...]],
    frame_hw_px: tuple[int, int],
    form: str = "",
) -> GraphModule:
    """The frame, its clicks, a window's features and priors -> one box per click.

    Args:
        module: takes the inputs in their order, answers with `LOCALIZER_OUTPUTS`.
        features: names and shapes of the window's tensors.
        frame_hw_px: rows and columns of the letterboxed frame.
        form: see `GraphModule`.
    """
    example = (
        torch.zeros(*frame_hw_px, 3, dtype=torch.uint8),
        torch.eye(2, 3),
        torch.full((3, 2), 100.0),
        *(torch.zeros(shape, dtype=torch.float16) for shape in features.values()),
        torch.zeros(3, 2),
        torch.zeros(3),
    )
    names = (*BEFORE_FEATURES, *features, *PRIOR)
    return GraphModule(LOCALIZER, module.eval(), names, LOCALIZER_OUTPUTS, example, form)


def planes(image: Tensor) -> Tensor:
    """[H, W, 3] uint8 -> [1, 3, H, W] float32, 0..255.

    The cast comes first: TensorRT takes bytes as an input, and casts them, but moves none.
    """
    return image.float().permute(2, 0, 1).unsqueeze(0)


def in_frame(click_xy_px: Tensor, frame_affine: Tensor) -> Tensor:
    """Clicks [N, 2] of the original frame as pixels of the letterboxed one; affine [2, 3].

    Written out: a matrix product is what a mixed precision takes for a linear layer.
    """
    x, y = click_xy_px[:, :1], click_xy_px[:, 1:]
    return x * frame_affine[:, 0] + y * frame_affine[:, 1] + frame_affine[:, 2]
