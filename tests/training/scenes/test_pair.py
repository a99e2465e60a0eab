"""Training samples: reproducible, honest about absence, right in geometry."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from training.scenes.camera import Camera
from training.scenes.pair import (
    PairOptions,
    Presence,
    ScenePair,
    ground_homography,
    sample_pair,
    two_dates,
)
from training.scenes.picture import draw_pair
from training.scenes.render import render_map, render_view
from training.scenes.season import Appearance
from training.scenes.town import Town

SMALL = PairOptions(
    view_size_px=(320, 240),
    window_size_px=(512, 512),
    least_px=15,
    elsewhere=0.0,
    new_buildings=0.15,
)


@pytest.fixture(scope="module")
def pairs(town: Town) -> list[ScenePair]:
    return [sample_pair(np.random.default_rng(seed), town, SMALL) for seed in range(12)]


def test_same_generator_state_gives_the_same_sample(town: Town, pairs: list[ScenePair]) -> None:
    again = sample_pair(np.random.default_rng(0), town, SMALL)
    assert np.array_equal(again.view_image, pairs[0].view_image)
    assert np.array_equal(again.window_image, pairs[0].window_image)
    assert again.clicks == pairs[0].clicks


def test_ground_things_project_into_their_boxes(pairs: list[ScenePair]) -> None:
    """Through the plane's homography a click on flat things or low roofs falls into its box."""
    checked = 0
    for pair in pairs:
        for click in pair.clicks:
            if click.kind not in ("pool", "pitch", "car") or click.map_box_xyxy_px is None:
                continue
            spot = cv2.perspectiveTransform(np.float64([[click.click_xy_px]]), pair.view_to_window)
            x, y = spot[0, 0]
            left, top, right, bottom = click.map_box_xyxy_px
            slack = 1.0 if click.kind != "car" else 12.0  # a car is up to 1.8 m high
            assert left - slack <= x <= right + slack and top - slack <= y <= bottom + slack
            checked += 1
    assert checked >= 5


def test_buildings_project_near_their_boxes(pairs: list[ScenePair]) -> None:
    distances = []
    for pair in pairs:
        for click in pair.clicks:
            if click.kind == "building" and click.presence is Presence.PRESENT:
                spot = np.float64([[click.click_xy_px]])
                x, y = cv2.perspectiveTransform(spot, pair.view_to_window)[0, 0]
                left, top, right, bottom = click.map_box_xyxy_px
                distances.append(np.hypot(x - (left + right) / 2, y - (top + bottom) / 2))
    assert len(distances) > 15
    assert np.median(distances) < 40  # 12 m: half a house, and the parallax of its roof


def test_camera_target_is_anywhere_in_the_window(pairs: list[ScenePair]) -> None:
    middles = []
    for pair in pairs:
        spot = np.float64([[[160, 120]]])
        middles.append(cv2.perspectiveTransform(spot, pair.view_to_window)[0, 0])
    offset = np.array(middles) - 256
    assert (np.abs(offset) <= 256).all()
    assert offset.std(axis=0).min() > 60


def test_absent_clicks_have_no_box_and_say_why(pairs: list[ScenePair]) -> None:
    seen = set()
    for pair in pairs:
        for click in pair.clicks:
            here = click.presence in (Presence.PRESENT, Presence.CUT)
            assert (click.map_box_xyxy_px is not None) == here
            listed = any(b.object_id == click.object_id for b in pair.window.boxes)
            assert listed == here
            seen.add(click.presence)
    assert {Presence.PRESENT, Presence.SINCE} <= seen


def test_elsewhere_shows_another_place(town: Town) -> None:
    options = replace(SMALL, elsewhere=1.0, extent_m=300.0)
    pair = sample_pair(np.random.default_rng(3), town, options)
    assert pair.view_to_window is None
    assert pair.clicks and all(c.presence is Presence.ELSEWHERE for c in pair.clicks)
    assert all(c.map_box_xyxy_px is None for c in pair.clicks)


def test_two_dates_change_only_what_can_change(town: Town) -> None:
    mapped, flown = two_dates(np.random.default_rng(1), town, 0.2, 0.1, 0.5)
    before, after = ({t.id for t in date.objects} for date in (mapped, flown))
    everything = {t.id for t in town.objects}
    assert before | after == everything
    changed = everything - (before & after)
    assert changed and all(not name.startswith("tree") for name in changed)


def test_drawing_shows_both_pictures(pairs: list[ScenePair]) -> None:
    sheet = draw_pair(pairs[0])
    assert sheet.shape == (512, 320 + 512 + 8, 3)
    assert np.abs(sheet[:240, :320].astype(int) - pairs[0].view_image).mean() < 60


def test_local_features_match_view_and_map(town: Town) -> None:
    """SIFT and RANSAC alone find the plane's homography: the textures are worth matching."""
    look = Appearance(sun_azimuth_deg=150, supersample=1.5)
    camera = Camera.over((5.0, -10.0), 0.22, 20.0, 25.0, 700.0)
    view = render_view(town, look, camera).image
    chart = render_map(town, look, 0.3, size_px=(800, 800))
    sift = cv2.SIFT_create(4000)
    here, d1 = sift.detectAndCompute(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), None)
    there, d2 = sift.detectAndCompute(cv2.cvtColor(chart.image, cv2.COLOR_RGB2GRAY), None)
    good = [m for m, n in cv2.BFMatcher().knnMatch(d1, d2, 2) if m.distance < 0.8 * n.distance]
    src = np.float32([here[m.queryIdx].pt for m in good]) + 0.5
    dst = np.float32([there[m.trainIdx].pt for m in good]) + 0.5
    found, mask = cv2.findHomography(src, dst, cv2.RANSAC, 3.0)
    assert mask.sum() > 60
    grid = np.float64([[[x, y]] for x in (100, 320, 540) for y in (80, 240, 400)])
    mine = cv2.perspectiveTransform(grid, found)[:, 0]
    true = cv2.perspectiveTransform(grid, ground_homography(camera, chart.camera))[:, 0]
    assert np.median(np.linalg.norm(mine - true, axis=1)) < 3.0
