"""All peers get the same frames, clicks and windows."""

from __future__ import annotations

import numpy as np
import pytest
from made_scene import CORNERS, FRAME_PX, write_scene

from benchmarks.peers.scene import read_scene
from edge.errors import PairsError


def test_the_same_seed_draws_the_same_clicks(tmp_path, tiny_bundle):
    path = write_scene(tmp_path)
    one, other, third = (read_scene(path, tiny_bundle, 8, seed) for seed in (4, 4, 5))
    assert len(one.queries) == len(CORNERS)
    for a, b, c in zip(one.queries, other.queries, third.queries, strict=True):
        assert a.click_xy_px.shape == (8, 2)
        assert (a.click_xy_px == b.click_xy_px).all() and (a.click_xy_px != c.click_xy_px).any()


def test_labels_come_first_and_the_rest_lies_beside_them(tmp_path, tiny_bundle):
    query = read_scene(write_scene(tmp_path), tiny_bundle, 8, 0).queries[0]
    labels = np.array([(click.x_px, click.y_px) for click in query.labels.clicks])
    assert {tuple(xy) for xy in query.click_xy_px[:3]} == {tuple(xy) for xy in labels}
    away = np.abs(query.click_xy_px[3:, None] - labels[None]).max(axis=2).min(axis=1)
    assert (away > 0).all() and (away <= 6).all()
    assert (query.click_xy_px > 0).all() and (query.click_xy_px < FRAME_PX).all()
    few = read_scene(write_scene(tmp_path), tiny_bundle, 2, 0).queries[0].click_xy_px
    assert {tuple(xy) for xy in few} <= {tuple(xy) for xy in labels}


def test_a_frame_that_says_where_it_was_has_one_window(tmp_path, tiny_bundle):
    scene = read_scene(write_scene(tmp_path, placed=True), tiny_bundle, 4, 0)
    assert len(scene.site.windows) > 1
    for (left, top), query in zip(CORNERS, scene.queries, strict=True):
        assert len(query.windows) == 1
        offsets = [each.offset_xy_px for each in scene.site.windows]
        centre = np.array([left + 48, top + 48])
        away = [np.hypot(*(np.array(xy) + 64 - centre)) for xy in offsets]
        assert query.window.offset_xy_px == offsets[int(np.argmin(away))]


def test_frames_that_do_not_say_have_all_windows(tmp_path, tiny_bundle):
    scene = read_scene(write_scene(tmp_path), tiny_bundle, 4, 0)
    assert all(query.windows == scene.site.windows for query in scene.queries)
    assert len(scene.site.windows) > 1


def test_a_query_anew_is_a_frame_that_nobody_has_seen(tmp_path, tiny_bundle):
    query = read_scene(write_scene(tmp_path), tiny_bundle, 4, 0).queries[0]
    again = query.anew()
    assert again.frame is not query.frame and again.frame.image is query.frame.image


def test_pictures_that_are_missing(tmp_path, tiny_bundle):
    path = write_scene(tmp_path)
    (tmp_path / "frame_1.png").unlink()
    with pytest.raises(PairsError):
        read_scene(path, tiny_bundle, 4, 0)
