"""A folder of tiles z/x/y.png, .jpg or .webp, rows counted from the north."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from edge.errors import MapError
from edge.tiles.identity import folder_identity
from edge.tiles.pyramid import TileExtent, tile_extent

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
METADATA_NAME = "metadata.json"  # flat, as mb-util writes it: name, imagery_ce90_m ...


class XyzSource:
    """The tiles of one folder. The whole folder is listed once, when it is opened."""

    kind = "XYZ folder"

    def __init__(self, path: Path) -> None:
        """Open and check a folder.

        Raises:
            MapError: no tiles in it, or a broken metadata.json.
        """
        self.path = path
        self.metadata: Mapping[str, str] = _read_metadata(path)
        listing: list[tuple[str, int]] = []
        columns: dict[int, set[int]] = {}
        rows: dict[int, tuple[int, int]] = {}
        self._counts: dict[int, int] = {}
        self._suffixes: dict[int, set[str]] = {}
        for zoom, column, row, suffix, size in _tiles(path):
            listing.append((f"{zoom}/{column}/{row}{suffix}", size))
            columns.setdefault(zoom, set()).add(column)
            top, bottom = rows.get(zoom, (row, row + 1))
            rows[zoom] = min(top, row), max(bottom, row + 1)
            self._counts[zoom] = self._counts.get(zoom, 0) + 1
            self._suffixes.setdefault(zoom, set()).add(suffix)
        if not listing:
            raise MapError(
                f"{path} has no tiles",
                expected="files zoom/column/row.png, .jpg or .webp, zoom 0 to 24",
                found="a folder without any",
                do="give the folder that holds the zoom folders",
            )
        self.zooms = tuple(sorted(columns))
        self._extents = {zoom: tile_extent(columns[zoom], *rows[zoom], zoom) for zoom in columns}
        if (path / METADATA_NAME).is_file():
            listing.append((METADATA_NAME, (path / METADATA_NAME).stat().st_size))
        self.size_bytes = sum(size for _, size in listing)
        self.map_id = folder_identity(path, listing)

    def extent(self, zoom: int) -> TileExtent:
        """The smallest rectangle that holds all tiles of a zoom."""
        return self._extents[zoom]

    def fetch(
        self, zoom: int, columns: Sequence[int], top_row: int, bottom_row: int
    ) -> dict[tuple[int, int], bytes]:
        """Encoded tiles of these columns and rows, both ends included."""
        found = {}
        for column in columns:
            for row in range(top_row, bottom_row + 1):
                data = self._read(zoom, column, row)
                if data is not None:
                    found[column, row] = data
        return found

    def some(self, zoom: int, count: int) -> list[bytes]:
        """A few encoded tiles of a zoom."""
        found: list[bytes] = []
        for tile_zoom, column, row, _, _ in _tiles(self.path, zoom):
            data = self._read(tile_zoom, column, row)
            if data is not None:
                found.append(data)
            if len(found) == count:
                break
        return found

    def count(self, zoom: int) -> int:
        """Number of tiles of a zoom."""
        return self._counts[zoom]

    def close(self) -> None:
        """Nothing is held open."""

    def _read(self, zoom: int, column: int, row: int) -> bytes | None:
        for suffix in sorted(self._suffixes.get(zoom, ())):
            path = self.path / str(zoom) / str(column) / f"{row}{suffix}"
            try:
                return path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise MapError(
                    f"the tile {path} cannot be read",
                    expected="a readable file",
                    found=f"{type(error).__name__}: {error}",
                    do="check the disk and the permissions of the folder",
                ) from error
        return None


def _tiles(root: Path, only: int | None = None) -> Iterator[tuple[int, int, int, str, int]]:
    """Zoom, column, row, suffix and length in bytes of every tile; other files are passed over."""
    for zoom, zoom_folder in _numbered(root):
        if zoom > 24 or (only is not None and zoom != only):
            continue
        for column, folder in _numbered(zoom_folder):
            with os.scandir(folder) as entries:
                for entry in entries:
                    stem, dot, ending = entry.name.rpartition(".")
                    suffix = dot + ending
                    if suffix in SUFFIXES and stem.isascii() and stem.isdigit():
                        row = int(stem)
                        if max(column, row) < 2**zoom:
                            yield zoom, column, row, suffix, entry.stat().st_size


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    """Sub-folders whose name is a number, in its order."""
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if e.name.isascii() and e.name.isdigit() and e.is_dir()]
    return sorted((int(name), folder / name) for name in names)


def _read_metadata(root: Path) -> dict[str, str]:
    path = root / METADATA_NAME
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError(f"a {type(values).__name__}")
    except (OSError, ValueError) as error:
        raise MapError(
            f"{path} cannot be read",
            expected="a JSON object of names and values",
            found=f"{type(error).__name__}: {error}",
            do="correct or remove the file",
        ) from error
    return {str(name): str(value) for name, value in values.items()}
