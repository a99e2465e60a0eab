"""CrossAttention: tokens of one view read those of another, by heads, with positions folded in.

    q = Q + Pq,  k = K + Pk                                     projected; P a constant of the model
    O[:, h] = softmax(scale q[:, h] k[:, h]^T) V[:, h]          a head is a slice of the channels

Positions are added to the tokens before the projections, W (x + P) = W x + W P, so the kernel gets
the product W P and adds it to the rows as it reads them. numpy and the standard library are all
that this file needs, so that a machine with a GPU and little else can check a kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.errors import ExecutorError

HEAD_WIDTH_LIMIT = 128
Floats = NDArray[np.floating]
Shape = Sequence[int]


def cross_attention(
    query: Floats,
    key: Floats,
    value: Floats,
    heads: int,
    scale: float,
    query_position: Floats | None = None,
    key_position: Floats | None = None,
) -> NDArray[np.float64]:
    """The equations of the module's text in float64, whatever the types given.

    Args:
        query: Q [B, L, D].
        key: K [B, S, D].
        value: V [B, S, D].
        heads: D is heads times the width of one.
        scale: of the products; 1 / sqrt(D / heads) in all models here.
        query_position: Pq [L, D], or [1, D] for one row of all tokens; None is zero.
        key_position: Pk [S, D] or [1, D]; None is zero.

    Returns:
        O [B, L, D].

    Raises:
        ExecutorError: shapes that do not fit together.
    """
    positions = [None if p is None else p.shape for p in (query_position, key_position)]
    check_shapes(query.shape, key.shape, value.shape, heads, positions[0], positions[1])
    q, k, v = (np.asarray(x, np.float64) for x in (query, key, value))
    if query_position is not None:
        q = q + np.asarray(query_position, np.float64)
    if key_position is not None:
        k = k + np.asarray(key_position, np.float64)
    out = np.empty(q.shape)
    width = q.shape[2] // heads
    for head in range(heads):
        own = slice(head * width, (head + 1) * width)
        score = scale * (q[:, :, own] @ k[:, :, own].transpose(0, 2, 1))  # [B, L, S]
        weight = np.exp(score - score.max(2, keepdims=True))
        out[:, :, own] = (weight / weight.sum(2, keepdims=True)) @ v[:, :, own]
    return out


def check_shapes(
    query: Shape,
    key: Shape,
    value: Shape,
    heads: int,
    query_position: Shape | None = None,
    key_position: Shape | None = None,
) -> None:
    """Compare the shapes of one call with each other.

    Raises:
        ExecutorError: they do not fit, there is no token, or a head is too wide.
    """
    fits = len(query) == len(key) == 3 and tuple(key) == tuple(value)
    fits = fits and query[0] == key[0] and query[2] == key[2] and min(*query, *key) >= 1
    fits = fits and heads >= 1 and query[2] % heads == 0 and query[2] <= heads * HEAD_WIDTH_LIMIT
    for position, tokens in ((query_position, query), (key_position, key)):
        fits = fits and (
            position is None
            or (len(position) == 2 and position[0] in (1, tokens[1]) and position[1] == tokens[2])
        )
    if not fits:
        said = {"query": query, "key": key, "value": value}
        said |= {"query_position": query_position, "key_position": key_position}
        raise ExecutorError(
            "the tensors of a cross attention do not fit together",
            expected="query [B, L, D], key and value [B, S, D], positions [L or 1, D] and "
            f"[S or 1, D] or none, D a multiple of heads, at most {HEAD_WIDTH_LIMIT} to a head",
            found=f"heads {heads}, "
            + ", ".join(f"{k} {'none' if s is None else list(s)}" for k, s in said.items()),
            do="give projected tokens of one model",
        )
