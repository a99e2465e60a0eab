"""Pictures and their truth, each against something the renderer does not use itself."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import cv2
import numpy as np
import pytest

from training.scenes.camera import Camera, ParallelCamera
from training.scenes.frame import GroundFrame
from training.scenes.render import render_camera, render_map, render_view
from training.scenes.roofing import box
from training.scenes.season import Appearance, Season
from training.scenes.solids import Sketch
from training.scenes.textures import Material
from training.scenes.town import Town

PLAIN = Appearance(sunshine=0.0, supersample=1.0)
SUNNY = Appearance(sun_azimuth_deg=90, sun_elevation_deg=45, supersample=1.0)
WHITE = (Material.PLASTER, (0.7, 0.7, 0.7))


def digest(image: np.ndarray) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


def blocks(*extents: tuple[float, float, float, float, float]) -> Town:
    """An empty plain with white blocks (a0, a1, b0, b1, height), each a building."""
    sketch = Sketch()
    world = GroundFrame(0.0, 0.0, 0.0)
    plain = world.rectangle(-400, 400, -400, 400)
    sketch.ground(plain, Material.COURT, (0.3, 0.3, 0.3), 0)
    for a0, a1, b0, b1, height in extents:
        owner = sketch.add_object("building", world.rectangle(a0, a1, b0, b1), height)
        sketch.begin_part()
        box(sketch, world, (a0, a1, b0, b1, 0.0, height), WHITE, WHITE, owner)
    return Town(0, "test", 300.0, tuple(sketch.objects), sketch.solids())


def test_same_seed_gives_the_same_pixels_whatever_the_threads() -> None:
    look = Appearance(noise=3.0, jpeg_quality=80, blur_px=0.6, sensor_seed=4)
    camera = Camera.over((10.0, 5.0), 0.3, 70.0, 35.0, 470.0, 200, 150)
    before = cv2.getNumThreads()
    digests = []
    try:
        for threads in (1, 2):
            cv2.setNumThreads(threads)
            again = Town.generate(3, extent_m=150.0, style="suburb")
            view = render_view(again, look, camera)
            chart = render_map(again, look, 0.6, size_px=(250, 250))
            digests.append((digest(view.image), digest(chart.image), view.sightings, chart.boxes))
    finally:
        cv2.setNumThreads(before)
    assert digests[0] == digests[1]
    other = render_view(Town.generate(4, 150.0, "suburb"), look, camera)
    assert digest(other.image) != digests[0][0]


def test_sensor_seed_changes_noise_only(town: Town) -> None:
    look = Appearance(noise=3.0, supersample=1.0, sensor_seed=1)
    one = render_map(town, look, 0.6, size_px=(200, 200)).image
    two = render_map(town, replace(look, sensor_seed=2), 0.6, size_px=(200, 200)).image
    difference = one.astype(float) - two
    assert 3.0 < difference.std() < 5.5  # two independent noises of 3 grey levels: 4.2


def test_view_from_high_above_is_the_map(town: Town) -> None:
    """A pinhole far up, warped by the corners' own geometry, correlates with the map."""
    chart = render_map(town, PLAIN, 0.3, size_px=(600, 600)).image
    camera = Camera(0.0, 0.0, 6000.0, 30.0, 0.0, 6000.0 / 0.3, 600, 600)
    view = render_view(town, PLAIN, camera).image
    # yaw 30 degrees clockwise: the map is the view turned clockwise about the middle
    turn = cv2.getRotationMatrix2D((299.5, 299.5), -30.0, 1.0)
    upright = cv2.warpAffine(view, turn, (600, 600))
    middle = (slice(120, 480), slice(120, 480))
    a = cv2.GaussianBlur(cv2.cvtColor(chart, cv2.COLOR_RGB2GRAY), (0, 0), 1.0)[middle]
    b = cv2.GaussianBlur(cv2.cvtColor(upright, cv2.COLOR_RGB2GRAY), (0, 0), 1.0)[middle]
    # phase correlation measures the remaining shift between the two
    shift, response = cv2.phaseCorrelate(a.astype(np.float64), b.astype(np.float64))
    assert np.hypot(*shift) < 0.25
    assert response > 0.5
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.95


def test_box_of_a_map_is_where_the_picture_changes_without_the_object(town: Town) -> None:
    lean = (0.12, 0.05)
    chart = render_map(town, PLAIN, 0.3, size_px=(700, 700), lean=lean)
    inner = [b for b in chart.boxes if b.kind == "building" and b.inside == 1.0]
    assert len(inner) > 8
    for found in inner[:8]:
        bare = render_map(town.without([found.object_id]), PLAIN, 0.3, (0, 0), (700, 700), lean)
        changed = np.abs(chart.image.astype(int) - bare.image).sum(axis=2) > 12
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        seen = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        # the ridge may lean over the eave's box; elsewhere trees may hide a border
        assert np.abs(np.array(seen) - found.box_xyxy_px).max() < 5.0, found
        assert bare.box(found.object_id) is None


def test_clicks_and_boxes_of_a_view_lie_on_what_vanishes_with_the_object(town: Town) -> None:
    camera = Camera.over((0.0, 0.0), 0.2, 200.0, 45.0, 800.0)
    view = render_view(town, PLAIN, camera, click_rng=np.random.default_rng(2), click_jitter=1.0)
    chosen = [s for s in view.sightings if s.visible_px > 200 and s.visible > 0.3][:12]
    assert len(chosen) >= 8
    for sight in chosen:
        bare = render_view(town.without([sight.object_id]), PLAIN, camera).image
        changed = np.abs(view.image.astype(int) - bare).sum(axis=2) > 0
        x, y = sight.click_xy_px
        assert changed[int(y), int(x)], sight
        left, top, right, bottom = sight.box_xyxy_px
        rows, columns = np.nonzero(changed)
        assert left - 1 <= columns.min() and columns.max() + 1 <= right + 1, sight
        assert top - 1 <= rows.min() and rows.max() + 1 <= bottom + 1, sight
        assert sight.visible_px * 0.7 < changed.sum() <= sight.visible_px * 1.1 + 20


