"""Geodesy against PROJ."""

from __future__ import annotations

import math

import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import GeoreferenceError
from edge.geodesy import (
    AffineGeometry,
    MercatorGeometry,
    cvogl_geometry,
    distance_m,
    error_radius_m,
    geometry_from_dict,
)
from edge.transverse_mercator import grid_of_epsg, wrap_lon_deg

GEOD = pyproj.Geod(ellps="WGS84")
UTM_EPSG = [*range(32601, 32661), *range(32701, 32761)]
WORLD_M = 2 * math.pi * 6378137.0


def transformer(source: int, target: int) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


@settings(max_examples=60, deadline=None)
@given(
    epsg=st.sampled_from([*UTM_EPSG, 2180]),
    offset_deg=st.floats(-15, 15),
    lat=st.floats(-84, 84),
)
def test_grids_agree_with_proj_within_a_millimetre(epsg, offset_deg, lat):
    grid = grid_of_epsg(epsg)
    position = np.array([[wrap_lon_deg(grid.central_meridian_deg + offset_deg), lat]])
    there = grid.forward(position)
    expected = transformer(4326, epsg).transform(*position[0])
    assert np.abs(there[0] - expected).max() < 1e-3
    back = transformer(epsg, 4326).transform(*there[0])
    assert distance_m(grid.inverse(there)[0], np.array(back)) < 1e-3


def test_grid_scale_agrees_with_proj():
    for epsg in (32601, 32733, 2180):
        grid = grid_of_epsg(epsg)
        lon = grid.central_meridian_deg + np.linspace(-9, 9, 13)
        lat = np.linspace(-80, 89.9, 13)
        factors = pyproj.Proj(epsg).get_factors(lon, lat)
        ours = grid.scale_at(np.stack([lon, lat], axis=1))
        np.testing.assert_allclose(ours, factors.meridional_scale, rtol=1e-8)


def test_poles_stay_finite():
    grid = grid_of_epsg(32633)
    pole = np.array([[15.0, 90.0], [15.0, -90.0]])
    assert np.abs(grid.inverse(grid.forward(pole))[:, 1] - pole[:, 1]).max() < 1e-9


@pytest.mark.parametrize("epsg", [0, 2154, 32600, 32661, 32700, 32761, 4258, 26910, -1])
def test_other_codes_are_refused_by_name(epsg):
    assert grid_of_epsg(epsg) is None
    with pytest.raises(GeoreferenceError) as caught:
        AffineGeometry((0, 1, 0, 0, 0, -1), epsg)
    error = caught.value
    assert str(epsg) in error.found or "no EPSG" in error.what
    assert "4326, 3857, 32601 to 32660" in error.expected and "2180" in error.expected
    assert "tilefix tiles import" in error.do


@settings(max_examples=100, deadline=None)
@given(
    zoom=st.integers(1, 22),
    x=st.floats(0, 1, exclude_max=True),
    y=st.floats(0.001, 0.999),
    inside=st.tuples(st.floats(0, 256), st.floats(0, 256)),
)
def test_mercator_round_trip_and_proj(zoom, x, y, inside):
    world_px = 256 * 2**zoom
    geometry = MercatorGeometry(zoom, math.floor(x * world_px), math.floor(y * world_px))
    pixel = np.array([inside])
    position = geometry.lon_lat_deg(pixel)
    assert -180 <= position[0, 0] < 180
    again = geometry.xy_px(position)
    # one step of a float64 longitude or latitude is 1.3e-7 px at zoom 22
    assert np.abs(again - pixel).max() < 1e-6
    east = (geometry.left_px + inside[0]) / world_px * WORLD_M - WORLD_M / 2
    north = WORLD_M / 2 - (geometry.top_px + inside[1]) / world_px * WORLD_M
    expected = np.array(transformer(3857, 4326).transform(east, north))
    assert distance_m(position[0], expected) < 1e-6


