"""The map of a pairs file as windows of the pipeline."""

from __future__ import annotations

import numpy as np
import pytest

from edge.errors import WindowError
from edge.feature_cache import FeatureCache
from edge.pairs_grid import AllWindows, PairsGrid
from edge.pairs_images import PairsMapImage, window_for
from edge.types import FILL_RGB, FramePose


def make(wide, high, gsd_m=0.5):
    random = np.random.default_rng(1)
    image = random.integers(0, 256, (high, wide, 3), dtype=np.uint8)
    chart = PairsMapImage(image, np.ones((high, wide), bool), gsd_m, None, "m" * 64, None)
    return chart, PairsGrid(window_for(chart, 0.5, 256))


def test_windows_are_read_as_they_were_cut():
    chart, grid = make(600, 300)
    assert len(grid.places) == 8
    for place in grid.places:
        window = grid.read(place.left_px, place.top_px, place.width_px, place.height_px)
        x, y = place.left_px, place.top_px
        piece = chart.image[y : y + 256, x : x + 256]
        assert np.array_equal(window.image[: piece.shape[0], : piece.shape[1]], piece)


def test_any_other_part_is_put_together_from_them():
    chart, grid = make(600, 300)
    part = grid.read(100, 20, 450, 250)
    assert part.valid.all()
    assert np.array_equal(part.image, chart.image[20:270, 100:550])
    beyond = grid.read(-50, 250, 200, 100)
    assert np.array_equal(beyond.image[:50, 50:], chart.image[250:300, 0:150])
    assert not beyond.valid[:, :50].any() and not beyond.valid[50:].any()
    assert beyond.image[0, 0].tolist() == list(FILL_RGB)
    far = grid.read(5000, 5000, 40, 30)
    assert far.image.shape == (30, 40, 3) and not far.valid.any()


def test_labels_are_carried_into_a_resampled_map():
    _, grid = make(100, 80, gsd_m=1.0)  # twice as coarse as the windows
    assert grid.to_grid(np.array([[10.0, 20.0]])).tolist() == [[20.0, 40.0]]
    (place,) = grid.places  # one window, the map amid it
    assert (place.left_px, place.top_px) == (-28, -48)


def test_every_frame_is_offered_every_window(parts):
    _, grid = make(600, 300)
    cache = FeatureCache(parts.FakeLocalizer(), grid)
    windows = AllWindows(cache, grid.places)
    assert windows.choose(FramePose()).places == windows.choose(FramePose((1.0, 2.0))).places
    assert windows.choose(FramePose()).places == grid.places


def test_a_map_without_windows():
    with pytest.raises(WindowError, match="a map without windows"):
        PairsGrid([])
