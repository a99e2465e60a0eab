"""One query vector per click, read from the frame's feature map.

MOGeo's impulse encoding (arXiv 2603.13843, section 3.2) multiplies the map by a one-hot mask and
pools: that is a gather. A click is never exact, so the gather may reach further than its own cell:
`reach_cells` = r mixes the (2 r + 1)^2 bilinear samples around the click by learned weights that
begin as the centre alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CENTRE_HEAD_START = 4.0  # logit of the centre over each neighbour: 87 % of the weight when r = 1


def unit(x: Tensor, dim: int) -> Tensor:
    """L2-normalise along `dim`; a zero vector stays zero instead of becoming NaN."""
    return x * torch.rsqrt((x * x).sum(dim, keepdim=True).clamp_min(1e-12))


class ClickGather(nn.Module):
    """Bilinear samples of a feature map at clicks, of unit length.

    Args:
        stride_px: frame pixels per cell.
        reach_cells: 0 reads the click's place alone; r > 0 adds 4 r (r + 1) places one cell apart.
    """

    def __init__(self, stride_px: int, reach_cells: int = 0) -> None:
        super().__init__()
        self.stride_px = stride_px
        self.reach_cells = reach_cells
        if reach_cells:
            steps = torch.arange(-reach_cells, reach_cells + 1, dtype=torch.float32)
            offsets = torch.cartesian_prod(steps, steps)  # [K, 2]
            self.register_buffer("offset_cells", offsets, persistent=False)
            centre = (offsets == 0).all(1)
            self.place_logit = nn.Parameter(CENTRE_HEAD_START * centre.float())

    def forward(self, maps: Tensor, click_xy_px: Tensor, map_of_click: Tensor) -> Tensor:
        """Query vectors.

        Args:
            maps: [B, D, h, w].
            click_xy_px: [N, 2] pixels of the letterboxed frames.
            map_of_click: [N] which of the B maps.

        Returns:
            [N, D] of unit length.
        """
        at = click_xy_px / self.stride_px - 0.5  # cell centres lie at half-integers
        if not self.reach_cells:
            return unit(_bilinear(maps, at, map_of_click), 1)
        places = (at.unsqueeze(1) + self.offset_cells).reshape(-1, 2)
        count = len(self.offset_cells)
        read = _bilinear(maps, places, map_of_click.repeat_interleave(count))
        weights = self.place_logit.softmax(0).unsqueeze(0)  # [1, K]
        mixed = (read.reshape(-1, count, read.shape[1]) * weights.unsqueeze(2)).sum(1)
        return unit(mixed, 1)


def _bilinear(maps: Tensor, at_cells: Tensor, map_of_place: Tensor) -> Tensor:
    """maps [B, D, h, w], at_cells [N, 2] (x, y), clamped to the map -> [N, D]."""
    d, height, width = maps.shape[1:]
    x = at_cells[:, 0].clamp(0, width - 1)
    y = at_cells[:, 1].clamp(0, height - 1)
    x0 = x.floor().clamp(max=width - 2)
    y0 = y.floor().clamp(max=height - 2)
    fx, fy = (x - x0)[None], (y - y0)[None]
    corner = ((map_of_place * height + y0) * width + x0).long()
    flat = maps.transpose(0, 1).reshape(d, -1)  # [D, B h w]
    top = flat[:, corner] * (1 - fx) + flat[:, corner + 1] * fx
    low = flat[:, corner + width] * (1 - fx) + flat[:, corner + width + 1] * fx
    return (top * (1 - fy) + low * fy).t()
