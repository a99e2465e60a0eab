"""How far a `lite` has moved from the model that it came from, in what its two views hand on.

Labels and confidence maps say little about each of the thousands of cells; the vectors of a model
that already works say all. So a short run that shall change nothing but roundings follows these.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn.functional import cosine_similarity


def agreement_loss(
    query_map: Tensor,
    reference: Mapping[str, Tensor],
    float_query_map: Tensor,
    float_reference: Mapping[str, Tensor],
) -> Tensor:
    """Mean angle between vectors, as 1 - cosine, of queries and v; and the relative error of u.

    Args:
        query_map: [B, D, h, w] of the trained model.
        reference: its v [B, D, H, W] and u [B, C, H, W].
        float_query_map: the same of the model that it came from; gets no gradient.
        float_reference: likewise.

    Returns:
        The sum of the three, each 0 where both models agree.
    """
    queries = 1 - cosine_similarity(query_map, float_query_map.detach(), dim=1).mean()
    v = 1 - cosine_similarity(reference["v"], float_reference["v"].detach(), dim=1).mean()
    wanted = float_reference["u"].detach()
    u = (reference["u"] - wanted).square().mean() / wanted.square().mean().clamp_min(1e-6)
    loss: Tensor = queries + v + u
    return loss