def test_building_is_drawn_where_opencv_projects_its_corners() -> None:
    town = blocks((-6, 6, 20, 30, 8.0))
    camera = Camera.over((0.0, 20.0), 0.1, 0.0, 40.0, 900.0)
    (sight,) = render_view(town, replace(PLAIN, supersample=2.0), camera).sightings
    t = np.deg2rad(40.0)
    rotation = np.array([[1, 0, 0], [0, -np.cos(t), -np.sin(t)], [0, np.sin(t), -np.cos(t)]])
    eye = np.array([camera.east_m, camera.north_m, camera.up_m])
    matrix = np.array([[900.0, 0, 320], [0, 900.0, 240], [0, 0, 1]])
    corners = np.array([[x, y, z] for x in (-6, 6) for y in (20, 30) for z in (0, 8.0)])
    vector, _ = cv2.Rodrigues(rotation)
    xy = cv2.projectPoints(corners, vector, -rotation @ eye, matrix, None)[0][:, 0]
    expected = (*xy.min(axis=0), *xy.max(axis=0))
    np.testing.assert_allclose(sight.box_xyxy_px, expected, atol=1.0)
    assert sight.visible > 0.97


def test_parallax_moves_the_roof_away_from_the_eye() -> None:
    town = blocks((28, 36, -4, 4, 12.0))
    camera = Camera(0.0, 0.0, 100.0, 0.0, 0.0, 500.0)
    (sight,) = render_view(town, PLAIN, camera).sightings
    left, _, right, _ = sight.box_xyxy_px
    np.testing.assert_allclose(left, 320 + 28 * 500 / 100, atol=1.5)  # foot of the near wall
    np.testing.assert_allclose(right, 320 + 36 * 500 / 88, atol=1.5)  # eave of the far side


def test_hidden_object_is_not_seen_and_half_hidden_is_half_visible() -> None:
    camera = Camera.over((0.0, 0.0), 0.15, 0.0, 60.0, 900.0)
    small = (-3.0, 3.0, 2.0, 5.0, 2.0)
    alone = blocks(small)
    hidden = blocks(small, (-15, 15, -6, 0, 14.0))
    half = blocks(small, (0, 15, -6, 0, 14.0))
    (free,) = render_view(alone, PLAIN, camera).sightings
    assert free.visible > 0.97
    assert [s.object_id for s in render_view(hidden, PLAIN, camera).sightings] == ["building-0001"]
    partly = {s.object_id: s.visible for s in render_view(half, PLAIN, camera).sightings}
    assert abs(partly["building-0000"] - 0.5) < 0.08


def test_object_across_the_border_counts_only_its_part_inside() -> None:
    town = blocks((-10, 10, -10, 10, 0.5))
    camera = Camera(32.0, 0.0, 100.0, 0.0, 0.0, 1000.0, 640, 480)  # its left border: 0 m east
    (sight,) = render_view(town, PLAIN, camera).sightings
    assert abs(sight.visible - 0.5) < 0.03
    assert sight.box_xyxy_px[0] == 0


@pytest.mark.parametrize("azimuth", [0.0, 90.0, 200.0, 315.0])
def test_shadow_falls_away_from_the_sun_as_far_as_its_height_says(azimuth: float) -> None:
    town = blocks((-3, 3, -3, 3, 10.0))
    sun = Appearance(sun_azimuth_deg=azimuth, sun_elevation_deg=30.0, supersample=1.0)
    camera = ParallelCamera(-40.0, 40.0, 0.1, 800, 800)
    grey = render_camera(town, sun, camera).image.mean(axis=2)
    away = -np.array([np.sin(np.deg2rad(azimuth)), np.cos(np.deg2rad(azimuth))])
    length = 10.0 / np.tan(np.deg2rad(30.0))

    def ground(distance_m: float, sign: float) -> float:
        east, north = sign * away * distance_m
        row, column = int((40 - north) / 0.1), int((east + 40) / 0.1)
        return float(grey[row - 3 : row + 4, column - 3 : column + 4].mean())

    lit = ground(12.0, -1.0)
    assert ground(length - 1.0, 1.0) < 0.75 * lit
    assert ground(length + 6.0, 1.0) > 0.9 * lit


def test_cloudy_sky_casts_no_shadow() -> None:
    town = blocks((-3, 3, -3, 3, 10.0))
    camera = ParallelCamera(-40.0, 40.0, 0.1, 800, 800)
    grey = render_camera(town, PLAIN, camera).image.mean(axis=2)
    assert abs(grey[400, 250:330].mean() - grey[400, 470:550].mean()) < 4


def test_seasons_differ_in_colour_not_in_place(town: Town) -> None:
    looks = {s: render_map(town, replace(PLAIN, season=s), 0.6, size_px=(400, 400)) for s in Season}
    assert len({digest(picture.image) for picture in looks.values()}) == len(Season)
    assert len({picture.boxes for picture in looks.values()}) == 1
    green = {s: p.image.reshape(-1, 3).mean(axis=0) for s, p in looks.items()}
    assert green[Season.SNOW].mean() > green[Season.SUMMER].mean() + 25
    summer, dry = green[Season.SUMMER], green[Season.DRY]
    assert dry[0] / dry[1] > summer[0] / summer[1]
