"""PMTiles beside the library's own reader, and broken ones."""

from __future__ import annotations

import numpy as np
import pytest

from edge.errors import MapError
from edge.tiles import open_map
from edge.tiles.pmtiles import PMTilesSource

KEYS = [(14, 8000 + x, 5000 + y) for x in range(6) for y in range(6)]
ZOOM, SIDE = 16, 110
FIRST = 30000, 20000


def refused(path):
    with pytest.raises(MapError) as caught:
        open_map(path)
    return caught.value


@pytest.fixture
def pmtiles(tmp_path, tile_png, write_pmtiles_file):
    return write_pmtiles_file(tmp_path / "map.pmtiles", {key: tile_png(key) for key in KEYS}, {})


@pytest.mark.parametrize(
    ("harm", "text"),
    [("half", "truncated"), ("header", "EOF"), ("version", "SpecVersion"), ("directory", "")],
)
def test_broken_pmtiles(pmtiles, harm, text):
    data = bytearray(pmtiles.read_bytes())
    if harm == "half":
        data = data[: len(data) // 2]
    elif harm == "header":
        data = data[:60]
    elif harm == "version":
        data[7] = 2
    else:
        data[130:150] = bytes(20)
    pmtiles.write_bytes(bytes(data))
    error = refused(pmtiles)
    assert "corrupt or not a PMTiles map" in error.what
    if harm != "header":
        assert text in error.found


def test_pmtiles_of_vectors(tmp_path, tile_png):
    tile = pytest.importorskip("pmtiles.tile")
    from pmtiles.writer import write

    path = tmp_path / "map.pmtiles"
    with write(str(path)) as writer:
        writer.write_tile(0, b"x")
        writer.finalize(
            {"tile_type": tile.TileType.MVT, "tile_compression": tile.Compression.GZIP}, {}
        )
    assert "MVT" in refused(path).found


@pytest.fixture
def with_leaves(tmp_path):
    """Enough entries that the writer splits its root."""
    tile = pytest.importorskip("pmtiles.tile")
    import cv2
    from pmtiles.writer import write

    rng = np.random.default_rng(1)
    flat = [
        cv2.imencode(".png", np.full((256, 256, 3), value, np.uint8))[1].tobytes() + bytes(value)
        for value in range(0, 250, 3)
    ]
    keys = [(ZOOM, FIRST[0] + x, FIRST[1] + y) for x in range(SIDE) for y in range(SIDE)]
    path = tmp_path / "map.pmtiles"
    with write(str(path)) as writer:
        for tile_id in sorted(tile.zxy_to_tileid(*key) for key in keys):
            writer.write_tile(tile_id, flat[int(rng.integers(len(flat)))])
        header = {"tile_type": tile.TileType.PNG, "tile_compression": tile.Compression.NONE}
        writer.finalize(header, {"name": "leaves"})
    return path


def test_leaf_directories_are_read_as_the_library_reads_them(with_leaves):
    from pmtiles.reader import MemorySource, Reader

    tile_map = open_map(with_leaves)
    assert tile_map.source._header["leaf_directory_length"] > 0
    reader = Reader(MemorySource(with_leaves.read_bytes()))
    for column, row in np.random.default_rng(2).integers(-2, SIDE + 2, (25, 2)):
        x, y = FIRST[0] + int(column), FIRST[1] + int(row)
        found = tile_map.source.fetch(ZOOM, [x], y, y).get((x, y))
        assert found == reader.get(ZOOM, x, y)
    assert tile_map.source.count(ZOOM) == SIDE**2
    assert tile_map.extent(ZOOM).right == FIRST[0] + SIDE


def test_a_broken_leaf_is_an_error_of_the_map_whatever_is_asked(with_leaves):
    source = PMTilesSource(with_leaves)
    data = bytearray(with_leaves.read_bytes())
    start = source._header["leaf_directory_offset"]
    end = start + source._header["leaf_directory_length"]
    source.close()
    data[(start + end) // 2 : end] = bytes(end - (start + end) // 2)  # the first ones stay whole
    with_leaves.write_bytes(bytes(data))
    source = PMTilesSource(with_leaves)
    for ask in (source.count, lambda zoom: source.some(zoom, SIDE**2)):
        with pytest.raises(MapError, match="corrupt or not a PMTiles map"):
            ask(ZOOM)
    source._header["max_lon_e7"] = source._header["min_lon_e7"]  # no bounds: the tiles are asked
    with pytest.raises(MapError, match="corrupt or not a PMTiles map"):
        source.extent(ZOOM)


def test_counting_reads_no_tile(pmtiles, monkeypatch):
    source = PMTilesSource(pmtiles)

    def read(self, entry):
        raise AssertionError("a tile was read")

    monkeypatch.setattr(PMTilesSource, "_tile", read)
    assert source.count(14) == len(KEYS)


def test_a_file_that_is_refused_is_closed(pmtiles, monkeypatch):
    closed = []
    close = PMTilesSource.close
    monkeypatch.setattr(
        PMTilesSource, "close", lambda self: closed.append(self.path) or close(self)
    )
    pmtiles.write_bytes(pmtiles.read_bytes()[:-100])
    assert "truncated" in refused(pmtiles).found
    assert closed == [pmtiles]
