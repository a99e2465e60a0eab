"""Windows out of MBTiles and features out of a store: absolute times reported, ratios asserted.

Budgets, on two CPU cores: a window of 1024 px at most 15 ms cold and 1.5 ms along a flight, a
stored feature at most 3 ms warm. A loaded machine is slower as a whole, so only ratios can fail.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.in_turns import least_ms
from edge.bundle import Bundle, shipped_bundle_path
from edge.feature_header import FeatureHeader, tensor_specs
from edge.feature_store import FeatureStore
from edge.tiles.mbtiles import MBTilesSource
from edge.tiles.mbtiles_writer import MBTilesWriter
from edge.tiles.pyramid import MercatorGrid, TilePyramid
from edge.types import ReferenceFeature

ZOOM, SIDE_TILES = 18, 48
COLUMN, ROW = 140_000, 90_000
WINDOWS = 24
STEPS = 100  # along a flight, of which the first reads all tiles of its window


def _tile(rng: np.random.Generator) -> bytes:
    """JPEG of about 17 kB, as aerial imagery has at quality 85."""
    image = np.zeros((256, 256, 3), np.float32)
    for cells, weight in ((8, 60), (32, 40), (128, 40)):
        noise = rng.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        image += weight * cv2.resize(noise, (256, 256), interpolation=cv2.INTER_CUBIC)
    picture = np.clip(image + 110, 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory):
    path = tmp_path_factory.mktemp("map") / "town.mbtiles"
    rng = np.random.default_rng(0)
    pictures = [_tile(rng) for _ in range(64)]
    with MBTilesWriter(path, {"name": "town"}) as writer:
        for column in range(SIDE_TILES):
            for row in range(SIDE_TILES):
                data = pictures[int(rng.integers(len(pictures)))]
                writer.put(ZOOM, COLUMN + column, ROW + row, data)
    opened = TilePyramid(MBTilesSource(path))
    yield opened
    opened.close()


class Flight:
    """Corners of windows along a straight flight over the map, 8 px east and 5 px south a step."""

    def __init__(self, grid: MercatorGrid) -> None:
        self.left, self.top, right, bottom = grid.extent_px
        self.width, self.height = right - self.left - 1024, bottom - self.top - 1024
        self.step = 0

    def next(self) -> tuple[int, int]:
        self.step += 1
        return self.left + 8 * self.step % self.width, self.top + 5 * self.step % self.height


def _cold_window(pyramid: TilePyramid) -> Callable[[], object]:
    """Reads a window somewhere, with no tile at hand. The file itself is in the page cache."""
    grid = pyramid.at_zoom(ZOOM)
    left, top, right, bottom = grid.extent_px
    rng = np.random.default_rng(1)

    def read() -> object:
        pyramid.cache.clear()
        x, y = rng.integers((left, top), (right - 1024, bottom - 1024)).tolist()
        return grid.read(x, y)

    return read


def test_window_cold(benchmark, pyramid):
    window = benchmark(_cold_window(pyramid))
    benchmark.extra_info["budget_ms"] = 15.0
    assert window.coverage == 1.0


def test_window_along_a_flight(benchmark, pyramid):
    grid = pyramid.at_zoom(ZOOM)
    flight = Flight(grid)
    benchmark.extra_info["budget_ms"] = 1.5
    window = benchmark(lambda: grid.read(*flight.next()))
    assert window.coverage == 1.0

    def moving() -> None:
        """Many steps, for a turn of `cold` leaves no tile at hand."""
        for _ in range(STEPS):
            grid.read(*flight.next())

    cold_ms, steps_ms = least_ms(5, _cold_window(pyramid), moving)
    moving_ms = steps_ms / STEPS
    benchmark.extra_info["cold_over_moving"] = cold_ms / moving_ms
    assert cold_ms > 3 * moving_ms


def test_opening_a_map(benchmark, pyramid):
    """The identity of a map is sampled, so opening does not read it through."""
    source = benchmark(lambda: MBTilesSource(pyramid.path))
    assert source.map_id == pyramid.map_id
    source.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Windows of the shipped model's layout with local features."""
    shapes = {f.name: f.shape for f in Bundle.open(shipped_bundle_path()).manifest.features}
    rng = np.random.default_rng(2)
    tensors = {name: rng.normal(size=shapes[name]).astype(np.float16) for name in ("v", "u")}
    for level, slots in ((2, 16384), (1, 4096)):
        tensors[f"align_xy_{level}x"] = rng.integers(0, 2048, (slots, 2)).astype(np.int16)
        shape = (slots, 64)
        tensors[f"align_descriptor_{level}x"] = rng.integers(-127, 127, shape).astype(np.int8)
        tensors[f"align_count_{level}x"] = np.array([slots], np.int32)
    header = FeatureHeader(
        model_id="m", map_id="t", gsd_m=0.4, zoom=ZOOM, tensors=tensor_specs(tensors)
    )
    folder: Path = tmp_path_factory.mktemp("store") / "s"
    with FeatureStore.create(folder, header) as writer:
        for number in range(WINDOWS):
            name = f"z18/x{number * 512}/y0"
            writer.write(ReferenceFeature(tensors, None, 1024, 1024, name, "t", "m", 1.0))
    with FeatureStore.open(folder, model_id="m", map_id="t") as reader:
        yield reader


def test_feature_read_warm(benchmark, pyramid, store):
    """Checked against its CRC on every read, and still cheaper than the pixels it stands for."""
    names = list(store)
    turn = iter(range(10**9))
    benchmark.extra_info["budget_ms"] = 3.0
    benchmark.extra_info["record_bytes"] = store.header.record_bytes
    feature = benchmark(lambda: store.read(names[next(turn) % len(names)]))
    assert feature.tensors["v"].shape[0] == 128
    read_ms, cold_ms = least_ms(
        15, lambda: store.read(names[next(turn) % len(names)]), _cold_window(pyramid)
    )
    benchmark.extra_info["cold_window_over_read"] = cold_ms / read_ms
    assert cold_ms > 2 * read_ms