def test_mercator_across_the_antimeridian():
    zoom, world_px = 10, 256 * 2**10
    geometry = MercatorGeometry(zoom, world_px - 512, world_px // 2)
    ends = geometry.lon_lat_deg(np.array([[0.0, 0.0], [512.0, 0.0], [1024.0, 0.0]]))[:, 0]
    assert ends[0] > 179 and ends[1] == -180.0 and -180 < ends[2] < -179
    pixels = geometry.xy_px(np.array([[179.9, 0.0], [-179.9, 0.0]]))
    assert pixels[0, 0] == pytest.approx(512 - 0.1 / 360 * world_px)
    assert pixels[1, 0] == pytest.approx(512 + 0.1 / 360 * world_px)


@pytest.mark.parametrize(
    ("geometry", "rtol"),
    [
        (MercatorGeometry(18, 35_000_000, 20_000_000), 1e-6),
        (MercatorGeometry(18, 35_000_000, 8_000_000), 1e-6),
        (MercatorGeometry(15, 100_000, 4_194_304), 1e-6),
        (AffineGeometry((11.5, 3e-6, 0, 48.1, 0, -3e-6), 4326), 1e-6),
        (AffineGeometry((5e5, 0.5, 0.2, 5.2e6, 0.2, -0.5), 32632), 1e-6),
        (AffineGeometry((8.5e5, 0.5, 0, 5.2e6, 0, -0.5), 32632), 1e-6),
        (AffineGeometry((1.2e6, 0.5, 0, 6e6, 0, -0.5), 3857), 1e-6),
        (AffineGeometry((7e5, 0.3, 0, 3e5, 0, -0.3), 2180), 1e-6),
    ],
)
def test_metres_per_px_against_the_geodesic(geometry, rtol):
    pixel = np.array([[300.0, 700.0]])
    reach = 20.0
    ends = pixel + np.array([[-reach, 0], [reach, 0], [0, -reach], [0, reach]])
    (w, e, n, s) = geometry.lon_lat_deg(ends)
    across = GEOD.inv(*w, *e)[2] / (2 * reach)
    down = GEOD.inv(*n, *s)[2] / (2 * reach)
    np.testing.assert_allclose(geometry.metres_per_px(pixel)[0], [across, down], rtol=rtol)


@settings(max_examples=80, deadline=None)
@given(
    epsg=st.sampled_from([32632, 32755, 2180, 3857, 4326]),
    pixel=st.tuples(st.floats(-2000, 3000), st.floats(-2000, 3000)),
    turn=st.floats(0, 6.28),
)
def test_affine_round_trip_with_rotation(epsg, pixel, turn):
    corner = {4326: (17.0, 52.0), 3857: (1.9e6, 6.8e6)}.get(epsg, (480_000.0, 520_000.0))
    step = 3e-6 if epsg == 4326 else 0.3
    c, s = step * math.cos(turn), step * math.sin(turn)
    geometry = AffineGeometry((corner[0], c, s, corner[1], s, -c), epsg)
    there = geometry.lon_lat_deg(np.array([pixel]))
    assert np.abs(geometry.xy_px(there) - pixel).max() < 1e-6
    x = corner[0] + c * pixel[0] + s * pixel[1]
    y = corner[1] + s * pixel[0] - c * pixel[1]
    expected = np.array(transformer(epsg, 4326).transform(x, y))
    assert distance_m(there[0], expected) < 1e-3


def test_affine_shift_and_scale_keep_the_ground():
    geometry = AffineGeometry((5e5, 0.5, 0.2, 5.2e6, 0.2, -0.5), 32632)
    pixel = np.array([[130.0, 70.0]])
    moved = geometry.shifted(100, 50).lon_lat_deg(pixel - [100, 50])
    wider = geometry.scaled(2, 4).lon_lat_deg(pixel / [2, 4])
    for other in (moved, wider):
        np.testing.assert_allclose(other, geometry.lon_lat_deg(pixel), atol=1e-12)


def test_geographic_window_across_the_antimeridian():
    geometry = AffineGeometry((179.9, 1e-4, 0, 10, 0, -1e-4), 4326)
    pixels = np.array([[500.0, 500.0], [1500.0, 500.0]])
    positions = geometry.lon_lat_deg(pixels)
    assert positions[0, 0] == pytest.approx(179.95) and positions[1, 0] == pytest.approx(-179.95)
    np.testing.assert_allclose(geometry.xy_px(positions), pixels, atol=1e-6)


@pytest.mark.parametrize(
    "transform", [(0, 0, 0, 0, 0, 0), (0, 1, 2, 0, 2, 4), (math.nan, 1, 0, 0, 0, -1)]
)
def test_a_plane_without_area_is_refused(transform):
    with pytest.raises(GeoreferenceError, match="cannot be inverted"):
        AffineGeometry(transform, 32632)


@pytest.mark.parametrize(
    "geometry",
    [
        MercatorGeometry(18, 1000.25, 99.5),
        AffineGeometry((5e5, 0.5, 0.2, 5.2e6, 0.2, -0.5), 32632),
    ],
)
def test_geometry_dict_round_trip(geometry):
    assert geometry_from_dict(geometry.to_dict()) == geometry


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"kind": "polar"},
        {"kind": "mercator", "zoom": 3},
        {"kind": "affine", "epsg": 4326},
        {"kind": "affine", "epsg": 4326, "geotransform": [1, 2]},
    ],
)
def test_values_that_are_no_geometry(values):
    with pytest.raises(GeoreferenceError, match="do not describe a window geometry"):
        geometry_from_dict(values)


