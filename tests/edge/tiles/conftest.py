"""Maps whose every pixel is a known function of its world pixel, in all tile formats."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

TileKey = tuple[int, int, int]


def paint(x: np.ndarray, y: np.ndarray, zoom: int) -> np.ndarray:
    """RGB of world pixels: no two neighbours alike, and no two tiles nearby."""
    tile = x // 256 * 37 + y // 256 * 101 + 40 * zoom
    return np.stack([(x * 7 + y * 3) % 256, (x // 5 + y * 11) % 256, (x + y + tile) % 256], -1)


@functools.cache
def plain_png(key: TileKey) -> bytes:
    return tile_png(key)


def tile_png(key: TileKey, alpha: np.ndarray | None = None) -> bytes:
    zoom, column, row = key
    y, x = np.mgrid[row * 256 : (row + 1) * 256, column * 256 : (column + 1) * 256]
    picture = paint(x, y, zoom)[:, :, ::-1].astype(np.uint8)
    if alpha is not None:
        picture = np.dstack([picture, alpha])
    done, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done
    return data.tobytes()


def write_mbtiles(path: Path, tiles: dict[TileKey, bytes], metadata: dict[str, str]) -> Path:
    """Straight SQL, apart from the writer of the program: rows count from the south."""
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE metadata (name TEXT, value TEXT)")
    database.execute(
        "CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER,"
        " tile_data BLOB)"
    )
    database.execute("CREATE UNIQUE INDEX i ON tiles (zoom_level, tile_column, tile_row)")
    database.executemany("INSERT INTO metadata VALUES (?, ?)", metadata.items())
    rows = [(z, x, 2**z - 1 - y, data) for (z, x, y), data in tiles.items()]
    database.executemany("INSERT INTO tiles VALUES (?, ?, ?, ?)", rows)
    database.commit()
    database.close()
    return path


def write_xyz(path: Path, tiles: dict[TileKey, bytes], metadata: dict[str, str]) -> Path:
    import json

    for (zoom, column, row), data in tiles.items():
        folder = path / str(zoom) / str(column)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{row}.png").write_bytes(data)
    (path / "metadata.json").write_text(json.dumps(metadata))
    return path


def write_pmtiles(path: Path, tiles: dict[TileKey, bytes], metadata: dict[str, str]) -> Path:
    tile = pytest.importorskip("pmtiles.tile", reason="the extra geo is not installed")
    from pmtiles.writer import write

    with write(str(path)) as writer:
        for tile_id, key in sorted((tile.zxy_to_tileid(*key), key) for key in tiles):
            writer.write_tile(tile_id, tiles[key])
        header = {"tile_type": tile.TileType.PNG, "tile_compression": tile.Compression.NONE}
        writer.finalize(header, metadata)
    return path


WRITERS = {"mbtiles": write_mbtiles, "xyz": write_xyz, "pmtiles": write_pmtiles}


@pytest.fixture(params=WRITERS)
def write_map(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[Iterable[TileKey] | dict[TileKey, bytes]], Path]:
    """`write_map(keys or {key: bytes}, **metadata) -> path` for every tile format."""

    def write(tiles, folder: str = "", **metadata: str) -> Path:
        encoded = tiles if isinstance(tiles, dict) else {key: plain_png(key) for key in tiles}
        name = "map" if request.param == "xyz" else f"map.{request.param}"
        (tmp_path / folder).mkdir(exist_ok=True)
        return WRITERS[request.param](tmp_path / folder / name, encoded, metadata)

    return write


@pytest.fixture(name="paint", scope="session")
def paint_fixture():
    return paint


@pytest.fixture(name="tile_png", scope="session")
def tile_png_fixture():
    """`tile_png(key, alpha)`; plain ones are made once."""
    return lambda key, alpha=None: plain_png(key) if alpha is None else tile_png(key, alpha)


@pytest.fixture
def make_mbtiles():
    return write_mbtiles


@pytest.fixture
def make_tif():
    """`make_tif(path, bands [C, H, W], transform, epsg, **profile) -> path`."""
    rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")

    def write(path: Path, bands: np.ndarray, transform, epsg=None, mask=None, **profile) -> Path:
        crs = None if epsg is None else f"EPSG:{epsg}"
        count, height, width = bands.shape
        options = {"driver": "GTiff", "count": count, "height": height, "width": width}
        options |= {"dtype": bands.dtype, "crs": crs, **profile}
        if transform is not None:
            options["transform"] = rasterio.Affine(*transform)
        with rasterio.open(path, "w", **options) as dataset:
            dataset.write(bands)
            if mask is not None:
                dataset.write_mask(mask)
        return path

    return write


@pytest.fixture
def write_pmtiles_file():
    return write_pmtiles


@pytest.fixture(scope="session")
def map_writers():
    """For fixtures of a wider scope: `write_mbtiles(path, tiles, metadata)`, `tile_png(key)`."""
    return write_mbtiles, plain_png
