"""Two processes encode a map and one merges: the same store, byte for byte, as of one process."""

from __future__ import annotations

import filecmp
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edge.cli import tilefix
from edge.errors import FeatureStoreError, UsageError
from edge.feature_header import read_header
from edge.feature_store import FeatureStore
from edge.localizer import Localizer
from edge.tiles.opening import open_map

FILES = ["features.bin", "header.json", "index.jsonl"]
CLI = [sys.executable, "-m", "edge.cli"]
ZOOM = 19


@pytest.fixture(scope="module")
def town(tmp_path_factory) -> Path:
    """16 x 12 tiles, a corner of them missing."""
    path = tmp_path_factory.mktemp("map") / "town.mbtiles"
    rng = np.random.default_rng(3)
    database = sqlite3.connect(path)
    database.execute(
        "CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER,"
        " tile_data BLOB, PRIMARY KEY (zoom_level, tile_column, tile_row))"
    )
    for column in range(16):
        for row in range(12):
            if column < 10 or row < 8:
                image = cv2.resize(rng.integers(0, 255, (16, 16, 3), np.uint8), (256, 256))
                data = cv2.imencode(".jpg", image)[1].tobytes()
                south = 2**ZOOM - 1 - (180_000 + row)
                database.execute(
                    "INSERT INTO tiles VALUES (?,?,?,?)", (ZOOM, 280_000 + column, south, data)
                )
    database.commit()
    database.close()
    return path


def words(town, bundle, store, *more) -> list[str]:
    gsd_m = open_map(town).at_zoom(ZOOM).gsd_m
    given = ("--bundle", bundle.path, "--tiles", town, "--store", store, "--gsd-m", gsd_m)
    return list(map(str, ("tiles", "encode", *given, "--threads", 1, *more)))


def call(*given):
    return CliRunner().invoke(tilefix, list(map(str, given)), catch_exceptions=False)


@pytest.fixture(scope="module")
def whole(town, tiny_bundle, tmp_path_factory) -> Path:
    """The store of one process."""
    store = tmp_path_factory.mktemp("whole") / "s"
    assert call(*words(town, tiny_bundle, store)).exit_code == 0
    return store


def same_as(whole: Path, merged: Path) -> bool:
    return filecmp.cmpfiles(whole, merged, FILES, shallow=False) == (FILES, [], [])


