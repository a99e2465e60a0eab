"""MOPE, the multi-object position encoding of MOGeo (arXiv 2603.13843, section 3.2).

    p = floor(click / 16)                     the click's cell, clamped to the map
    E = [cell = p]                            one-hot mask at the resolution of the features F
    q = sum over cells of E * CBL_1x1([F | E])

The paper pools E * CBL without saying how. A sum and a mean are one direction, so one answer; a
maximum (`Pooling.MAX`) is another, as every channel is at least the 0 of the other cells.

E is zero beyond one cell, so q is one column of the map: `at_clicks` reads it, and N clicks share
one pass of the backbone. In training the batch norm needs the statistics of the whole map of every
click: `whole_maps`. With running statistics both agree.

Our answer to the model's sensitivity to click noise is a hybrid, soft-hard mask (`neighbourhood`):

    E = h [cell = p] + (1 - h) exp(-d^2 / (2 sigma^2))    on the cells within `reach_cells` of p

with d the pixels from the click itself to a cell's centre, so that a click beside a border reads
both sides. h = 1 is MOPE. h and sigma are fixed or learnt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor, nn

from training.models.bounds import finite
from training.models.conv_block import PUBLISHED_BN_MOMENTUM, ConvBlock


class Neighbourhood(str, Enum):
    """Which cells around the click's own are read."""

    OFF = "off"  # none: MOPE as published
    FIXED = "fixed"  # the hybrid mask
    LEARNABLE = "learnable"  # the hybrid mask, with h and sigma as parameters


class Pooling(str, Enum):
    """How the masked map of a click becomes its vector."""

    SUM = "sum"  # or a mean: cosines see no difference
    MAX = "max"


@dataclass(frozen=True, slots=True)
class Impulse:
    """The mask E; the last three fields mean nothing while `neighbourhood` is off."""

    neighbourhood: Neighbourhood = Neighbourhood.OFF
    hardness: float = 0.5  # h
    sigma_px: float = 8.0
    reach_cells: int = 1


