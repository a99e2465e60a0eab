"""Cosine fusion of DetGeo (TGRS 2023, section III-C): where the window resembles the query.

    S = q / |q| . v              cosine per cell, v already of unit length   [M, H, W]
    G = (S - min S) / (max S - min S)       gate; min and max are constants to the gradient

The gated reference is G v. Min-max erases how high the maximum was, so S is handed out too.

All of it is float32 under autocast too: eight bits of a cosine are too few once min-max stretches a
flat map.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

# Below this range a map is constant up to rounding: min-max would divide noise by noise, or 0 by 0.
RANGE_FLOOR = 1e-6


def unit_length(x: Tensor) -> Tensor:
    """L2-normalise over channels (dim 1); a zero vector stays zero."""
    x = _whole(x)
    with _without_autocast(x):
        return nn.functional.normalize(x, dim=1)


def cosine_map(query: Tensor, reference: Tensor) -> Tensor:
    """S of the equations above.

    Args:
        query: [M, C], any length.
        reference: [M, C, H, W] of unit length per cell, or [C, H, W] for all M queries.

    Returns:
        [M, H, W].
    """
    if reference.dim() == 3:
        reference = reference.expand(query.shape[0], *reference.shape)
    # One matrix-vector product per query, so that the bits do not depend on how many there are.
    unit, reference = unit_length(query).unsqueeze(1), _whole(reference)
    with _without_autocast(query):
        flat = torch.bmm(unit, reference.flatten(2))  # [M, 1, H W]
    return flat.reshape(query.shape[0], *reference.shape[2:])


def min_max_gate(similarity: Tensor) -> Tensor:
    """G of the equations above, 0 throughout a constant map (the published code gives NaN).

    Args:
        similarity: [M, H, W].

    Returns:
        [M, H, W] in 0..1.
    """
    similarity = _whole(similarity)
    low = similarity.detach().amin((1, 2), keepdim=True)
    spread = similarity.detach().amax((1, 2), keepdim=True) - low
    return (similarity - low) / torch.where(spread > RANGE_FLOOR, spread, 1.0)


def _without_autocast(like: Tensor) -> AbstractContextManager[object]:
    """Autocast off where it is on; else nothing, which leaves no trace in an exported graph."""
    device = like.device.type
    return torch.autocast(device, enabled=False) if _autocast(device) else nullcontext()


def _whole(x: Tensor) -> Tensor:
    """What autocast may have rounded, as float32; unchanged without autocast."""
    return x.float() if _autocast(x.device.type) else x


def _autocast(device: str) -> bool:
    return device != "meta" and torch.is_autocast_enabled(device)
