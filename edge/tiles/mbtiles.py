"""MBTiles through sqlite3: read-only, one connection per thread, one query per window."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edge.errors import MapError
from edge.tiles.identity import file_identity
from edge.tiles.pyramid import TileExtent, tile_extent

SQLITE_MAGIC = b"SQLite format 3\0"
_REMAKE = "copy the file again from where it was made, or make it again with tilefix tiles import"


class MBTilesSource:
    """The tiles of one MBTiles file. The file must not change while it is open."""

    kind = "MBTiles"

    def __init__(self, path: Path) -> None:
        """Open and check a file.

        Raises:
            MapError: not SQLite, truncated, still being written, corrupt, or without tiles.
        """
        self.path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        _check_file(path)
        try:
            self.metadata: Mapping[str, str] = self._read_metadata()
            self.zooms = self._read_zooms()
            if not self.zooms:
                raise MapError(
                    f"{path} has no tiles",
                    expected="an MBTiles file with at least one tile",
                    found="an empty table 'tiles'",
                    do="make the map again: tilefix tiles import ortho.tif --out map.mbtiles",
                )
            self.map_id = file_identity(path)
            self.size_bytes = path.stat().st_size
        except BaseException:
            self.close()
            raise

    def extent(self, zoom: int) -> TileExtent:
        """The smallest rectangle that holds all tiles of a zoom."""
        where = "FROM tiles WHERE zoom_level = ?"
        columns = [row[0] for row in self._query(f"SELECT DISTINCT tile_column {where}", (zoom,))]
        low, high = self._query(f"SELECT min(tile_row), max(tile_row) {where}", (zoom,))[0]
        return tile_extent(columns, 2**zoom - 1 - high, 2**zoom - low, zoom)

    def fetch(
        self, zoom: int, columns: Sequence[int], top_row: int, bottom_row: int
    ) -> dict[tuple[int, int], bytes]:
        """Encoded tiles of these columns and rows (from the north), by one range query."""
        # IN keeps the whole index (zoom, column, row) usable, and serves both sides of the
        # antimeridian at once; the columns are integers of ours, never text from outside.
        sql = (
            "SELECT tile_column, tile_row, tile_data FROM tiles WHERE zoom_level = ? AND "
            f"tile_column IN ({','.join(map(str, columns))}) AND tile_row BETWEEN ? AND ?"
        )
        flip = 2**zoom - 1  # MBTiles counts rows from the south
        found = self._query(sql, (zoom, flip - bottom_row, flip - top_row))
        return {(column, flip - row): data for column, row, data in found}

    def some(self, zoom: int, count: int) -> list[bytes]:
        """A few encoded tiles of a zoom."""
        sql = "SELECT tile_data FROM tiles WHERE zoom_level = ? LIMIT ?"
        return [row[0] for row in self._query(sql, (zoom, count))]

    def count(self, zoom: int) -> int:
        """Number of tiles of a zoom."""
        sql = "SELECT count(*) FROM tiles WHERE zoom_level = ?"
        return int(self._query(sql, (zoom,))[0][0])

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
            self._local = threading.local()

    def _query(self, sql: str, values: tuple[int, ...] = ()) -> list[Any]:
        try:
            return self._connection().execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise MapError(
                f"{self.path} is corrupt or not an MBTiles map",
                expected="a table 'tiles' (zoom_level, tile_column, tile_row, tile_data)",
                found=f"{type(error).__name__}: {error}",
                do=_REMAKE,
            ) from error

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            uri = f"file:{quote(str(self.path.resolve()))}?mode=ro&immutable=1"
            connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
            self._local.connection = connection
            with self._lock:
                self._connections.append(connection)
        return connection

    def _read_metadata(self) -> dict[str, str]:
        tables = self._query("SELECT name FROM sqlite_master WHERE name = 'metadata'")
        rows = self._query("SELECT name, value FROM metadata") if tables else []
        return {str(name): str(value) for name, value in rows if value is not None}

    def _read_zooms(self) -> tuple[int, ...]:
        # Hop from zoom to zoom along the index: DISTINCT would walk over every tile.
        zooms: list[int] = []
        found = self._query("SELECT min(zoom_level) FROM tiles")[0][0]
        while found is not None:
            zooms.append(int(found))
            sql = "SELECT min(zoom_level) FROM tiles WHERE zoom_level > ?"
            found = self._query(sql, (zooms[-1],))[0][0]
        return tuple(zooms)


def _check_file(path: Path) -> None:
    """Refuse what SQLite would accept although it is not whole."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        header = stream.read(100)
    if len(header) < 100 or not header.startswith(SQLITE_MAGIC):
        raise MapError(
            f"{path} is not an MBTiles map",
            expected="an SQLite file",
            found=f"{size} bytes that begin with {header[:16]!r}",
            do=_REMAKE,
        )
    page_bytes = int.from_bytes(header[16:18], "big")
    page_bytes = 65536 if page_bytes == 1 else page_bytes
    pages = int.from_bytes(header[28:32], "big")
    written_by_old_sqlite = header[24:28] != header[92:96]  # then the page count is not kept
    if not written_by_old_sqlite and size < pages * page_bytes:
        raise MapError(
            f"{path} is truncated",
            expected=f"{pages * page_bytes} bytes, as its header says",
            found=f"{size} bytes",
            do=_REMAKE,
        )
    for suffix in ("-wal", "-journal"):
        beside = path.with_name(path.name + suffix)
        if beside.is_file() and beside.stat().st_size > 0:
            raise MapError(
                f"{path} is still being written, or its writer was killed",
                expected="no file with the ending -wal or -journal beside it",
                found=beside.name,
                do=f"let the writer finish, or repair the map with: sqlite3 {path} 'VACUUM;'",
            )
