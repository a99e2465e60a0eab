"""Two-dimensional sine positions of a grid's cells, for attention over images.

AttenGeo (arXiv 2510.27139) adds them to query and key of every attention, never to the value. Its
formula interleaves by channel mod 4, while the work it cites (DETR) concatenates halves. Unstated:
whether the first cell has index 0 or 1.
"""

from __future__ import annotations

from enum import Enum

import torch
from torch import Tensor

TEMPERATURE = 10000.0


class SineLayout(str, Enum):
    """How the channels of x and y lie; c is the channel, d their number."""

    # c = 4k + (0, 1, 2, 3): sin(x f), cos(x f), sin(y f), cos(y f), f = 10000^(-2k/d); the paper's
    INTERLEAVED = "interleaved"
    # First half y, second half x; inside one, c = 2k + (0, 1): sin, cos, f = 10000^(-4k/d); DETR's
    HALVES = "halves"


def sine_positions(
    grid_hw: tuple[int, int],
    channels: int,
    layout: SineLayout = SineLayout.INTERLEAVED,
    first_index: int = 0,
    like: Tensor | None = None,
) -> Tensor:
    """Encodings of all cells of a grid, row by row.

    Args:
        grid_hw: rows and columns.
        channels: d, a multiple of 4.
        layout: order of the channels.
        first_index: index of the first row and column, 0 or 1.
        like: a tensor whose device and dtype the answer takes; float32 on the CPU without one.

    Returns:
        [rows * columns, d].

    Raises:
        ValueError: `channels` is not a multiple of 4.
    """
    if channels % 4:
        raise ValueError(f"channels must be a multiple of 4, got {channels}")
    device = like.device if like is not None else None
    rows, columns = grid_hw
    quarter = channels // 4
    exponent = torch.arange(quarter, device=device, dtype=torch.float32)
    exponent = exponent * ((2 if layout == SineLayout.INTERLEAVED else 4) / channels)
    frequency = TEMPERATURE**-exponent  # [d/4]
    y = torch.arange(first_index, first_index + rows, device=device).unsqueeze(1) * frequency
    x = torch.arange(first_index, first_index + columns, device=device).unsqueeze(1) * frequency
    y_waves = torch.stack([y.sin(), y.cos()], 2).unsqueeze(1).expand(rows, columns, quarter, 2)
    x_waves = torch.stack([x.sin(), x.cos()], 2).unsqueeze(0).expand(rows, columns, quarter, 2)
    if layout == SineLayout.INTERLEAVED:
        waves = torch.cat([x_waves, y_waves], 3)  # [rows, columns, d/4, 4]
    else:
        waves = torch.stack([y_waves, x_waves], 2)  # [rows, columns, 2, d/4, 2]
    encoded = waves.reshape(rows * columns, channels)
    return encoded if like is None else encoded.to(like.dtype)
