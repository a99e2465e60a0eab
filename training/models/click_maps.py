"""Click maps: how a click is drawn as one more channel of the query image.

With d the distance in pixels of a pixel to the click and D the image's diagonal sqrt(h^2 + w^2):

    squared-distance   (1 - d / D)^2                         DetGeo (TGRS 2023), section III-B
    gaussian           exp(-d^2 / (2 sigma^2))               OCGNet's Gaussian Kernel Transfer
    laplacian          exp(-d / sigma) / (2 sigma)           VAGeo (arXiv 2501.07194), ground view
    rings              a weight per concentric square ring   VAGeo, drone view
    hybrid             h [d < 1 px] + (1 - h) exp(-d^2 / (2 sigma^2))        ours

Every sigma is a fraction of D, so that one value means the same at every image size; the factor of
the Laplacian is 1 / (2 fraction), its distances being counted in diagonals. OCGNet's sigma differs
between its paper, its loader and its weights (0.05 to 0.15), and its paper calls a learnt one an
open question: it is an option, stored with every checkpoint. VAGeo states neither its sigma nor its
rings: the defaults are ours. The hybrid keeps the exact pixel that MOGeo's impulse encodes and adds
a narrow slope around it, so that a click a few pixels off still changes little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from enum import Enum

import torch
from torch import Tensor, nn

from training.models.bounds import finite
from training.models.choice import chosen
from training.models.contract import CrossViewOptions


class ClickEncoding(str, Enum):
    """The known click maps; see the module's text."""

    SQUARED_DISTANCE = "squared-distance"
    GAUSSIAN = "gaussian"
    LAPLACIAN = "laplacian"
    RINGS = "rings"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class ClickMapOptions(CrossViewOptions):
    """Options of every model that draws its clicks into the image.

    Raises:
        ValueError: an unknown encoding (names the nearest), a sigma that is not positive, or one to
            be learnt where there is none, a hardness that is no share, or rings that do not grow or
            match their weights.
    """

    click_encoding: str = ClickEncoding.SQUARED_DISTANCE.value
    truncate_clicks: bool = True  # to whole pixels, as published
    sigma: float = 0.1  # of gaussian and laplacian, fraction of the diagonal
    hybrid_sigma: float = 0.02  # of hybrid, fraction of the diagonal: 7 px of a 256 px square
    hybrid_hardness: float = 0.5  # h, share of the impulse
    learnable_sigma: bool = False  # of whichever of the two sigmas is used
    ring_half_sides_px: tuple[float, ...] = (16.0, 32.0, 48.0, 64.0)
    ring_weights: tuple[float, ...] = (1.0, 0.75, 0.5, 0.25)  # inside to outside; beyond: 0

    def __post_init__(self) -> None:
        CrossViewOptions.__post_init__(self)
        _check(self)

    def changed_click_map(self) -> list[str]:
        """Options of the click map that are not what the class begins with, by name."""
        shared = {field.name for field in fields(CrossViewOptions)}
        own = {field.name for field in fields(ClickMapOptions)} - shared
        return [
            field.name
            for field in fields(self)
            if field.name in own and getattr(self, field.name) != field.default
        ]


class ClickMap(nn.Module):
    """Draws M clicks, one map each; no parameters unless sigma is learnt (`log_sigma`)."""

    def __init__(self, options: ClickMapOptions) -> None:
        super().__init__()
        self.options = options
        self.encoding = chosen("click_encoding", ClickEncoding, options.click_encoding)
        hybrid = self.encoding is ClickEncoding.HYBRID
        self.fixed_sigma = options.hybrid_sigma if hybrid else options.sigma
        self.log_sigma: nn.Parameter | None = None
        if options.learnable_sigma:
            self.log_sigma = nn.Parameter(torch.tensor(math.log(self.fixed_sigma)))

    @property
    def sigma(self) -> Tensor | float:
        """Sigma as a fraction of the diagonal: a number, or a tensor where it is learnt."""
        return self.fixed_sigma if self.log_sigma is None else self.log_sigma.exp()

    def forward(self, click_xy_px: Tensor, image_hw_px: tuple[int, int]) -> Tensor:
        """Draw clicks.

        Args:
            click_xy_px: [M, 2] float32, pixels of the image.
            image_hw_px: height and width of the image.

        Returns:
            [M, 1, h, w] float32.
        """
        height, width = image_hw_px
        xy = click_xy_px.trunc() if self.options.truncate_clicks else click_xy_px
        columns = torch.arange(width, device=xy.device, dtype=xy.dtype)
        rows = torch.arange(height, device=xy.device, dtype=xy.dtype)
        dx = (columns - xy[:, :1]).unsqueeze(1)  # [M, 1, w]
        dy = (rows - xy[:, 1:]).unsqueeze(2)  # [M, h, 1]
        drawn = self._draw(dx, dy, math.hypot(height, width))  # [M, h, w]
        return drawn.unsqueeze(1)

    def _draw(self, dx: Tensor, dy: Tensor, diagonal_px: float) -> Tensor:
        if self.encoding is ClickEncoding.RINGS:
            return self._rings(torch.maximum(dx.abs(), dy.abs()))
        square = dx.square() + dy.square()  # [M, h, w] px^2
        if self.encoding is ClickEncoding.SQUARED_DISTANCE:
            return (1 - square.sqrt() / diagonal_px).square()
        sigma_px = self.sigma * diagonal_px
        if self.encoding is ClickEncoding.LAPLACIAN:
            return torch.exp(-square.sqrt() / sigma_px) / (2 * self.sigma)
        bell = torch.exp(-square / (2 * sigma_px**2))
        if self.encoding is ClickEncoding.GAUSSIAN:
            return bell
        hardness = self.options.hybrid_hardness
        return hardness * (square < 1).to(bell.dtype) + (1 - hardness) * bell

    def _rings(self, distance: Tensor) -> Tensor:
        """Weight of the innermost square that a pixel lies in. distance [M, h, w], Chebyshev."""
        drawn = torch.zeros_like(distance)
        rings = zip(self.options.ring_half_sides_px, self.options.ring_weights, strict=True)
        for half_side, weight in reversed(list(rings)):
            drawn = torch.where(distance <= half_side, weight, drawn)
        return drawn


def _check(options: ClickMapOptions) -> None:
    chosen("click_encoding", ClickEncoding, options.click_encoding)
    sigmas = options.sigma, options.hybrid_sigma
    if not finite(sigmas) or min(sigmas) <= 0:
        raise ValueError(
            f"sigma is a positive fraction of the diagonal, got {options.sigma} and "
            f"hybrid_sigma {options.hybrid_sigma}"
        )
    without = (ClickEncoding.SQUARED_DISTANCE.value, ClickEncoding.RINGS.value)
    if options.learnable_sigma and options.click_encoding in without:
        raise ValueError(f"click_encoding {options.click_encoding} has no sigma to learn")
    if not 0 <= options.hybrid_hardness <= 1:
        raise ValueError(f"hybrid_hardness is a share, 0 to 1, got {options.hybrid_hardness}")
    sides, weights = options.ring_half_sides_px, options.ring_weights
    if not sides or len(sides) != len(weights) or list(sides) != sorted(sides):
        raise ValueError(
            f"ring_half_sides_px grow and match ring_weights in number, got {sides} and {weights}"
        )
    if not finite((*sides, *weights)) or sides[0] <= 0:
        raise ValueError(
            f"ring_half_sides_px are positive, and ring_weights finite, got {sides} and {weights}"
        )
