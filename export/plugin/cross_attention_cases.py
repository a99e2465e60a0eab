"""Arguments of CrossAttention drawn at random, for the tests and the acceptance on a GPU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.plugin.cross_attention import Floats, cross_attention


@dataclass(frozen=True, slots=True)
class CrossSize:
    """The sizes of one call."""

    batch: int
    queries: int
    keys: int
    heads: int
    head_width: int

    @property
    def width(self) -> int:
        """Channels of a token."""
        return self.heads * self.head_width

    @property
    def float16_bytes(self) -> int:
        """What must be read and written: Q, K, V and O once."""
        return 4 * self.batch * self.width * (self.queries + self.keys)


# Where the models use it: 256 px frames, 1024 px windows, 8 clicks
MODEL_SIZES = {
    "ocgnet": CrossSize(8, 64, 64, 8, 64),
    "attengeo, query side": CrossSize(8, 64, 1024, 8, 32),
    "attengeo, reference side": CrossSize(8, 1024, 64, 8, 32),
    "attengeo, query side, 1 click": CrossSize(1, 64, 1024, 8, 32),
    "trogeo": CrossSize(8, 1024, 64, 12, 64),
    "trogeo, encoding": CrossSize(1, 1024, 1024, 12, 64),
}


@dataclass(frozen=True, slots=True)
class CrossCase:
    """One call of the operator; values that float16 has, held in float32."""

    query: Floats  # [B, L, D]
    key: Floats  # [B, S, D]
    value: Floats  # [B, S, D]
    query_position: Floats | None  # [L or 1, D]
    key_position: Floats | None  # [S or 1, D]
    heads: int
    scale: float

    def tensors(self) -> tuple[Floats | None, ...]:
        """In the order of the operator's inputs."""
        return self.query, self.key, self.value, self.query_position, self.key_position

    def expected(self) -> np.ndarray:
        """Answer of the reference, float64."""
        positions = self.query_position, self.key_position
        return cross_attention(self.query, self.key, self.value, self.heads, self.scale, *positions)


def random_cross_case(
    seed: int, size: CrossSize, positions: str = "both", sharpness: float = 1.0
) -> CrossCase:
    """Draw a case.

    Args:
        seed: of everything.
        size: of the tensors.
        positions: "none", "both", "query", "key", or "one row" for both with a row for all tokens.
        sharpness: standard deviation of the logits without positions.
    """
    rng = np.random.default_rng(seed)

    def drawn(*shape: int, std: float = 1.0) -> Floats:
        return (std * rng.standard_normal(shape)).astype(np.float16).astype(np.float32)

    query = drawn(size.batch, size.queries, size.width, std=sharpness)
    key, value = (drawn(size.batch, size.keys, size.width) for _ in range(2))
    rows = (1, 1) if positions == "one row" else (size.queries, size.keys)
    at_query = drawn(rows[0], size.width, std=0.5)
    at_key = drawn(rows[1], size.width, std=0.5)
    return CrossCase(
        query,
        key,
        value,
        at_query if positions in ("both", "query", "one row") else None,
        at_key if positions in ("both", "key", "one row") else None,
        size.heads,
        float(np.float32(size.head_width**-0.5)),
    )
