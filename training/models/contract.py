"""What every published model takes and gives: clicks, head maps, localizations.

The reference branch never sees the query, so each model splits into `encode_reference`, cached once
per window, and `localize`, run per frame. `forward` is the published model for training. The two
ways agree: bit for bit in float32, or below 1e-6 on the head maps where a head is folded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from training.models.bounds import check_anchors

# Anchors (width, height) in pixels of a 1024 px window, in the order that the official code uses
# them: the published list reversed, largest first. Official weights need this order.
CVOGL_ANCHORS_WH_PX = (
    (550.0, 573.0),
    (395.0, 342.0),
    (246.0, 280.0),
    (198.0, 179.0),
    (194.0, 82.0),
    (129.0, 129.0),
    (96.0, 215.0),
    (78.0, 84.0),
    (37.0, 41.0),
)


DEEPEST_STRIDE_PX = 32  # of every backbone: a side that it does not divide would be cut


@dataclass(frozen=True, slots=True)
class CrossViewOptions:
    """What all published models share; each model's options class extends it.

    Raises:
        ValueError: no anchors or one without a size, or sides that the strides do not divide.
    """

    frame_step_px: ClassVar[int] = DEEPEST_STRIDE_PX  # what a frame's sides are multiples of

    anchors_wh_px: tuple[tuple[float, float], ...] = CVOGL_ANCHORS_WH_PX
    stride_px: int = 16  # window pixels per cell of the detection grid
    window_px: int = 1024  # side of the square reference window
    frame_hw_px: tuple[int, int] = (256, 256)  # (256, 512) for ground panoramas (CVOGL_SVI)

    def __post_init__(self) -> None:
        check_anchors(self.anchors_wh_px)
        if self.window_px <= 0 or self.window_px % DEEPEST_STRIDE_PX:
            raise ValueError(
                f"window_px is a positive multiple of {DEEPEST_STRIDE_PX}, got {self.window_px}"
            )
        if any(side <= 0 or side % self.frame_step_px for side in self.frame_hw_px):
            raise ValueError(
                "frame_hw_px is height and width, positive multiples of "
                f"{self.frame_step_px}, got {self.frame_hw_px}"
            )


@dataclass(frozen=True, slots=True)
class Clicks:
    """M clicks of a batch of B pairs."""

    xy_px: Tensor  # [M, 2] float32, pixels of the frame
    frame: Tensor  # [M] int64, index of each click's frame in the batch
    window: Tensor  # [M] int64, index of the window it is looked for in


@dataclass(frozen=True, slots=True)
class HeadMaps:
    """What the losses need, for M clicks; A anchors, detection grid Hg x Wg."""

    boxes: Tensor  # [M, A, 5, Hg, Wg] tx, ty, tw, th, confidence logit
    similarity: Tensor  # [M, H', W'] raw cosine; without one, the confidence's max over anchors
    attention: Tensor  # [M, H', W'] what gates the reference
    mask_logit: Tensor | None = None  # [M, H, W] TROGeo only


@dataclass(frozen=True, slots=True)
class Localizations:
    """What a model answers for N clicks of one frame in one window.

    The meanings are those of the bundle's outputs (`edge.types.Localizations`).
    """

    box_xyxy_px: Tensor  # [N, 4] window pixels
    confidence_logit: Tensor  # [N]
    peak_similarity: Tensor  # [N] raw, before any min-max
    second_peak_similarity: Tensor  # [N]
    attention: Tensor  # [N, H', W']


class CrossViewModel(nn.Module, ABC):
    """Base of the published models.

    Images are RGB 0..255 float32; each model scales them itself. Side lengths are those of its
    options, or any multiple of its largest stride.
    """

    name: ClassVar[str]
    options: CrossViewOptions

    @abstractmethod
    def forward(self, frame: Tensor, window: Tensor, clicks: Clicks) -> HeadMaps:
        """The published model, for training.

        Args:
            frame: [B, 3, h, w] RGB 0..255 float32.
            window: [B, 3, H, W] RGB 0..255 float32.
            clicks: M clicks in the B pairs.
        """

    @abstractmethod
    def encode_reference(self, image: Tensor) -> dict[str, Tensor]:
        """All that can be cached of windows: [B, 3, H, W] RGB 0..255 -> named [B, ...] tensors."""

    @abstractmethod
    def localize(
        self, frame: Tensor, click_xy_px: Tensor, features: dict[str, Tensor]
    ) -> Localizations:
        """One box per click of one frame in one window.

        Args:
            frame: [3, h, w] RGB 0..255 float32.
            click_xy_px: [N, 2] float32, pixels of the frame.
            features: of one window, as `encode_reference` gives them, without the batch dimension.
        """
