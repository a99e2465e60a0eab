"""Who knows beforehand where an object must be, and whose word counts.

Alignment counts more than the tracker, the tracker more than telemetry. A prior of one source says
so in the fix, so the clicks of a frame are grouped by the source that speaks for them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edge.geodesy import CE90_PER_SIGMA, distance_m
from edge.types import (
    Array,
    Click,
    Fix,
    Float64,
    FramePose,
    Prior,
    PriorSource,
    ReferenceFeature,
    Verdict,
)

TRACK_S = 5.0  # how long a fix speaks for the next ones
TRACK_SIGMA_M = 3.0  # of a fix, at least
TRACK_SPEED_M_S = 2.0  # one sigma of what an object moves; vehicles are left to alignment
TRACK_REACH = 3.0  # sigmas: a fix further away is of another object
TILT_SHARE = 0.5  # telemetry knows no tilt: an offset from the frame's centre is off by its half

Group = tuple[tuple[int, ...], Prior]  # indices of clicks, and the prior of these clicks


class Tracker:
    """The last accepted position of each object.

    A fix that rests on the tracker alone does not feed it: errors would confirm themselves.
    """

    def __init__(self) -> None:
        self._last: dict[str, Fix] = {}

    def learn(self, fixes: Sequence[Fix]) -> None:
        """Take note of the accepted fixes of a frame; forget what the frame contradicts.

        A track ends where its object is not found again, or is found where it cannot have got to:
        then the id has passed to another thing.
        """
        for fix in fixes:
            if fix.verdict is not Verdict.ACCEPTED or fix.lon_lat_deg is None:
                self._last.pop(fix.click_id, None)
            elif fix.prior_source is not PriorSource.TRACKER:
                self._last[fix.click_id] = fix
            elif self._strays(fix.click_id, fix.lon_lat_deg, fix.capture_time_s):
                del self._last[fix.click_id]

    def _strays(self, click_id: str, lon_lat_deg: tuple[float, float], time_s: float) -> bool:
        last = self._last.get(click_id)
        if last is None or last.lon_lat_deg is None:
            return False
        sigma_m = _spread_m(last, abs(time_s - last.capture_time_s))
        return bool(distance_m(last.lon_lat_deg, lon_lat_deg) > TRACK_REACH * sigma_m)

    def prior(self, clicks: Sequence[Click], feature: ReferenceFeature, time_s: float) -> Prior:
        """Where the objects of N clicks were, in window pixels."""
        xy_px, inv_var = _nothing(len(clicks))
        for index, click in enumerate(clicks):
            last = self._last.get(click.click_id)
            if last is None or last.lon_lat_deg is None or feature.geometry is None:
                continue
            ago_s = abs(time_s - last.capture_time_s)
            if ago_s > TRACK_S:
                continue
            sigma_m = _spread_m(last, ago_s)
            xy_px[index], inv_var[index] = _seen(feature, last.lon_lat_deg, sigma_m)
        return _prior(xy_px, inv_var, PriorSource.TRACKER)


def _spread_m(last: Fix, ago_s: float) -> float:
    """One sigma of where an object is, so long after its fix."""
    radius_m = (last.error_radius_m or 0.0) / CE90_PER_SIGMA
    return math.hypot(max(radius_m, TRACK_SIGMA_M), TRACK_SPEED_M_S * ago_s)


def telemetry_prior(
    clicks: Sequence[Click],
    frame_size_px: tuple[int, int],
    feature: ReferenceFeature,
    pose: FramePose,
) -> Prior:
    """Where N clicks are by position, yaw and ground size of a pixel, as seen straight down.

    The pose has no tilt, so the sigma grows with the distance of a click from the frame's centre.
    Nothing is said without position, its sigma and the ground size of a pixel.
    """
    xy_px, inv_var = _nothing(len(clicks))
    if (
        pose.lon_lat_deg is not None
        and pose.sigma_m is not None
        and pose.gsd_m is not None
        and feature.geometry is not None
    ):
        wide, high = frame_size_px
        centre_px, _ = _seen(feature, pose.lon_lat_deg, 1.0)
        per_px_m = float(feature.geometry.metres_per_px(centre_px[None]).mean())
        for index, click in enumerate(clicks):
            right_m = (click.x_px - wide / 2) * pose.gsd_m
            down_m = (click.y_px - high / 2) * pose.gsd_m
            away_m = math.hypot(right_m, down_m)
            share = 1.0
            if pose.yaw_deg is not None:
                yaw = math.radians(pose.yaw_deg)
                east_m = right_m * math.cos(yaw) - down_m * math.sin(yaw)
                south_m = right_m * math.sin(yaw) + down_m * math.cos(yaw)
                xy_px[index] = centre_px + np.array([east_m, south_m]) / per_px_m
                share = TILT_SHARE
            else:
                xy_px[index] = centre_px
            sigma_px = math.hypot(pose.sigma_m, share * away_m) / per_px_m
            inv_var[index] = 1.0 / max(sigma_px, 1.0) ** 2
    return _prior(xy_px, inv_var, PriorSource.TELEMETRY)


def by_source(count: int, priors: Sequence[Prior]) -> list[Group]:
    """For each of N clicks the first prior that knows it; the clicks grouped by that prior.

    Args:
        count: N.
        priors: of N clicks each, the one that counts most first.
    """
    left = list(range(count))
    groups: list[Group] = []
    for prior in priors:
        known = [index for index in left if prior.inv_var[index] > 0]
        if known:
            groups.append((tuple(known), _rows(prior, known)))
            left = [index for index in left if index not in known]
    if left:
        groups.append((tuple(left), Prior.none(len(left))))
    return groups


def shifted(prior: Prior, dx_px: float, dy_px: float) -> Prior:
    """The same prior in a window whose corner lies (dx, dy) further to the right and down."""
    moved = prior.xy_px - np.array([dx_px, dy_px], np.float32)
    return Prior(moved, prior.inv_var, prior.source, prior.inliers)


def _rows(prior: Prior, rows: Sequence[int]) -> Prior:
    picked = list(rows)
    return Prior(prior.xy_px[picked], prior.inv_var[picked], prior.source, prior.inliers)


def _nothing(count: int) -> tuple[Float64, Float64]:
    return np.zeros((count, 2)), np.zeros(count)


def _prior(xy_px: Array, inv_var: Array, source: PriorSource) -> Prior:
    return Prior(xy_px.astype(np.float32), inv_var.astype(np.float32), source)


def _seen(
    feature: ReferenceFeature, lon_lat_deg: tuple[float, float], sigma_m: float
) -> tuple[Float64, float]:
    """Window pixel and inverse variance of a position; the feature has a geometry."""
    if feature.geometry is None:
        raise ValueError("a window without geometry")
    xy_px = feature.geometry.xy_px(np.array([lon_lat_deg], np.float64))
    per_px_m = float(feature.geometry.metres_per_px(xy_px).mean())
    return xy_px[0], (per_px_m / sigma_m) ** 2