class Mope(nn.Module):
    """Query vectors of clicks from the features of their frames.

    Args:
        c_in: channels of the features.
        c_out: channels of the query vectors.
        stride_px: frame pixels per cell.
        impulse: the mask.
        bn_momentum: of the block's running statistics.
        pooling: of the masked map.

    Raises:
        ValueError: a hardness outside 0..1, or a sigma or reach that is not positive.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int = 512,
        stride_px: int = 16,
        impulse: Impulse | None = None,
        bn_momentum: float = PUBLISHED_BN_MOMENTUM,
        pooling: Pooling = Pooling.SUM,
    ) -> None:
        super().__init__()
        self.stride_px = stride_px
        self.pooling = pooling
        self.impulse = m = impulse or Impulse()
        self.block = ConvBlock(c_in + 1, c_out, bn_momentum=bn_momentum)
        self.soft = m.neighbourhood is not Neighbourhood.OFF
        sizes = m.sigma_px, m.reach_cells
        if self.soft and not (0 < m.hardness < 1 and finite(sizes) and min(sizes) > 0):
            raise ValueError(
                "hardness lies between 0 and 1, sigma_px and reach_cells are positive, got "
                f"{m.hardness}, {m.sigma_px} and {m.reach_cells}"
            )
        self.hardness_logit: nn.Parameter | None = None
        self.log_sigma_px: nn.Parameter | None = None
        if m.neighbourhood is Neighbourhood.LEARNABLE:
            logit = math.log(m.hardness / (1 - m.hardness))
            self.hardness_logit = nn.Parameter(torch.tensor(logit))
            self.log_sigma_px = nn.Parameter(torch.tensor(math.log(m.sigma_px)))

    def forward(self, features: Tensor, click_xy_px: Tensor, frame: Tensor) -> Tensor:
        """Query vectors: from whole maps in training, by `at_clicks` otherwise.

        Args:
            features: [B, c_in, h, w].
            click_xy_px: [M, 2] pixels of the frames.
            frame: [M] int64, which of the B frames.

        Returns:
            [M, c_out], any length.
        """
        read = self.whole_maps if self.training else self.at_clicks
        return read(features, click_xy_px, frame)

    def whole_maps(self, features: Tensor, click_xy_px: Tensor, frame: Tensor) -> Tensor:
        """The equations as written; arguments as of `forward`."""
        height, width = features.shape[2:]
        column = torch.arange(width, device=features.device).expand(height, width)
        row = torch.arange(height, device=features.device).unsqueeze(1).expand(height, width)
        cells = torch.stack([column, row], 2).reshape(1, -1, 2)  # [1, h w, 2]
        mask = self.mask(cells, click_xy_px, (height, width)).reshape(-1, 1, height, width)
        masked = self.block(torch.cat([features[frame], mask], 1)) * mask  # [M, c_out, h, w]
        return masked.amax((2, 3)) if self.pooling is Pooling.MAX else masked.sum((2, 3))

    def at_clicks(self, features: Tensor, click_xy_px: Tensor, frame: Tensor) -> Tensor:
        """The same from the cells that the mask does not erase; arguments as of `forward`."""
        height, width = features.shape[2:]
        reach = self.impulse.reach_cells if self.soft else 0
        steps = torch.arange(-reach, reach + 1, device=features.device)
        offset = torch.cartesian_prod(steps, steps).reshape(-1, 2)  # [K, 2]
        cells = self.cell(click_xy_px, (height, width)).unsqueeze(1) + offset  # [M, K, 2]
        mask = self.mask(cells, click_xy_px, (height, width))  # [M, K]
        column, row = cells[..., 0].clamp(0, width - 1), cells[..., 1].clamp(0, height - 1)
        read = features[frame.unsqueeze(1), :, row, column]  # [M, K, c_in]
        columns = torch.cat([read, mask.unsqueeze(2)], 2).flatten(0, 1)  # [M K, c_in + 1]
        mapped = self.block(columns[:, :, None, None]).reshape(*mask.shape, -1)  # [M, K, c_out]
        masked = mapped * mask.unsqueeze(2)
        if self.pooling is Pooling.SUM:
            return masked.sum(1)
        inside = _inside(cells, (height, width)).expand(mask.shape)  # [M, K]
        highest = masked.masked_fill(~inside.unsqueeze(2), -torch.inf).amax(1)  # [M, c_out]
        # the cells that were not read are 0, where there are any
        beyond = (inside.sum(1) < height * width).unsqueeze(1)
        return torch.where(beyond, highest.clamp_min(0), highest)

    def cell(self, click_xy_px: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        """p of the equations, (column, row): [M, 2] pixels -> [M, 2] int64."""
        height, width = grid_hw
        cell = (click_xy_px / self.stride_px).floor().long()
        return torch.stack([cell[:, 0].clamp(0, width - 1), cell[:, 1].clamp(0, height - 1)], 1)

    def mask(self, cells: Tensor, click_xy_px: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        """E at some cells.

        Args:
            cells: [M or 1, K, 2] int64 (column, row); 0 outside the map.
            click_xy_px: [M, 2] pixels.
            grid_hw: rows and columns of the map.

        Returns:
            [M, K] float.
        """
        apart = (cells - self.cell(click_xy_px, grid_hw).unsqueeze(1)).abs().amax(2)  # [M, K]
        hard = (apart == 0).to(click_xy_px.dtype)
        if not self.soft:
            return hard
        hardness: Tensor | float = self.impulse.hardness
        sigma_px: Tensor | float = self.impulse.sigma_px
        if self.hardness_logit is not None and self.log_sigma_px is not None:
            hardness, sigma_px = self.hardness_logit.sigmoid(), self.log_sigma_px.exp()
        away_px = (cells + 0.5) * self.stride_px - click_xy_px.unsqueeze(1)  # [M, K, 2]
        bell = torch.exp(-away_px.square().sum(2) / (2 * sigma_px**2))
        near = _inside(cells, grid_hw) & (apart <= self.impulse.reach_cells)
        return (hardness * hard + (1 - hardness) * bell) * near


def _inside(cells: Tensor, grid_hw: tuple[int, int]) -> Tensor:
    """Which cells lie on the map. [M, K, 2] (column, row) -> [M, K] bool."""
    height, width = grid_hw
    return (cells >= 0).all(2) & (cells[..., 0] < width) & (cells[..., 1] < height)
