"""How far the centre of a box is from that of its object: one sigma per axis, window pixels.

Where a bundle's head blends its own centre with a prior (`edge.decoding`), the variances that it
blends by were fitted at export on samples that training never saw. They say the spread as well: of
two independent guesses weighed by their inverse variances, the inverse variances add.

    head:  own   = centre_var area + floor_var
    prior: given = 1 / inv_var + click_var area
    fix:   sigma = factor sqrt(1 / (1 / own + 1 / given)), without a prior factor sqrt(own)

The stride of the head and the click's own error are not added on top, for they are in these
variances already: a head regresses within its cell, and the clicks of the samples scatter. The
factor makes up for what the two guesses have in common and for the tails that the fit trimmed; it
is the 90 % point of held-out errors, so that the circle of 2.146 sigma holds 90 % of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge.bundle import Bundle
from edge.decoding import Head
from edge.errors import DataError
from edge.geodesy import CE90_PER_SIGMA
from edge.letterbox import Letterbox
from edge.manifest import Manifest
from edge.pose_search import window_gsd_m
from edge.types import Float32, Float64, FramePose, ReferenceFeature

BOX_SHARE = 1 / 6  # a box that counts (IoU 0.5) is off by a third of its side: two sigma
LEAST_ERRORS = 50


class Spread(Protocol):
    """The spread of a head's centres."""

    def sigma_px(self, box_xyxy_px: Float32, inv_var: Float32, click_px: float) -> Float64:
        """Sigma per axis of N centres, [N].

        Args:
            box_xyxy_px: [N, 4].
            inv_var: [N] of the prior, per square pixel; 0: none.
            click_px: one sigma of a click, in window pixels.
        """
        ...


@dataclass(frozen=True, slots=True)
class FittedSpread:
    """The variances by which a head's graph blends, and the factor on top. See the module."""

    click_var: float  # variance of a click around its object's centre, per px2 of box area
    centre_var: float  # variance of the head's centre, per px2 of box area
    floor_var_px2: float  # and whatever the size
    factor: float

    def sigma_px(self, box_xyxy_px: Float32, inv_var: Float32, click_px: float) -> Float64:
        """See `Spread`; the click's sigma is in the variances."""
        area = _sides(box_xyxy_px).prod(axis=1)
        own = self.centre_var * area + self.floor_var_px2
        given = _variance(inv_var, np.inf) + self.click_var * area
        return np.asarray(self.factor / np.sqrt(1.0 / own + 1.0 / given), np.float64)


@dataclass(frozen=True, slots=True)
class RoughSpread:
    """For a head of which nothing is fitted: rather too large than too small.

    Independent terms by their squares: a sixth of the side (BOX_SHARE); anywhere in a cell,
    stride / sqrt(12); the click's own sigma; and the prior's, at most half of the longer side. A
    prior chooses the cell; a wide one says nothing of the place within the object, which the box
    term covers.
    """

    stride_px: float

    def sigma_px(self, box_xyxy_px: Float32, inv_var: Float32, click_px: float) -> Float64:
        """See `Spread`."""
        sides = _sides(box_xyxy_px)
        prior = np.minimum(_variance(inv_var, 0.0), (sides.max(axis=1) / 2) ** 2)
        box = BOX_SHARE**2 * (sides**2).mean(axis=1)
        square = box + self.stride_px**2 / 12 + click_px**2 + prior
        return np.asarray(np.sqrt(square), np.float64)


def open_spread(bundle: Bundle, precision: str) -> Spread:
    """The fitted spread of a bundle's head; the rough one where it does not blend.

    Raises:
        BundleError: a broken `head.npz`.
    """
    name = f"graphs/{precision}/head.npz"
    if name in bundle.manifest.files:
        head = Head.load(bundle.file(name))
        if head.centre_var > 0:
            variances = float(head.click_var), float(head.centre_var), float(head.floor_var_px2)
            return FittedSpread(*variances, bundle.manifest.head.radius_factor)
    return RoughSpread(bundle.manifest.head.stride_px)


def click_sigma_px(
    manifest: Manifest, pose: FramePose, fitted: Letterbox, feature: ReferenceFeature
) -> float:
    """One sigma of a click in window pixels.

    Where telemetry does not tell the ground size of a frame pixel, the larger side of the picture
    is taken to span the whole window: an upper bound for every frame that lies within it.
    """
    window_px_per_px = manifest.window.width_px / max(fitted.picture_wh_px)
    gsd_m = window_gsd_m(feature)  # of this map at this latitude, not the wanted one
    if pose.gsd_m and pose.gsd_m > 0 and gsd_m is not None:
        window_px_per_px = pose.gsd_m / float(fitted.affine[0, 0]) / gsd_m
    return manifest.click.sigma_px * window_px_per_px


def fit_factor(error_px: Float64, plain_sigma_px: Float64) -> float:
    """The factor by which the 90 % circles of held-out fixes hold 90 % of their errors.

    Args:
        error_px: [N, 2], box centre less true centre, of fixes that were accepted and right.
        plain_sigma_px: [N], sigma of a `FittedSpread` with a factor of 1.

    Raises:
        DataError: too few fixes.
    """
    if len(error_px) < LEAST_ERRORS:
        raise DataError(
            "the factor of the error radius cannot be fitted",
            expected=f"at least {LEAST_ERRORS} held-out fixes that are accepted and right",
            found=str(len(error_px)),
            do="give more held-out samples, or leave the default of the manifest",
        )
    away = np.hypot(error_px[:, 0], error_px[:, 1]) / (CE90_PER_SIGMA * plain_sigma_px)
    return math.ceil(100 * float(np.quantile(away, 0.9))) / 100


def _sides(box_xyxy_px: Float32) -> Float64:
    box = box_xyxy_px.astype(np.float64)
    return np.asarray(box[:, 2:] - box[:, :2], np.float64)


def _variance(inv_var: Float32, without: float) -> Float64:
    known = np.asarray(inv_var, np.float64)
    none = np.full(len(known), without)
    return np.asarray(np.divide(1.0, known, out=none, where=known > 0), np.float64)
