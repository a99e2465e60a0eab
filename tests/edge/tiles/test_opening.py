"""Maps that cannot be opened say why."""

from __future__ import annotations

import builtins
import sqlite3
import subprocess
import sys

import pytest

from edge.errors import MapError, MissingLibraryError
from edge.tiles import open_map
from edge.tiles.mbtiles import MBTilesSource

KEYS = [(14, 8000 + x, 5000 + y) for x in range(6) for y in range(6)]


@pytest.fixture
def mbtiles(make_mbtiles, tmp_path, tile_png):
    return make_mbtiles(tmp_path / "map.mbtiles", {key: tile_png(key) for key in KEYS}, {})


def refused(path, kind=MapError):
    with pytest.raises(kind) as caught:
        open_map(path)
    error = caught.value
    assert all((error.what, error.expected, error.found, error.do))
    return error


def test_no_such_file(tmp_path):
    error = refused(tmp_path / "nothing.mbtiles")
    assert "cannot be opened" in error.what and "FileNotFoundError" in error.found


def test_a_map_of_the_network():
    error = refused("https://example.org/map.mbtiles")
    assert "cannot be opened" in error.what and "download it first" in error.do


def test_an_empty_file(tmp_path):
    path = tmp_path / "map.bin"
    path.touch()
    assert "an empty file" in refused(path).found


def test_an_empty_mbtiles(tmp_path):
    path = tmp_path / "map.mbtiles"
    path.touch()
    error = refused(path)
    assert "not an MBTiles map" in error.what and "0 bytes" in error.found


def test_a_picture_is_not_a_map(tmp_path):
    path = tmp_path / "map.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    error = refused(path)
    assert "known format" in error.what and "PNG" in error.found and "MBTiles" in error.expected


def test_a_truncated_mbtiles(mbtiles):
    size = mbtiles.stat().st_size
    with mbtiles.open("r+b") as stream:
        stream.truncate(size // 2)
    error = refused(mbtiles)
    assert "is truncated" in error.what
    assert str(size) in error.expected and str(size // 2) in error.found


def test_a_corrupt_mbtiles(mbtiles):
    with mbtiles.open("r+b") as stream:
        stream.seek(100)
        stream.write(b"\xff" * 4000)
    error = refused(mbtiles)
    assert "corrupt" in error.what and "DatabaseError" in error.found
    assert "tilefix tiles import" in error.do


def test_a_file_that_breaks_while_it_is_open(mbtiles):
    tile_map = open_map(mbtiles)
    size = mbtiles.stat().st_size
    with mbtiles.open("r+b") as stream:
        stream.seek(8192)
        stream.write(b"\xff" * (size - 8192))
    with pytest.raises(MapError, match="corrupt"):
        tile_map.at_zoom(14).read(8000 * 256, 5000 * 256)


def test_a_database_without_tiles_table(tmp_path):
    path = tmp_path / "map.mbtiles"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE other (a)")
    database.commit()
    database.close()
    error = refused(path)
    assert "no such table: tiles" in error.found and "table 'tiles'" in error.expected


def test_a_map_without_tiles(make_mbtiles, tmp_path):
    error = refused(make_mbtiles(tmp_path / "map.mbtiles", {}, {}))
    assert "has no tiles" in error.what


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_a_map_that_is_being_written(mbtiles, suffix):
    mbtiles.with_name(mbtiles.name + suffix).write_bytes(b"x")
    error = refused(mbtiles)
    assert "still being written" in error.what and suffix in error.found and "VACUUM" in error.do


def test_names_with_odd_characters(mbtiles):
    odd = mbtiles.with_name("a map? #1 %20 ü.mbtiles")
    mbtiles.rename(odd)
    assert open_map(odd).at_zoom(14).read(8000 * 256, 5000 * 256, 64, 64).coverage == 1.0


def test_the_map_is_never_written_to(mbtiles):
    before = mbtiles.read_bytes()
    mbtiles.chmod(0o444)
    tile_map = open_map(mbtiles)
    tile_map.at_zoom(14).read(8000 * 256, 5000 * 256)
    tile_map.close()
    assert mbtiles.read_bytes() == before
    assert [p.name for p in mbtiles.parent.iterdir()] == [mbtiles.name]


def test_an_empty_folder(tmp_path):
    assert "has no tiles" in refused(tmp_path).what


def test_a_folder_with_broken_metadata(tmp_path, tile_png):
    (tmp_path / "3" / "1").mkdir(parents=True)
    (tmp_path / "3" / "1" / "2.png").write_bytes(tile_png((3, 1, 2)))
    (tmp_path / "metadata.json").write_text("[1, 2")
    error = refused(tmp_path)
    assert "metadata.json cannot be read" in error.what and "JSON object" in error.expected


def test_other_files_in_a_folder_are_passed_over(tmp_path, tile_png):
    (tmp_path / "3" / "1").mkdir(parents=True)
    (tmp_path / "3" / "1" / "2.png").write_bytes(tile_png((3, 1, 2)))
    (tmp_path / "3" / "1" / "2.png.aux.xml").write_text("x")
    (tmp_path / "3" / "1" / "99.png").write_bytes(b"outside the world of zoom 3")
    (tmp_path / "tiles.html").write_text("x")
    tile_map = open_map(tmp_path)
    assert tile_map.zooms == (3,) and tile_map.source.count(3) == 1


def test_a_source_that_is_refused_is_closed(make_mbtiles, tmp_path, monkeypatch):
    closed = []
    close = MBTilesSource.close
    monkeypatch.setattr(
        MBTilesSource, "close", lambda self: closed.append(self.path) or close(self)
    )
    path = make_mbtiles(tmp_path / "m.mbtiles", {(3, 1, 1): b"\x1f\x8b\x08pbf"}, {})
    with pytest.raises(MapError, match="not a map of 256-px pictures"):
        open_map(path)
    assert closed == [path]


@pytest.mark.parametrize(("name", "library"), [("map.pmtiles", "pmtiles"), ("map.tif", "rasterio")])
def test_missing_libraries_are_named(tmp_path, monkeypatch, name, library):
    real = builtins.__import__

    def without(module, *rest, **named):
        if module.partition(".")[0] == library:
            raise ImportError(f"No module named {library!r}")
        return real(module, *rest, **named)

    path = tmp_path / name
    path.write_bytes((b"PMTiles\3" if library == "pmtiles" else b"II*\0") + bytes(200))
    monkeypatch.setattr(builtins, "__import__", without)
    error = refused(path, MissingLibraryError)
    assert library in error.expected and "pip install 'tilefix[geo]'" in error.do


def test_opening_a_tile_map_needs_no_gis_library(mbtiles):
    code = (
        "import sys; from edge.tiles import open_map; open_map(sys.argv[1]);"
        "print([m for m in ('rasterio', 'pmtiles', 'pyproj') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code, mbtiles], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr
