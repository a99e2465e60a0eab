"""Transverse Mercator by the Krueger series: UTM and the Polish grid EPSG:2180.

Sixth order in the third flattening, after Karney, "Transverse Mercator with an accuracy of a few
nanometers", J. Geodesy 85 (2011), equations 7 to 36. Tests compare it with PROJ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge.types import Float64

SEMI_MAJOR_M = 6378137.0  # of WGS84 and GRS80 alike
WGS84_FLATTENING = 1 / 298.257223563
GRS80_FLATTENING = 1 / 298.257222101

# Coefficients of n, n^2 ... n^6 of the j-th term (Karney, equations 35 and 36).
_FORWARD = (
    (1 / 2, -2 / 3, 5 / 16, 41 / 180, -127 / 288, 7891 / 37800),
    (0, 13 / 48, -3 / 5, 557 / 1440, 281 / 630, -1983433 / 1935360),
    (0, 0, 61 / 240, -103 / 140, 15061 / 26880, 167603 / 181440),
    (0, 0, 0, 49561 / 161280, -179 / 168, 6601661 / 7257600),
    (0, 0, 0, 0, 34729 / 80640, -3418889 / 1995840),
    (0, 0, 0, 0, 0, 212378941 / 319334400),
)
_INVERSE = (
    (1 / 2, -2 / 3, 37 / 96, -1 / 360, -81 / 512, 96199 / 604800),
    (0, 1 / 48, 1 / 15, -437 / 1440, 46 / 105, -1118711 / 3870720),
    (0, 0, 17 / 480, -37 / 840, -209 / 4480, 5569 / 90720),
    (0, 0, 0, 4397 / 161280, -11 / 504, -830251 / 7257600),
    (0, 0, 0, 0, 4583 / 161280, -108847 / 3991680),
    (0, 0, 0, 0, 0, 20648693 / 638668800),
)
_NEWTON_STEPS = 5  # two reach 1e-15 below 80 degrees; the rest is for the poles
_J2 = 2.0 * np.arange(1, 7)


@dataclass(frozen=True, slots=True)
class TransverseMercator:
    """One transverse Mercator grid, easting and northing in metres."""

    central_meridian_deg: float
    scale: float
    false_easting_m: float
    false_northing_m: float
    flattening: float = WGS84_FLATTENING

    def forward(self, lon_lat_deg: Float64) -> Float64:
        """WGS84 -> easting, northing. [N, 2] -> [N, 2]."""
        lon, tau_prime = self._conformal(lon_lat_deg)
        zeta_prime = np.arctan2(tau_prime, np.cos(lon)) + 1j * np.arcsinh(
            np.sin(lon) / np.hypot(tau_prime, np.cos(lon))
        )
        zeta = zeta_prime + np.sin(zeta_prime[:, None] * _J2) @ self._series(_FORWARD)
        size = self.scale * self._rectifying_radius_m()
        east = self.false_easting_m + size * zeta.imag
        north = self.false_northing_m + size * zeta.real
        return np.stack([east, north], axis=1)

    def inverse(self, east_north_m: Float64) -> Float64:
        """Easting, northing -> WGS84, longitude in [-180, 180). [N, 2] -> [N, 2]."""
        size = self.scale * self._rectifying_radius_m()
        east = (east_north_m[:, 0] - self.false_easting_m) / size
        north = (east_north_m[:, 1] - self.false_northing_m) / size
        zeta = north + 1j * east
        zeta_prime = zeta - np.sin(zeta[:, None] * _J2) @ self._series(_INVERSE)
        xi, eta = zeta_prime.real, zeta_prime.imag
        tau_prime = np.sin(xi) / np.hypot(np.sinh(eta), np.cos(xi))
        lon = np.degrees(np.arctan2(np.sinh(eta), np.cos(xi))) + self.central_meridian_deg
        lat = np.degrees(np.arctan(self._geographic_tau(tau_prime)))
        return np.stack([wrap_lon_deg(lon), lat], axis=1)

    def scale_at(self, lon_lat_deg: Float64) -> Float64:
        """Grid metres per ground metre, the same in all directions. [N, 2] -> [N]."""
        lon, tau_prime = self._conformal(lon_lat_deg)
        lat = np.radians(lon_lat_deg[:, 1])
        zeta_prime = np.arctan2(tau_prime, np.cos(lon)) + 1j * np.arcsinh(
            np.sin(lon) / np.hypot(tau_prime, np.cos(lon))
        )
        slope = 1.0 + np.cos(zeta_prime[:, None] * _J2) @ (_J2 * self._series(_FORWARD))
        e2 = self.flattening * (2 - self.flattening)
        # sqrt(1 + tan^2) over hypot(tau', cos lon), both times cos lat, so that poles stay finite
        across = np.hypot(tau_prime * np.cos(lat), np.cos(lon) * np.cos(lat))
        sphere = np.sqrt(1 - e2 * np.sin(lat) ** 2) / across
        stretch = self.scale * self._rectifying_radius_m() / SEMI_MAJOR_M
        return np.asarray(stretch * np.abs(slope) * sphere, np.float64)

    def _conformal(self, lon_lat_deg: Float64) -> tuple[Float64, Float64]:
        """Longitude from the central meridian, radians, and tangent of the conformal latitude."""
        lon = np.radians(wrap_lon_deg(lon_lat_deg[:, 0] - self.central_meridian_deg))
        return lon, self._conformal_tau(np.tan(np.radians(lon_lat_deg[:, 1])))

    def _conformal_tau(self, tau: Float64) -> Float64:
        e = math.sqrt(self.flattening * (2 - self.flattening))
        secant = np.hypot(1.0, tau)
        sigma = np.sinh(e * np.arctanh(e * tau / secant))
        return np.asarray(tau * np.hypot(1.0, sigma) - sigma * secant, np.float64)

    def _geographic_tau(self, tau_prime: Float64) -> Float64:
        """Undo `_conformal_tau` by Newton's method (Karney, equations 19 to 21)."""
        e2 = self.flattening * (2 - self.flattening)
        tau = tau_prime / (1 - e2)
        for _ in range(_NEWTON_STEPS):
            guess = self._conformal_tau(tau)
            step = (tau_prime - guess) / np.hypot(1.0, guess)
            tau = tau + step * (1 + (1 - e2) * tau**2) / ((1 - e2) * np.hypot(1.0, tau))
        return np.asarray(tau, np.float64)

    def _third_flattening(self) -> float:
        return self.flattening / (2 - self.flattening)

    def _rectifying_radius_m(self) -> float:
        n = self._third_flattening()
        return SEMI_MAJOR_M / (1 + n) * (1 + n**2 / 4 + n**4 / 64 + n**6 / 256)

    def _series(self, table: tuple[tuple[float, ...], ...]) -> Float64:
        powers = self._third_flattening() ** np.arange(1, 7)
        return np.asarray(np.array(table) @ powers, np.float64)


def wrap_lon_deg(lon_deg: Float64) -> Float64:
    """Longitudes brought into [-180, 180)."""
    wrapped = np.mod(np.asarray(lon_deg, np.float64) + 180.0, 360.0) - 180.0
    # the remainder of a tiny negative number rounds up to 360 itself
    return np.where(wrapped >= 180.0, -180.0, wrapped)


def grid_of_epsg(epsg: int) -> TransverseMercator | None:
    """The grid of EPSG:32601-32660, 32701-32760 (UTM on WGS84) or 2180; None for any other code."""
    if epsg == 2180:
        return TransverseMercator(19.0, 0.9993, 500_000.0, -5_300_000.0, GRS80_FLATTENING)
    zone = epsg % 100
    if epsg // 100 in (326, 327) and 1 <= zone <= 60:
        south_m = 10_000_000.0 if epsg // 100 == 327 else 0.0
        return TransverseMercator(6.0 * zone - 183.0, 0.9996, 500_000.0, south_m)
    return None
