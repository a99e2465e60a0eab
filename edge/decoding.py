"""What the localizer does after the query vector, in plain numpy: cosine, gate, head, decoding.

This is the meaning that executors and kernels are compared with, so it needs numpy alone and goes
one click at a time, in float64.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import BundleError
from edge.types import Float64

LEAK = 0.1  # slope of the leaky ReLU below zero
LOG_SIZE_LIMIT = 4.0  # |log(side / anchor side)| that a box of `lite` may reach
PEAK_RADIUS_CELLS = 2  # Chebyshev radius of the neighbourhood that belongs to the first peak
RANGE_FLOOR = 1e-6  # a map of a smaller range is constant, and min-max makes it 0
DECODED = (
    "box_xyxy_px",
    "confidence_logit",
    "peak_similarity",
    "second_peak_similarity",
    "cell_similarity",
    "attention",
)


@dataclass(frozen=True, slots=True)
class Head:
    """Weights of gate, folded 1x1 convolution and detection head, float64."""

    alpha: float
    beta: float
    w_a: Float64  # [C]
    b: Float64  # [C]
    w_conf: Float64  # [A, C]
    c_conf: Float64  # [A]
    tau: Float64  # [A]
    w_box: Float64  # [A, 4, C]
    b_box: Float64  # [A, 4]
    anchors_wh_px: Float64  # [A, 2]
    stride_px: float
    click_var: float  # variance of a click around its object's centre, per px2 of box area
    centre_var: float  # variance of the head's centre, per px2 of box area
    floor_var_px2: float  # and whatever the size

    @staticmethod
    def load(path: Path) -> Head:
        """Read `head.npz`.

        Raises:
            BundleError: not such a file, or arrays that are missing or do not fit together.
        """
        names = list(Head.__dataclass_fields__)
        try:
            with np.load(path, allow_pickle=False) as stored:
                values: dict[str, Any] = {key: np.float64(stored[key]) for key in names}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise _bad_head(path, f"arrays {', '.join(names)}", str(error)) from error
        anchors, channels = values["w_conf"].shape if values["w_conf"].ndim == 2 else (0, 0)
        shapes: dict[str, tuple[int, ...]] = {
            "alpha": (), "beta": (), "stride_px": (),
            "click_var": (), "centre_var": (), "floor_var_px2": (),
            "w_a": (channels,), "b": (channels,),
            "w_conf": (anchors, channels), "c_conf": (anchors,), "tau": (anchors,),
            "w_box": (anchors, 4, channels), "b_box": (anchors, 4), "anchors_wh_px": (anchors, 2),
        }  # fmt: skip
        for name, shape in shapes.items():
            if values[name].shape != shape:
                raise _bad_head(path, f"{name} {list(shape)}", f"{list(values[name].shape)}")
        return Head(**values)


def decode(
    head: Head,
    q: Float64,
    v: Float64,
    u: Float64,
    prior_xy_px: Float64,
    prior_inv_var: Float64,
    *,
    min_max: bool = False,
    log_size_limit: float = LOG_SIZE_LIMIT,
) -> dict[str, Float64]:
    """Fuse, score and decode, one click at a time, in float64.

    Per click: S = q.v; gate g = alpha + beta S; h = leaky(g (u + w_a) + b); logit[k] = w_conf[k].h
    + c_conf[k] + tau[k] S - |cell centre - prior|^2 / 2 / (1 / inv_var + stride^2 / 12): a cell is
    a square, and its variance adds. The first largest logit in the order (anchor, row, column)
    wins; its box is t = w_box[k].h + b_box[k]: centre (sigmoid(t) + cell) x stride, sides exp(t) x
    anchor with t held to +-4. With a prior the centre is the mean of that centre, of variance
    centre_var x area + floor_var, and of the prior, of variance 1 / inv_var + click_var x area,
    each weighted by its inverse variance.

    Args:
        head: the weights.
        q: query vectors [N, D], L2-normalised.
        v: reference vectors [D, Hg, Wg], L2-normalised over D.
        u: the folded convolution of v, [C, Hg, Wg].
        prior_xy_px: [N, 2], pixels of the window.
        prior_inv_var: [N], per square pixel; 0 is no prior.
        min_max: the gate is alpha + beta G with G = (S - min S) / (max S - min S), as in DetGeo,
            and `attention` holds G; in a constant map G is 0.
        log_size_limit: the 4 of the text above; the published models have none.

    Returns:
        box_xyxy_px [N, 4], confidence_logit, peak_similarity, second_peak_similarity and
        cell_similarity [N], attention [N, Hg, Wg].
    """
    rows, columns = v.shape[1:]
    row_index, column_index = np.mgrid[0:rows, 0:columns]
    centre_x_px = (column_index + 0.5) * head.stride_px  # [Hg, Wg]
    centre_y_px = (row_index + 0.5) * head.stride_px
    found: dict[str, list[Float64 | float]] = {name: [] for name in DECODED}
    for vector, (x_px, y_px), inv_var in zip(q, prior_xy_px, prior_inv_var, strict=True):
        similarity = np.einsum("d,dij->ij", vector, v)  # [Hg, Wg]
        unit = _stretched(similarity) if min_max else similarity
        gate = head.alpha + head.beta * unit
        before = gate * (u + head.w_a[:, None, None]) + head.b[:, None, None]  # [C, Hg, Wg]
        hidden = np.where(before > 0, before, LEAK * before)
        square = (centre_x_px - x_px) ** 2 + (centre_y_px - y_px) ** 2
        blurred_var = 1 / inv_var + head.stride_px**2 / 12 if inv_var > 0 else np.inf
        log_prior = -0.5 * square / blurred_var
        logit = np.einsum("ac,cij->aij", head.w_conf, hidden)
        logit += head.c_conf[:, None, None] + head.tau[:, None, None] * similarity + log_prior
        anchor, row, column = np.unravel_index(int(np.argmax(logit)), logit.shape)
        t = head.w_box[anchor] @ hidden[:, row, column] + head.b_box[anchor]  # [4]
        centre = (_sigmoid(t[:2]) + np.array([column, row])) * head.stride_px
        log_size = np.clip(t[2:], -log_size_limit, log_size_limit)
        half = np.exp(log_size) * head.anchors_wh_px[anchor] / 2
        if inv_var > 0:
            area = 4 * half[0] * half[1]
            own_var = head.centre_var * area + head.floor_var_px2
            prior_var = 1 / inv_var + head.click_var * area
            prior = np.array([x_px, y_px])
            centre = (centre * prior_var + prior * own_var) / (prior_var + own_var)
        peak_row, peak_column = np.unravel_index(int(np.argmax(similarity)), similarity.shape)
        far = np.maximum(abs(row_index - peak_row), abs(column_index - peak_column))
        elsewhere = similarity[far > PEAK_RADIUS_CELLS]
        found["box_xyxy_px"].append(np.concatenate([centre - half, centre + half]))
        found["confidence_logit"].append(logit[anchor, row, column])
        found["peak_similarity"].append(similarity[peak_row, peak_column])
        found["second_peak_similarity"].append(elsewhere.max() if elsewhere.size else -1.0)
        found["cell_similarity"].append(similarity[row, column])
        found["attention"].append(unit)
    return {name: np.array(values) for name, values in found.items()}


def _stretched(similarity: Float64) -> Float64:
    """To 0..1 by its own minimum and maximum; 0 throughout a constant map."""
    low, spread = float(similarity.min()), float(np.ptp(similarity))
    return (similarity - low) / (spread if spread > RANGE_FLOOR else 1.0)


def _sigmoid(t: Float64) -> Float64:
    """1 / (1 + exp(-t)) without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * t))


def _bad_head(path: Path, expected: str, found: str) -> BundleError:
    return BundleError(
        f"the head weights {path} cannot be used",
        expected=expected,
        found=found,
        do="export the bundle again with this version of tilefix",
    )
