"""Boxes of a window on the Earth: centre, corners and an honest radius of error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge.geodesy import error_radius_m
from edge.types import Float32, Float64, Prior, ReferenceFeature

BOX_SIGMA_SHARE = 1 / 6  # a box that counts (IoU 0.5) is off by a third of its side: two sigma


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one box is on the Earth."""

    lon_lat_deg: tuple[float, float]  # of the centre of the box
    corners_lon_lat_deg: tuple[tuple[float, float], ...]  # NW, NE, SE, SW
    error_radius_m: float  # 90 % circle


def place(
    box_xyxy_px: Float32, feature: ReferenceFeature, prior: Prior, stride_px: float, click_px: float
) -> list[Placement] | None:
    """Carry N boxes from window pixels to WGS84; None where the window has no geometry.

    Boxes are not clipped to the window: the map goes on beyond its edge, and a clipped box would
    have another centre. The centre itself always lies within the window.

    The error radius joins independent terms, each one sigma of one axis, by their squares:

    * imagery: the CE90 of the map, where the map says it; an unknown one adds nothing;
    * box: a sixth of the side, the root mean square of both axes (BOX_SIGMA_SHARE);
    * stride: an object lies anywhere in its cell, stride / sqrt(12);
    * click: the click's own sigma, carried to the window (`click_px`);
    * prior: its sigma, at most half of the longer side of the box. A prior chooses the cell; a
      wide one says nothing of the place within the object, which the box term covers.

    Args:
        box_xyxy_px: [N, 4], window pixels.
        feature: whose geometry and imagery these are.
        prior: what was known beforehand of the N clicks.
        stride_px: stride of the head, window pixels.
        click_px: one sigma of a click, in window pixels.
    """
    geometry = feature.geometry
    if geometry is None:
        return None
    x1, y1, x2, y2 = box_xyxy_px.astype(np.float64).T
    centre = np.stack([(x1 + x2) / 2, (y1 + y2) / 2], axis=1)  # [N, 2]
    corners = np.stack([x1, y1, x2, y1, x2, y2, x1, y2], axis=1)  # [N, 8]
    points = np.concatenate([centre, corners.reshape(-1, 2)])  # [5 N, 2]
    lon_lat_deg = geometry.lon_lat_deg(points)
    metres = geometry.metres_per_px(centre)  # [N, 2]
    count = len(centre)
    placements = []
    for index in range(count):
        side_m = np.array([x2[index] - x1[index], y2[index] - y1[index]]) * metres[index]
        per_px_m = _rms(metres[index])
        terms_m = [
            BOX_SIGMA_SHARE * _rms(side_m),
            stride_px / math.sqrt(12) * per_px_m,
            click_px * per_px_m,
        ]
        if prior.inv_var[index] > 0:
            sigma_m = per_px_m / math.sqrt(float(prior.inv_var[index]))
            terms_m.append(min(sigma_m, float(side_m.max()) / 2))
        around = lon_lat_deg[count + 4 * index : count + 4 * index + 4]
        placements.append(
            Placement(
                _pair(lon_lat_deg[index]),
                tuple(_pair(corner) for corner in around),
                error_radius_m(feature.imagery_ce90_m, terms_m),
            )
        )
    return placements


def _rms(xy: Float64) -> float:
    return math.sqrt(float((xy * xy).mean()))


def _pair(lon_lat_deg: Float64) -> tuple[float, float]:
    return float(lon_lat_deg[0]), float(lon_lat_deg[1])
