"""Truncated GeoTIFFs of every layout that GDAL writes, against the length of the whole file."""

from __future__ import annotations

import numpy as np
import pytest

from edge.errors import MapError
from edge.tiles import open_map
from edge.tiles.tiff_length import check_whole

rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")

PICTURE = np.random.default_rng(3).integers(0, 255, (3, 400, 600), np.uint8)
UTM = (0.5, 0, 692_000, 0, -0.5, 5_335_000)
TILED = {"tiled": True, "blockxsize": 128, "blockysize": 128}
LAYOUTS = {
    "strips": {},
    "one strip": {"blockysize": 400, "interleave": "pixel"},
    "tiles": TILED,
    "pixel by pixel, JPEG": {**TILED, "interleave": "pixel", "compress": "jpeg"},
    "BigTIFF": {**TILED, "BIGTIFF": "YES"},
    "big-endian": {"ENDIANNESS": "BIG"},
    "BigTIFF, big-endian": {"ENDIANNESS": "BIG", "BIGTIFF": "YES", "compress": "deflate"},
    "cloud-optimised": {"driver": "COG", "blocksize": 128},
}


@pytest.fixture(params=LAYOUTS)
def tif(request, tmp_path, make_tif):
    return make_tif(tmp_path / "m.tif", PICTURE, UTM, 32632, **LAYOUTS[request.param])


def cut(path, length):
    with path.open("r+b") as stream:
        stream.truncate(length)
    return path


def test_a_whole_file_passes(tif):
    check_whole(tif)
    open_map(tif).close()


def test_the_last_byte_counts(tif):
    size = tif.stat().st_size
    with pytest.raises(MapError) as caught:
        # Some layouts end with a table or a few bytes of padding instead of a block.
        check_whole(cut(tif, size - 5))
    assert "m.tif is truncated" in caught.value.what
    assert f"{size}" in caught.value.expected or f"{size - 4}" in caught.value.expected
    assert f"{size - 5} bytes" in caught.value.found and "copy the file again" in caught.value.do


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_part_of_a_file_is_no_map(tif, share):
    with pytest.raises(MapError, match=r"is truncated|cannot be read as a GeoTIFF"):
        open_map(cut(tif, int(tif.stat().st_size * share)))


def test_overviews_behind_the_picture_count(tmp_path, make_tif):
    path = make_tif(tmp_path / "m.tif", PICTURE, UTM, 32632, **TILED)
    before = path.stat().st_size
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4])
    open_map(path).close()
    assert path.stat().st_size > before
    with pytest.raises(MapError, match="is truncated"):
        open_map(cut(path, path.stat().st_size - 100))


def test_a_sparse_file_is_whole(tmp_path, make_tif):
    path = make_tif(tmp_path / "m.tif", 0 * PICTURE, UTM, 32632, SPARSE_OK="TRUE", **TILED)
    assert path.stat().st_size < 10_000
    open_map(path).close()


@pytest.mark.parametrize("data", [b"", b"II", b"II*\0", bytes(range(256)) * 8])
def test_what_is_no_tiff_is_left_to_gdal(tmp_path, data):
    (tmp_path / "m.tif").write_bytes(data)
    check_whole(tmp_path / "m.tif")


def test_a_header_alone(tmp_path):
    (tmp_path / "m.tif").write_bytes(b"MM\0*\0\0\0\x08")
    with pytest.raises(MapError, match="is truncated"):
        check_whole(tmp_path / "m.tif")


def test_a_circle_of_pictures_ends(tmp_path):
    """One entry that counts for nothing, and itself as the next picture."""
    path = tmp_path / "m.tif"
    entry = (256).to_bytes(2, "little") + b"\x03\0\x01\0\0\0\x01\0\0\0"
    path.write_bytes(b"II*\0\x08\0\0\0" + b"\x01\0" + entry + b"\x08\0\0\0")
    check_whole(path)
