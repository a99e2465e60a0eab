"""Encoding a map: resume after kill -9, full disks, corruption; never a wrong feature."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.encoding import BundleEncoder, EncodeCount, encode_windows, open_features
from edge.errors import FeatureStoreError, OutputError, WindowError
from edge.feature_store import FeatureStore
from edge.tiles import open_map
from edge.tiles.lattice import all_windows
from edge.types import ReferenceFeature

ZOOM, COLUMN, ROW = 17, 70_000, 45_000  # 7 x 6 tiles, one missing corner
SIZE = 256


class FakeEncoder:
    """Tensors that follow from the pixels, slowly."""

    def __init__(self, delay_s: float = 0.0, model_id: str = "m" * 64) -> None:
        self.model_id = model_id
        self.alignment_id = "a" * 64
        self.delay_s = delay_s
        self.calls = 0

    def encode(self, window) -> ReferenceFeature:
        self.calls += 1
        time.sleep(self.delay_s)
        small = cv2.resize(window.image, (32, 32), interpolation=cv2.INTER_AREA)
        return ReferenceFeature(
            tensors={
                "v": np.moveaxis(small, 2, 0).astype(np.float16),
                "u": np.repeat(window.image[None, ::4, ::4, 0].astype(np.float16), 9, axis=0),
                "align_xy_1x": np.zeros((600, 2), np.int16),
            },
            geometry=window.geometry,
            width_px=window.image.shape[1],
            height_px=window.image.shape[0],
            window_id=window.window_id,
            map_id=window.map_id,
            model_id=self.model_id,
            coverage=window.coverage,
            imagery_ce90_m=window.imagery_ce90_m,
        )


def write_map(path: Path, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    database = sqlite3.connect(path)
    database.execute(
        "CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER,"
        " tile_data BLOB, PRIMARY KEY (zoom_level, tile_column, tile_row))"
    )
    for column in range(7):
        for row in range(6):
            if column < 4 or row < 3:
                image = cv2.resize(rng.integers(0, 255, (16, 16, 3), np.uint8), (256, 256))
                data = cv2.imencode(".jpg", image)[1].tobytes()
                south = 2**ZOOM - 1 - (ROW + row)
                database.execute(
                    "INSERT INTO tiles VALUES (?,?,?,?)", (ZOOM, COLUMN + column, south, data)
                )
    database.commit()
    database.close()
    return path


def run(map_path, store, encoder, **named) -> EncodeCount:
    tile_map = open_map(map_path)
    grid = tile_map.at_zoom(ZOOM)
    try:
        places = all_windows(grid, SIZE)
        size = (SIZE, SIZE)
        return encode_windows(
            grid, tile_map.map_id, places, encoder, store, window_px=size, **named
        )
    finally:
        tile_map.close()


def check_all(map_path, store) -> int:
    """Every stored window equals a fresh encode; returns how many there are."""
    tile_map, encoder = open_map(map_path), FakeEncoder()
    grid = tile_map.at_zoom(ZOOM)
    with FeatureStore.open(store, model_id=encoder.model_id, map_id=tile_map.map_id) as features:
        for place in all_windows(grid, SIZE):
            window = grid.read(place.left_px, place.top_px, SIZE, SIZE)
            if window.coverage == 0:
                assert window.window_id not in features
                continue
            expected, found = encoder.encode(window), features.read(window.window_id)
            for name, value in expected.tensors.items():
                np.testing.assert_array_equal(found.tensors[name], value)
            assert found.geometry == expected.geometry and found.coverage == expected.coverage
        assert features.verify() == ()
        count = len(features)
    tile_map.close()
    return count


@pytest.fixture
def town(tmp_path):
    return write_map(tmp_path / "town.mbtiles")


def test_encode_then_again(town, tmp_path):
    encoder, seen = FakeEncoder(), []
    count = run(town, tmp_path / "s", encoder, progress=lambda c: seen.append(c.done))
    assert count.encoded == encoder.calls > 5 and count.empty > 0 and count.kept == 0
    assert seen == list(range(1, count.done + 1))
    assert check_all(town, tmp_path / "s") == count.encoded
    again = FakeEncoder()
    second = run(town, tmp_path / "s", again)
    assert again.calls == 0 and second.kept == count.encoded and second.encoded == 0


def test_kill_and_resume(town, tmp_path):
    """kill -9 in the middle, several times, at whatever moment it falls."""
    store = tmp_path / "s"
    code = (
        "import importlib.util as u, sys, pathlib;"
        "s = u.spec_from_file_location('t', sys.argv[1]); t = u.module_from_spec(s);"
        "s.loader.exec_module(t);"
        "t.run(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), t.FakeEncoder(0.03))"
    )
    index, kills = store / "index.jsonl", 0
    for wanted in (1, 4):
        child = subprocess.Popen([sys.executable, "-c", code, __file__, town, store])
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and child.poll() is None:
            if index.exists() and index.read_bytes().count(b"\n") >= wanted:
                child.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        kills += child.wait() == -signal.SIGKILL
    assert kills == 2
    encoder = FakeEncoder()
    count = run(town, store, encoder)
    assert count.kept >= 4 and encoder.calls == count.encoded >= 1
    assert check_all(town, store) == count.kept + count.encoded


def test_corrupt_windows_are_encoded_again(town, tmp_path):
    total = run(town, tmp_path / "s", FakeEncoder()).encoded
    data = tmp_path / "s" / "features.bin"
    content = bytearray(data.read_bytes())
    for place in (100, len(content) // 2):
        content[place] ^= 1
    data.write_bytes(bytes(content))
    encoder = FakeEncoder()
    count = run(town, tmp_path / "s", encoder)
    assert (count.redone, count.encoded, encoder.calls, count.kept) == (2, 2, 2, total - 2)
    assert check_all(town, tmp_path / "s") == total


def test_a_full_disk_and_on(town, tmp_path, monkeypatch):
    written = []
    real = os.pwrite

    def pwrite(fd, data, offset):
        if len(written) >= 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(offset)
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    command = "tilefix tiles encode --tiles town.mbtiles --store s"
    with pytest.raises(OutputError, match="the disk is full") as caught:
        run(town, tmp_path / "s", FakeEncoder(), resume_command=command)
    assert command in caught.value.do and "No space left" in caught.value.found
    monkeypatch.undo()
    count = run(town, tmp_path / "s", FakeEncoder())
    assert count.kept == 3 and count.redone == 0
    assert check_all(town, tmp_path / "s") == count.kept + count.encoded


def test_ctrl_c_keeps_what_was_done(town, tmp_path):
    def stop(count):
        if count.encoded == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(town, tmp_path / "s", FakeEncoder(), progress=stop)
    count = run(town, tmp_path / "s", FakeEncoder())
    assert count.kept == 3


def test_a_store_of_another_map_or_model(town, tmp_path):
    run(town, tmp_path / "s", FakeEncoder())
    other = write_map(tmp_path / "other.mbtiles", seed=1)
    ids = [open_map(path).map_id for path in (town, other)]
    with pytest.raises(FeatureStoreError, match="another map") as caught:
        run(other, tmp_path / "s", FakeEncoder())
    assert ids[0] in caught.value.found and ids[1] in caught.value.expected
    encoder = FakeEncoder(model_id="n" * 64)
    with pytest.raises(FeatureStoreError, match="another model") as caught:
        run(town, tmp_path / "s", encoder)
    assert "m" * 64 in caught.value.found and "n" * 64 in caught.value.expected
    assert encoder.calls == 0


def test_nothing_to_encode(town, tmp_path):
    tile_map = open_map(town)
    grid = tile_map.at_zoom(ZOOM)
    empty = [
        p for p in all_windows(grid, SIZE) if grid.read(p.left_px, p.top_px, 256, 256).coverage == 0
    ]
    with pytest.raises(WindowError, match="no window has imagery") as caught:
        encode_windows(grid, tile_map.map_id, empty, FakeEncoder(), tmp_path / "s")
    assert f"{len(empty)} windows" in caught.value.found and "--bbox" in caught.value.do
    assert not (tmp_path / "s").exists()


def test_open_features_checks_the_grid(town, tmp_path):
    run(town, tmp_path / "s", FakeEncoder())
    tile_map = open_map(town)
    grid = tile_map.at_zoom(ZOOM)
    ids = {"model_id": "m" * 64, "map_id": tile_map.map_id}
    with open_features(tmp_path / "s", **ids, grid=grid, alignment_id="a" * 64) as store:
        assert len(store) > 5

    class Other:
        gsd_m, zoom = grid.gsd_m * 2, ZOOM - 1

    with pytest.raises(FeatureStoreError, match="other settings") as caught:
        open_features(tmp_path / "s", **ids, grid=Other())
    assert f"zoom {ZOOM}" in caught.value.found and f"zoom {ZOOM - 1}" in caught.value.expected
    with pytest.raises(FeatureStoreError, match="other settings"):
        open_features(tmp_path / "s", **ids, grid=grid, alignment_id="z" * 64)


def test_a_bundle_encodes(town, tmp_path, tiny_bundle):
    encoder = BundleEncoder(tiny_bundle)
    assert encoder.alignment_id is None and encoder.model_id == tiny_bundle.model_id
    tile_map = open_map(town)
    grid = tile_map.at_zoom(ZOOM)
    size = tiny_bundle.manifest.window.width_px, tiny_bundle.manifest.window.height_px
    places = list(all_windows(grid, size[0]))
    count = encode_windows(grid, tile_map.map_id, places, encoder, tmp_path / "s", window_px=size)
    assert count.encoded > 5
    window = grid.read(places[0].left_px, places[0].top_px, *size)
    store = FeatureStore.open(tmp_path / "s", model_id=tiny_bundle.model_id, map_id=tile_map.map_id)
    expected, found = encoder.encode(window), store.read(window.window_id)
    for name, value in expected.tensors.items():
        np.testing.assert_array_equal(found.tensors[name], value)