def test_cvogl_name():
    geometry = cvogl_geometry("satellite/547433_5280574_512_32610.jpg")
    expected = transformer(32610, 4326).transform(547433, 5280574)
    assert distance_m(geometry.lon_lat_deg(np.array([[512.0, 512.0]]))[0], expected) < 1e-3
    corner = transformer(32610, 4326).transform(547433 - 256, 5280574 + 256)
    assert distance_m(geometry.lon_lat_deg(np.array([[0.0, 0.0]]))[0], corner) < 1e-3
    assert geometry.geotransform[1] == 0.5
    assert cvogl_geometry("547433.5_5280574_300_32610.jpg", 512).geotransform[1] == 300 / 512


@pytest.mark.parametrize(
    "name",
    [
        "tile.jpg",
        "1_2_3.jpg",
        "1_2_0_32610.jpg",
        "a_b_c_d.jpg",
        "1_2_3_32610.5.jpg",
        "1_2_3_inf.jpg",
    ],
)
def test_other_names_hold_no_georeference(name):
    with pytest.raises(GeoreferenceError, match="centreE_centreN_extent_EPSG") as caught:
        cvogl_geometry(name)
    assert name in caught.value.found


def test_cvogl_name_with_an_unsupported_code():
    with pytest.raises(GeoreferenceError, match="EPSG:2154 is not supported"):
        cvogl_geometry("547433_5280574_512_2154.jpg")


@settings(max_examples=60, deadline=None)
@given(
    lon=st.floats(-180, 180),
    lat=st.floats(-90, 90),
    azimuth=st.floats(0, 360),
    length_m=st.floats(0, 10_000),
)
def test_distance_against_the_geodesic(lon, lat, azimuth, length_m):
    end = GEOD.fwd(lon, lat, azimuth, length_m)[:2]
    assert distance_m((lon, lat), end) == pytest.approx(length_m, abs=1e-3)


def test_distance_of_many():
    a = np.array([[179.9999, 10.0], [5.0, 52.0]])
    b = np.array([[-179.9999, 10.0], [5.001, 52.0]])
    expected = GEOD.inv(a[:, 0], a[:, 1], b[:, 0], b[:, 1])[2]
    np.testing.assert_allclose(distance_m(a, b), expected, rtol=1e-9)


def test_error_radius_holds_ninety_percent():
    rng = np.random.default_rng(5)
    terms = (3.0, 1.5, 0.7)
    spread = sum(rng.normal(0, sigma, (200_000, 2)) for sigma in terms)
    radius = error_radius_m(None, terms)
    assert (np.hypot(*spread.T) <= radius).mean() == pytest.approx(0.9, abs=0.003)
    assert error_radius_m(5.0, terms) == pytest.approx(math.hypot(5.0, radius))
    assert error_radius_m(5.0, []) == 5.0
    assert error_radius_m(None, []) == 0.0