def test_two_processes_at_once(town, tiny_bundle, whole, tmp_path):
    running = [
        subprocess.Popen(
            [*CLI, *words(town, tiny_bundle, tmp_path / "s", "--shard", f"{number}/2")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in (1, 2)
    ]
    said = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    counts = [int(re.search(r"(\d+) windows encoded", out)[1]) for out, _ in said]
    assert sum(counts) == len(opened(whole)) and min(counts) > 5
    folders = sorted((tmp_path / "s").iterdir())
    assert [folder.name for folder in folders] == ["shard-1-of-2", "shard-2-of-2"]
    assert not set(opened(folders[0])) & set(opened(folders[1]))
    merged = call("tiles", "merge", *folders, "--store", tmp_path / "m")
    assert merged.exit_code == 0 and f"{sum(counts)} windows of 2 shards" in merged.output
    assert same_as(whole, tmp_path / "m")


def opened(folder: Path) -> FeatureStore:
    header = read_header(folder)
    return FeatureStore.open(folder, model_id=header.model_id, map_id=header.map_id)


def test_a_merged_store_answers_the_same(town, tiny_bundle, whole, tmp_path):
    for number in (1, 2, 3):
        call(*words(town, tiny_bundle, tmp_path / "s", "--shard", f"{number}/3"))
    call("tiles", "merge", *(tmp_path / "s").iterdir(), "--store", tmp_path / "m")
    localizer = Localizer.open(tiny_bundle, threads=1)
    frame = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    clicks = np.array([[20.0, 30.0], [40.0, 11.0]], np.float32)
    one, other = opened(whole), opened(tmp_path / "m")
    assert list(one) == list(other)
    for window_id in list(one)[::7]:
        a, b = (localizer.locate(frame, clicks, each.read(window_id)) for each in (one, other))
        assert (a.box_xyxy_px == b.box_xyxy_px).all()
        assert (a.confidence_logit == b.confidence_logit).all()


def test_a_killed_shard_goes_on(town, tiny_bundle, whole, tmp_path):
    """kill -9 in the middle; the shard is refused until it is done, then none is encoded twice."""
    slow = (
        "import sys, time; from edge.encoding import BundleEncoder as B; real = B.encode;"
        "B.encode = lambda self, window: (time.sleep(0.05), real(self, window))[1];"
        "from edge.cli import main; main()"
    )
    first = words(town, tiny_bundle, tmp_path / "s", "--shard", "1/2")
    second = words(town, tiny_bundle, tmp_path / "s", "--shard", "2/2")
    folder = tmp_path / "s" / "shard-1-of-2"
    child = subprocess.Popen([sys.executable, "-c", slow, *first], stdout=subprocess.DEVNULL)
    index, deadline = folder / "index.jsonl", time.monotonic() + 60
    while time.monotonic() < deadline and child.poll() is None:
        if index.exists() and index.read_bytes().count(b"\n") >= 3:
            child.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    assert child.wait() == -signal.SIGKILL
    assert call(*second).exit_code == 0
    folders = [folder, tmp_path / "s" / "shard-2-of-2"]
    merge = ("tiles", "merge", *folders, "--store", tmp_path / "m")
    with pytest.raises(FeatureStoreError, match="is not finished") as caught:
        call(*merge)
    assert str(folder) in caught.value.what and "--shard 1/2" in caught.value.do
    kept = int(re.search(r"(\d+) were there", call(*first).output)[1])
    assert kept >= 3
    assert call(*merge).exit_code == 0 and same_as(whole, tmp_path / "m")


@pytest.mark.slow
def test_torchrun_deals_the_shards_out(town, tiny_bundle, whole, tmp_path):
    pytest.importorskip("torch", reason="the extra train is not installed")
    start = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    given = words(town, tiny_bundle, tmp_path / "s", "--shard", "env")
    done = subprocess.run(
        [sys.executable, *start, "-m", "edge.cli", *given],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    folders = sorted((tmp_path / "s").iterdir())
    assert [folder.name for folder in folders] == ["shard-1-of-2", "shard-2-of-2"]
    assert call("tiles", "merge", *folders, "--store", tmp_path / "m").exit_code == 0
    assert same_as(whole, tmp_path / "m")


def test_the_environment_of_torchrun(town, tiny_bundle, tmp_path, monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="from the environment"):
        call(*words(town, tiny_bundle, tmp_path / "s", "--shard", "env"))
    assert not (tmp_path / "s").exists()
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    given = words(town, tiny_bundle, tmp_path / "s", "--shard", "env")
    monkeypatch.setattr(sys, "argv", ["tilefix", *given])
    monkeypatch.setattr("edge.encoding.BundleEncoder.encode", stop)
    result = call(*given)
    assert result.exit_code == 130 and "shard 2/2" in result.output
    assert result.output.strip().endswith("--shard 2/2"), "goes on without torchrun"


def stop(self, window):
    raise KeyboardInterrupt


def test_more_shards_than_strips(town, tiny_bundle, whole, tmp_path):
    """A share without windows, or without imagery, is finished at once and merges."""
    of = 20
    said = [
        call(*words(town, tiny_bundle, tmp_path / "s", "--shard", f"{number}/{of}")).output
        for number in range(1, of + 1)
    ]
    assert any("0 windows of 128 px" in text for text in said)
    call("tiles", "merge", *(tmp_path / "s").iterdir(), "--store", tmp_path / "m")
    assert same_as(whole, tmp_path / "m")


def test_a_shard_is_not_taken_for_the_whole(town, tiny_bundle, tmp_path):
    call(*words(town, tiny_bundle, tmp_path / "s", "--shard", "1/2"))
    with pytest.raises(FeatureStoreError, match="holds a shard") as caught:
        call(*words(town, tiny_bundle, tmp_path / "s" / "shard-1-of-2"))
    assert caught.value.found == "shard 1/2"


def test_shards_of_different_features(town, tiny_bundle, tmp_path):
    call(*words(town, tiny_bundle, tmp_path / "s", "--shard", "1/2"))
    call(*words(town, tiny_bundle, tmp_path / "s", "--shard", "2/2", "--features", "int8"))
    with pytest.raises(FeatureStoreError, match="other settings") as caught:
        call("tiles", "merge", *(tmp_path / "s").iterdir(), "--store", tmp_path / "m")
    assert "int8" in str(caught.value)


def test_shards_of_different_areas(town, tiny_bundle, tmp_path):
    west, south, east, north = open_map(town).bounds_lon_lat_deg
    call(*words(town, tiny_bundle, tmp_path / "s", "--shard", "1/2"))
    part = f"--bbox={west},{south},{(west + east) / 2},{north}"
    call(*words(town, tiny_bundle, tmp_path / "s", "--shard", "2/2", part))
    with pytest.raises(FeatureStoreError, match="not of the same store") as caught:
        call("tiles", "merge", *(tmp_path / "s").iterdir(), "--store", tmp_path / "m")
    assert caught.value.expected == "area whole map"


def test_no_bar_stands_above_a_refusal(town, tiny_bundle, tmp_path):
    merge = ["tiles", "merge", str(tmp_path / "none"), "--store", str(tmp_path / "m")]
    refused = CliRunner().invoke(tilefix, merge)
    assert isinstance(refused.exception, FeatureStoreError) and refused.output == ""
    call(*words(town, tiny_bundle, tmp_path / "s", "--shard", "1/1"))
    merge[2] = str(tmp_path / "s" / "shard-1-of-1")
    done = CliRunner().invoke(tilefix, merge)
    windows = int(re.search(r"(\d+) windows of 1 shards", done.output)[1])
    assert f"{windows}/{windows} windows" in done.output, "the bar of what was merged"


def test_merge_stopped(town, tiny_bundle, tmp_path, monkeypatch):
    call(*words(town, tiny_bundle, tmp_path / "s", "--shard", "1/1"))
    monkeypatch.setattr("edge.feature_merge.append_line", stop)
    result = call("tiles", "merge", *(tmp_path / "s").iterdir(), "--store", tmp_path / "m")
    assert result.exit_code == 130 and "nothing was written" in result.output
    assert not (tmp_path / "m").exists()
