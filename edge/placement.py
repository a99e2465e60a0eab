"""Boxes of a window on the Earth: centre, corners and an honest radius of error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.geodesy import error_radius_m
from edge.types import Float32, Float64, ReferenceFeature


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one box is on the Earth."""

    lon_lat_deg: tuple[float, float]  # of the centre of the box
    corners_lon_lat_deg: tuple[tuple[float, float], ...]  # NW, NE, SE, SW
    error_radius_m: float  # 90 % circle


def place(
    box_xyxy_px: Float32, feature: ReferenceFeature, sigma_px: Float64
) -> list[Placement] | None:
    """Carry N boxes from window pixels to WGS84; None where the window has no geometry.

    Boxes are not clipped to the window: the map goes on beyond its edge, and a clipped box would
    have another centre. The centre itself always lies within the window.

    The error radius joins two independent terms by their squares: the CE90 of the map, where the
    map says it (an unknown one adds nothing), and the 90 % circle of the centre's own spread.

    Args:
        box_xyxy_px: [N, 4], window pixels.
        feature: whose geometry and imagery these are.
        sigma_px: [N], one sigma per axis of each centre (see `edge.centre_spread`).
    """
    geometry = feature.geometry
    if geometry is None:
        return None
    x1, y1, x2, y2 = box_xyxy_px.astype(np.float64).T
    centre = np.stack([(x1 + x2) / 2, (y1 + y2) / 2], axis=1)  # [N, 2]
    corners = np.stack([x1, y1, x2, y1, x2, y2, x1, y2], axis=1)  # [N, 8]
    points = np.concatenate([centre, corners.reshape(-1, 2)])  # [5 N, 2]
    places = [(lon, lat) for lon, lat in geometry.lon_lat_deg(points).tolist()]
    metres = geometry.metres_per_px(centre)  # [N, 2]
    sigma_m = (sigma_px * np.sqrt(np.square(metres).mean(axis=1))).tolist()
    count = len(centre)
    return [
        Placement(
            places[index],
            tuple(places[count + 4 * index : count + 4 * index + 4]),
            error_radius_m(feature.imagery_ce90_m, [sigma_m[index]]),
        )
        for index in range(count)
    ]
