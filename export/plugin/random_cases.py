"""Arguments of TileAttention drawn at random, for the tests and the acceptance on a GPU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.plugin.tile_attention import (
    DETGEO,
    MOGEO,
    Floats,
    TileHead,
    TileSettings,
    lite_settings,
    tile_attention,
)

VARIANTS: dict[str, TileSettings] = {
    "detgeo": DETGEO,
    "mogeo": MOGEO,
    "lite": lite_settings(0.5, 2.0, 16.0, click_var=0.004, centre_var=0.02, floor_var_px2=3.0),
}


@dataclass(frozen=True, slots=True)
class TileCase:
    """One call of the operator."""

    query: Floats  # [N, D]
    v: Floats  # [D, Hg, Wg]
    u: Floats  # [C, Hg, Wg]
    head: TileHead
    settings: TileSettings
    prior_xy_px: Floats  # [N, 2]
    prior_inv_var: Floats  # [N]

    def expected(self) -> dict[str, np.ndarray]:
        """Answer of the reference, float64."""
        return tile_attention(
            self.query,
            self.v,
            self.u,
            self.head,
            self.settings,
            self.prior_xy_px,
            self.prior_inv_var,
        )


def random_case(
    seed: int,
    clicks: int,
    embedding: int,
    hidden: int,
    grid_hw: tuple[int, int],
    anchors: int = 9,
    settings: TileSettings = DETGEO,
    priors: bool = False,
) -> TileCase:
    """Draw a case whose logits spread like a trained head's: by about 1 over the cells.

    Args:
        seed: of everything.
        clicks: N.
        embedding: D.
        hidden: C.
        grid_hw: cells.
        anchors: A.
        settings: the variant.
        priors: give about seven clicks of ten a prior.

    Returns:
        float32 arrays; query, v and u hold values that float16 has, as stored features do.
    """
    rng = np.random.default_rng(seed)
    v = rng.standard_normal((embedding, *grid_hw))
    v /= np.sqrt((v * v).sum(0, keepdims=True))
    u = rng.standard_normal((hidden, *grid_hw))
    query = rng.standard_normal((clicks, embedding))
    channels = rng.standard_normal((hidden, 3)) * [0.2, 0.3, 0.3] + [1.0, 0.0, 0.0]
    scale = hidden**-0.5
    confidence = scale * rng.standard_normal((anchors, hidden))
    boxes = scale * rng.standard_normal((anchors, 4, hidden))
    biases, sides_px = rng.standard_normal((anchors, 6)), rng.uniform(20, 400, (anchors, 2))
    xy_px = rng.uniform(0, 1, (clicks, 2)) * np.array(grid_hw[::-1]) * settings.stride_px
    inv_var = rng.uniform(1e-4, 1e-2, clicks) * (rng.uniform(0, 1, clicks) > 0.3) * priors
    query, v, u = (x.astype(np.float16) for x in (query, v, u))
    single = [
        x.astype(np.float32)
        for x in (query, v, u, channels, confidence, boxes, np.concatenate([biases, sides_px], 1))
    ]
    return TileCase(
        *single[:3],
        TileHead(*single[3:]),
        settings,
        xy_px.astype(np.float32),
        inv_var.astype(np.float32),
    )
