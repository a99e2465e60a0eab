"""TileAttention: everything between the query vectors of N clicks and their boxes, as one step.

One description covers the published models and `lite`, since all gates are affine in a cosine:

    S = q / |q| . v                              raw cosine                            [N, Hg, Wg]
    G = S, or (S - min S) / (max S - min S)      min-max per click: DetGeo, OCGNet
    g = gate_offset + gate_slope G               lite: alpha + beta S; the others: G
    h = leaky(g (scale u + shift) + bias)        u is the folded first 1x1; batch norm: scale, bias
    logit[k] = W_conf[k] . h + c[k] + tau[k] S + log-density of the prior at the cell
    winner: the first largest logit in the order (anchor, row, column)
    box: t = W_box[k] . h + b_box[k] at the winner, decoded, its centre blended with the prior

MOGeo's concat [G | G F] is the gate times (w_g + W F): `shift` holds w_g, unless u already does.
`edge.decoding` is the arithmetic, in float64; here it gets its parameters. numpy and the standard
library are all that this file needs, so that a machine with a GPU and little else can check a
kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.decoding import LOG_SIZE_LIMIT, Head, decode
from edge.errors import ExecutorError

CLICK_LIMIT = 64  # clicks of one call
ANCHOR_LIMIT = 9
NO_SIZE_LIMIT = 32.0  # the published models bound no box; areas up to exp(64) fit a float32
LENGTH_FLOOR = 1e-12  # a query vector shorter than this is divided by it instead
OUTPUTS = (
    "box_xyxy_px",
    "confidence_logit",
    "peak_similarity",
    "second_peak_similarity",
    "cell_similarity",
    "attention",
)
Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class TileSettings:
    """The numbers that choose a variant; attributes of the operator, fields of the plugin."""

    gate_offset: float = 0.0
    gate_slope: float = 1.0
    min_max: bool = False  # of the cosine, per click, before offset and slope
    stride_px: float = 16.0  # window pixels per cell
    log_size_limit: float = NO_SIZE_LIMIT  # |log(side / anchor side)| that a box may reach
    click_var: float = 0.0  # these three: `training.models.gated_head.blend_centre`
    centre_var: float = 0.0
    floor_var_px2: float = 0.0


DETGEO = TileSettings(min_max=True)  # and OCGNet
MOGEO = TileSettings()


def lite_settings(
    gate_offset: float,
    gate_slope: float,
    stride_px: float = 16.0,
    click_var: float = 0.0,
    centre_var: float = 0.0,
    floor_var_px2: float = 0.0,
) -> TileSettings:
    """The variant of `lite`: affine gate in the raw cosine, bounded boxes, blended centres."""
    return TileSettings(
        gate_offset=gate_offset,
        gate_slope=gate_slope,
        stride_px=stride_px,
        log_size_limit=LOG_SIZE_LIMIT,
        click_var=click_var,
        centre_var=centre_var,
        floor_var_px2=floor_var_px2,
    )


@dataclass(frozen=True, slots=True)
class TileHead:
    """The head's weights as the operator takes them, float32.

    Raises:
        ExecutorError: arrays that do not fit together.
    """

    channels: Floats  # [C, 3] scale, shift, bias of each hidden channel
    confidence: Floats  # [A, C]
    boxes: Floats  # [A, 4, C]
    anchors: Floats  # [A, 8] c, tau, the four of b_box, anchor width and height in pixels

    def __post_init__(self) -> None:
        anchors, c = self.confidence.shape if self.confidence.ndim == 2 else (0, 0)
        wanted = {"channels": (c, 3), "boxes": (anchors, 4, c), "anchors": (anchors, 8)}
        found = {name: getattr(self, name).shape for name in wanted}
        if not 1 <= anchors <= ANCHOR_LIMIT or found != wanted:
            raise ExecutorError(
                "the weights of a tile attention head do not fit together",
                expected=f"confidence [A, C] with A from 1 to {ANCHOR_LIMIT}, "
                f"and beside it {wanted}",
                found=f"confidence {self.confidence.shape}, {found}",
                do="take the head from one model (export.plugin.heads)",
            )

    def arrays(self) -> tuple[Floats, Floats, Floats, Floats]:
        """In the order of the operator's inputs."""
        return self.channels, self.confidence, self.boxes, self.anchors


def tile_attention(
    query: Floats,
    v: Floats,
    u: Floats,
    head: TileHead,
    settings: TileSettings,
    prior_xy_px: Floats,
    prior_inv_var: Floats,
) -> dict[str, NDArray[np.float64]]:
    """The equations of the module's text in float64, whatever the types given.

    Args:
        query: [N, D], any length.
        v: [D, Hg, Wg], of unit length per cell.
        u: [C, Hg, Wg].
        head: the weights.
        settings: the variant.
        prior_xy_px: [N, 2] window pixels.
        prior_inv_var: [N] per square pixel; 0 is no prior.

    Returns:
        box_xyxy_px [N, 4], confidence_logit, peak_similarity, second_peak_similarity (-1 where no
        cell lies outside the first peak's 5 x 5) and cell_similarity [N], attention [N, Hg, Wg]: G
        with min-max, S without.

    Raises:
        ExecutorError: shapes that do not fit together, or no click.
    """
    check_shapes(query.shape, v.shape, u.shape, head.confidence.shape, prior_xy_px.shape)
    q, wide_v, wide_u, xy_px, inv_var = (
        np.asarray(x, np.float64) for x in (query, v, u, prior_xy_px, prior_inv_var)
    )
    q = q / np.maximum(np.sqrt((q * q).sum(1, keepdims=True)), LENGTH_FLOOR)
    channels, confidence, boxes, anchors = (np.asarray(x, np.float64) for x in head.arrays())
    weights = Head(
        alpha=settings.gate_offset,
        beta=settings.gate_slope,
        w_a=channels[:, 1],
        b=channels[:, 2],
        w_conf=confidence,
        c_conf=anchors[:, 0],
        tau=anchors[:, 1],
        w_box=boxes,
        b_box=anchors[:, 2:6],
        anchors_wh_px=anchors[:, 6:],
        stride_px=settings.stride_px,
        click_var=settings.click_var,
        centre_var=settings.centre_var,
        floor_var_px2=settings.floor_var_px2,
    )
    found = decode(
        weights,
        q,
        wide_v,
        wide_u * channels[:, 0, None, None],
        xy_px,
        inv_var,
        min_max=settings.min_max,
        log_size_limit=settings.log_size_limit,
    )
    return {name: found[name] for name in OUTPUTS}


def check_shapes(
    query: tuple[int, ...],
    v: tuple[int, ...],
    u: tuple[int, ...],
    confidence: tuple[int, ...],
    prior_xy_px: tuple[int, ...],
) -> None:
    """Compare the shapes of one call with each other.

    Raises:
        ExecutorError: they do not fit, or there is no click.
    """
    fits = len(query) == 2 and len(v) == len(u) == 3 and len(confidence) == 2
    fits = fits and query[1] == v[0] and v[1:] == u[1:] and u[0] == confidence[1]
    fits = fits and tuple(prior_xy_px) == (query[0], 2) and query[0] >= 1 and v[1] * v[2] >= 1
    if not fits:
        raise ExecutorError(
            "the tensors of a tile attention do not fit together",
            expected="query [N, D] with N at least 1, v [D, H, W], u [C, H, W], "
            "confidence [A, C], prior_xy_px [N, 2]",
            found=f"query {list(query)}, v {list(v)}, u {list(u)}, "
            f"confidence {list(confidence)}, prior_xy_px {list(prior_xy_px)}",
            do="give query vectors and window features of one model",
        )
