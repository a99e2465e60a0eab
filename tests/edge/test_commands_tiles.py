"""The verb `tiles` as its user types it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edge.cli import tilefix
from edge.errors import FeatureStoreError, MapError, OutputError, UsageError
from edge.tiles import open_map

UTM = (0.5, 0, 692_000, 0, -0.5, 5_335_000)


def call(*words, catch=False):
    result = CliRunner().invoke(tilefix, list(map(str, words)), catch_exceptions=catch)
    return result


@pytest.fixture(scope="module")
def made_ortho(tmp_path_factory):
    rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    image = cv2.resize(noise, (1600, 1200), interpolation=cv2.INTER_CUBIC)
    path = tmp_path_factory.mktemp("made") / "ortho.tif"
    options = {"driver": "GTiff", "count": 3, "height": 1200, "width": 1600, "dtype": "uint8"}
    with rasterio.open(
        path, "w", crs="EPSG:32632", transform=rasterio.Affine(*UTM), **options
    ) as dataset:
        dataset.write(np.moveaxis(image, 2, 0))
    return path


@pytest.fixture
def ortho(made_ortho, tmp_path):
    return Path(shutil.copy(made_ortho, tmp_path))


@pytest.fixture(scope="module")
def town(made_ortho, tmp_path_factory):
    """Only to be read."""
    out = tmp_path_factory.mktemp("town") / "town.mbtiles"
    call("tiles", "import", made_ortho, "--out", out, "--imagery-ce90-m", 4.5)
    return out


def test_import(ortho, tmp_path):
    out = tmp_path / "town.mbtiles"
    result = call("tiles", "import", ortho, "--out", out, "--quality", 70, "--name", "Town")
    assert result.exit_code == 0
    assert "0.5 m/px, zooms" in result.output and "map_id" in result.output
    tile_map = open_map(out)
    assert tile_map.source.metadata["name"] == "Town" and tile_map.imagery_ce90_m is None
    with pytest.raises(OutputError, match="already there"):
        call("tiles", "import", ortho, "--out", out)
    assert call("tiles", "import", ortho, "--out", out, "--replace").exit_code == 0


@pytest.mark.parametrize(
    ("name", "what", "expected", "found", "do"),
    [
        ("town.tif", "by its name", "ends in .mbtiles", "'town.tif'", "town.mbtiles"),
        ("town", "by its name", "ends in .mbtiles", "'town'", "town.mbtiles"),
        ("maps/town.mbtiles", "no folder", "maps", "no such folder", "make the folder"),
        ("ortho.tif/town.mbtiles", "no folder", "ortho.tif", "a file", "correct --out"),
        ("old.mbtiles", "already there", "a new file", "an existing one", "--replace"),
    ],
)
def test_import_to_a_slip_of_the_keyboard(
    ortho, tmp_path, monkeypatch, name, what, expected, found, do
):
    (tmp_path / "old.mbtiles").write_bytes(b"dear")
    before = sorted(path.name for path in tmp_path.iterdir())
    monkeypatch.setattr("edge.tiles.importer.plan_import", None)  # refused before all work
    with pytest.raises((OutputError, UsageError), match=what) as caught:
        call("tiles", "import", ortho, "--out", tmp_path / name)
    assert caught.value.exit_code == (14 if "already" in what else 2)
    assert expected in caught.value.expected and found in caught.value.found
    assert do in caught.value.do
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("words", [("--quality", 0), ("--imagery-ce90-m", -1)])
def test_import_checks_its_numbers_before_all_work(ortho, tmp_path, monkeypatch, words):
    monkeypatch.setattr("edge.tiles.importer.plan_import", None)
    with pytest.raises(UsageError, match="quality or accuracy"):
        call("tiles", "import", ortho, "--out", tmp_path / "town.mbtiles", *words)


def test_info_of_a_truncated_geotiff(ortho):
    whole = ortho.stat().st_size
    with ortho.open("r+b") as stream:
        stream.truncate(whole - 1000)
    with pytest.raises(MapError) as caught:
        call("tiles", "info", ortho)
    assert "ortho.tif is truncated" in caught.value.what
    assert f"at least {whole} bytes" in caught.value.expected
    assert f"{whole - 1000} bytes" in caught.value.found


def test_import_stopped(ortho, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("edge.tiles.importer.encode_tile", interrupt)
    result = call("tiles", "import", ortho, "--out", tmp_path / "town.mbtiles")
    assert result.exit_code == 130 and "nothing was written" in result.output
    assert [p.name for p in tmp_path.iterdir()] == ["ortho.tif"]


def test_info_of_mbtiles(town):
    result = call("tiles", "info", town)
    tile_map = open_map(town)
    assert result.exit_code == 0
    assert re.search(r"kind +MBTiles", result.output)
    assert tile_map.map_id in result.output and "CE90 4.5 m" in result.output
    for zoom in tile_map.zooms:
        gsd, count = tile_map.at_zoom(zoom).gsd_m, tile_map.source.count(zoom)
        assert re.search(rf"zoom +{zoom} +{gsd:.3f} m/px +{count} tiles", result.output)
    assert f"W {tile_map.bounds_lon_lat_deg[0]:.6f}" in result.output and " MB" in result.output


def test_info_of_geotiff(ortho):
    output = call("tiles", "info", ortho).output
    assert "EPSG:32632" in output and "1600 x 1200 at 0.5 m/px" in output
    assert "not stated" in output and "GeoTIFF" in output


def test_info_of_nothing(tmp_path):
    with pytest.raises(MapError, match="cannot be opened"):
        call("tiles", "info", tmp_path / "no.mbtiles")


def test_an_error_ends_with_its_text_and_exit_code(tmp_path):
    code = "from edge.cli import main; main()"
    words = [sys.executable, "-c", code, "tiles", "info", str(tmp_path / "no.mbtiles")]
    run = subprocess.run(words, capture_output=True, text=True)
    assert run.returncode == MapError.exit_code
    for part in ("tilefix: the map", "expected:", "found:", "do:"):
        assert part in run.stderr
    assert "Traceback" not in run.stderr


def encode_words(town, store, bundle, *more):
    gsd_m = open_map(town).at_zoom(open_map(town).zooms[-1]).gsd_m
    words = ("--bundle", bundle.path, "--tiles", town, "--store", store, "--gsd-m", gsd_m)
    return ("tiles", "encode", *words, *more)


def test_encode_and_again(town, tmp_path, tiny_bundle):
    words = encode_words(town, tmp_path / "s", tiny_bundle)
    first = call(*words)
    assert first.exit_code == 0
    found = re.search(r"(\d+) windows encoded, 0 were there, (\d+) without imagery", first.output)
    assert found and int(found[1]) > 5
    second = call(*words)
    assert f"0 windows encoded, {found[1]} were there" in second.output
    data = tmp_path / "s" / "features.bin"
    content = bytearray(data.read_bytes())
    content[0] ^= 1
    data.write_bytes(bytes(content))
    assert "(1 were corrupt and encoded again)" in call(*words).output


def test_encode_part_of_a_map(town, tmp_path, tiny_bundle):
    west, south, east, north = open_map(town).bounds_lon_lat_deg
    middle = f"{(west + east) / 2},{(south + north) / 2}"
    whole = call(*encode_words(town, tmp_path / "a", tiny_bundle)).output
    part = call(
        *encode_words(town, tmp_path / "b", tiny_bundle, "--bbox", f"{west},{south},{middle}")
    ).output
    counts = [int(re.search(r": (\d+) windows of", text)[1]) for text in (part, whole)]
    assert 0 < counts[0] < counts[1]


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "1;2;3;4"])
def test_a_box_that_cannot_be_read(town, tmp_path, tiny_bundle, text):
    with pytest.raises(UsageError, match="--bbox cannot be read") as caught:
        call(*encode_words(town, tmp_path / "s", tiny_bundle, "--bbox", text))
    assert caught.value.found == text and "--bbox=-1.5" in caught.value.do


@pytest.mark.parametrize(
    ("box", "what"),
    [
        ("{e},{s},{w},{n}", "lies east of its east"),
        ("{w},{s},200,{n}", "not on the Earth"),
        ("{w},-95,{e},{n}", "not on the Earth"),
    ],
)
def test_a_box_that_is_a_slip_is_refused_before_the_bundle_is_opened(
    town, tmp_path, tiny_bundle, monkeypatch, box, what
):
    west, south, east, north = open_map(town).bounds_lon_lat_deg
    text = "--bbox=" + box.format(w=west, s=south, e=east, n=north)
    monkeypatch.setattr("edge.bundle.Bundle.open", None)
    with pytest.raises(UsageError, match=what):
        call(*encode_words(town, tmp_path / "s", tiny_bundle, text))
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("gsd_m", [0, -0.3, "nan"])
def test_encode_at_no_resolution(tmp_path, gsd_m):
    words = ("--tiles", "none.mbtiles", "--store", tmp_path / "s", f"--gsd-m={gsd_m}")
    with pytest.raises(UsageError, match="ground sampling distance cannot be used") as caught:
        call("tiles", "encode", *words)
    assert "positive number" in caught.value.expected
    assert caught.value.found == str(float(gsd_m))
    assert not (tmp_path / "s").exists()


def test_encode_with_another_bundle(town, tmp_path, tiny_bundle, make_tiny_bundle):
    call(*encode_words(town, tmp_path / "s", tiny_bundle))
    other = make_tiny_bundle(tmp_path / "other", seed=5)
    assert other.model_id != tiny_bundle.model_id
    with pytest.raises(FeatureStoreError, match="another model") as caught:
        call(*encode_words(town, tmp_path / "s", other))
    assert tiny_bundle.model_id in caught.value.found and other.model_id in caught.value.expected


def test_encode_stopped_by_ctrl_c(town, tmp_path, tiny_bundle, monkeypatch):
    from edge.encoding import BundleEncoder

    real, calls = BundleEncoder.encode, []

    def encode(self, window):
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(window.window_id)
        return real(self, window)

    monkeypatch.setattr(BundleEncoder, "encode", encode)
    words = encode_words(town, tmp_path / "s", tiny_bundle)
    result = call(*words)
    assert result.exit_code == 130
    assert "stopped: 4 windows encoded" in result.output and "to go on: tilefix" in result.output
    monkeypatch.undo()
    assert "4 were there" in call(*words).output


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from edge.commands.tiles import tiles;"
        "print(sorted({'numpy', 'cv2', 'rasterio', 'rich', 'onnxruntime'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "[]"
