"""Write an MBTiles map: under a temporary name, and renamed when it is whole."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

from edge.errors import MapError, OutputError, UsageError
from edge.geodesy import TILE_PX, MercatorGeometry
from edge.tiles.pyramid import tile_extent

SUFFIX = ".mbtiles"
_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE metadata (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE tiles (
    zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, tile_data BLOB,
    PRIMARY KEY (zoom_level, tile_column, tile_row)
);
"""


class MBTilesWriter:
    """A new map, used in a `with` block; leaving it by an error leaves no file behind.

    The same tiles and metadata give the same bytes, and so the same map_id.
    """

    def __init__(self, path: Path, metadata: Mapping[str, str], *, replace: bool = False) -> None:
        """Begin a map.

        Args:
            path: where it shall be.
            metadata: rows of the metadata table; bounds and zooms are added.
            replace: take the place of a file that is there.

        Raises:
            OutputError: the file is there, and `replace` is False; or the folder cannot be written
                to.
        """
        self.path = path
        self.metadata = dict(metadata)
        _check_free(path, replace)
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        with self._writing():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._partial.unlink(missing_ok=True)
            self._database = sqlite3.connect(self._partial)
            try:
                self._database.executescript(_TABLES)
            except BaseException:
                self._discard()
                raise

    def __enter__(self) -> MBTilesWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            try:
                with self._writing():
                    self._finish()
            except BaseException:
                self._discard()
                raise
        else:
            self._discard()

    def put(self, zoom: int, column: int, row: int, data: bytes) -> None:
        """Add an encoded tile; rows count from the north.

        Raises:
            MapError: the tile is there already.
            OutputError: the disk is full.
        """
        values = (zoom, column, 2**zoom - 1 - row, data)
        with self._writing():
            self._database.execute("INSERT INTO tiles VALUES (?, ?, ?, ?)", values)

    def get(self, zoom: int, column: int, row: int) -> bytes | None:
        """An encoded tile that was put before; None: there is none.

        Raises:
            OutputError: a full disk, since reading may first make SQLite write what it holds.
        """
        sql = "SELECT tile_data FROM tiles WHERE zoom_level=? AND tile_column=? AND tile_row=?"
        with self._writing():
            found = self._database.execute(sql, (zoom, column, 2**zoom - 1 - row)).fetchone()
        return None if found is None else bytes(found[0])

    def parents(self, zoom: int) -> Iterator[tuple[int, int]]:
        """Column and row of the tiles of `zoom - 1` that tiles of `zoom` lie in."""
        sql = (
            "SELECT DISTINCT tile_column >> 1, tile_row >> 1 FROM tiles WHERE zoom_level = ?"
            " ORDER BY 1, 2 DESC"
        )
        with self._writing():
            found = self._database.execute(sql, (zoom,)).fetchall()
        for column, south_row in found:
            yield column, 2 ** (zoom - 1) - 1 - south_row

    def _finish(self) -> None:
        sql = "SELECT min(zoom_level), max(zoom_level) FROM tiles"
        low, high = self._database.execute(sql).fetchone()
        if low is None:
            raise MapError(
                f"no tile was written to {self.path}",
                expected="imagery in at least one tile",
                found="none: the source is empty or all of it is transparent",
                do="look at the source in a viewer",
            )
        west, south, east, north = self._bounds(high)
        stated = {
            "bounds": f"{west:.8f},{south:.8f},{east:.8f},{north:.8f}",
            "minzoom": str(low),
            "maxzoom": str(high),
        }
        rows = sorted({"format": "jpg", "type": "baselayer", **self.metadata, **stated}.items())
        self._database.executemany("INSERT INTO metadata VALUES (?, ?)", rows)
        self._database.commit()
        self._database.close()
        descriptor = os.open(self._partial, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._partial.rename(self.path)

    def _bounds(self, zoom: int) -> tuple[float, float, float, float]:
        """West, south, east, north of the tiles of a zoom, as the specification orders them."""
        sql = "SELECT DISTINCT tile_column FROM tiles WHERE zoom_level = ?"
        columns = [row[0] for row in self._database.execute(sql, (zoom,))]
        sql = "SELECT min(tile_row), max(tile_row) FROM tiles WHERE zoom_level = ?"
        low, high = self._database.execute(sql, (zoom,)).fetchone()
        extent = tile_extent(columns, 2**zoom - 1 - high, 2**zoom - low, zoom)
        corners = [[extent.left, extent.top], [extent.right, extent.bottom]]
        world = MercatorGeometry(zoom, 0, 0)
        (west, north), (east, south) = world.lon_lat_deg(TILE_PX * np.array(corners, float))
        return float(west), float(south), 180.0 if east == -180.0 else float(east), float(north)

    def _discard(self) -> None:
        self._database.close()
        self._partial.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn what the disk and SQLite say into errors of tilefix."""
        what = f"the map {self.path} cannot be written"
        try:
            yield
        except sqlite3.IntegrityError as error:
            raise MapError(
                what,
                expected="tiles that are new",
                found=f"{type(error).__name__}: {error}",
                do="put each tile once",
            ) from error
        except (OSError, sqlite3.Error) as error:
            full = "full" in str(error) or "No space" in str(error)
            raise OutputError(
                what,
                expected="a folder that may be written to, with room",
                found=f"{type(error).__name__}: {error}",
                do="free some room on the disk and run it again"
                if full
                else "check the folder, or choose another with --out",
            ) from error


def check_output(path: Path, *, replace: bool) -> None:
    """Refuse a map to write that a slip of the keyboard named, before any work is done for it.

    Raises:
        UsageError: another suffix, or a folder that is not there.
        OutputError: a file that is there.
    """
    if path.suffix != SUFFIX:
        raise UsageError(
            f"the map {path} would not be found by its name",
            expected=f"a name that ends in {SUFFIX}",
            found=repr(path.name),
            do=f"write --out {path.with_name(path.stem + SUFFIX)}",
        )
    if not path.parent.is_dir():
        raise UsageError(
            f"there is no folder for the map {path}",
            expected=f"the folder {path.parent}",
            found="a file" if path.parent.exists() else "no such folder",
            do="make the folder first, or correct --out",
        )
    _check_free(path, replace)


def _check_free(path: Path, replace: bool) -> None:
    if path.exists() and not replace:
        raise OutputError(
            f"{path} is already there",
            expected="a new file",
            found="an existing one",
            do="choose another name, or add --replace",
        )
