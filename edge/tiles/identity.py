"""The identity of a map, cheap enough to compute whenever it is opened.

A map of 10 GB is not read through. The sha256 of a file covers its length, its first and last
64 KiB, and 256 blocks of 4 KiB spread evenly over it; a file of up to 4 MiB is covered whole. The
first page of an MBTiles file holds SQLite's change counter, so any later edit of it changes the
identity. An edit that keeps the length of a large PMTiles or GeoTIFF may go unseen. Copying or
renaming a map keeps its identity.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

_SCHEMA = b"tilefix-map/1"
_WHOLE_BYTES = 4 << 20
_END_BYTES = 64 << 10
_BLOCK_BYTES = 4 << 10
_BLOCKS = 256
_FOLDER_FILES = 64


def file_identity(path: Path) -> str:
    """Sha256, hexadecimal, of what the module text says of one file."""
    digest = hashlib.sha256(_SCHEMA)
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        digest.update(f"file {size}".encode())
        for start, length in _pieces(size):
            stream.seek(start)
            digest.update(stream.read(length))
    return digest.hexdigest()


def folder_identity(root: Path, files: Iterable[tuple[str, int]]) -> str:
    """Sha256 of all names and lengths, and of the content of about 64 files evenly chosen.

    Args:
        root: the folder.
        files: path below it, with `/`, and length in bytes; in any order.
    """
    digest = hashlib.sha256(_SCHEMA)
    ordered = sorted(files)
    for name, size in ordered:
        digest.update(f"{name}\0{size}\n".encode())
    for name, _ in ordered[:: max(1, len(ordered) // _FOLDER_FILES)]:
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def _pieces(size: int) -> list[tuple[int, int]]:
    """Start and length of the parts of a file that count."""
    if size <= _WHOLE_BYTES:
        return [(0, size)]
    first, last = _END_BYTES, size - _END_BYTES
    step = (last - first) / _BLOCKS
    inside = [(first + int(index * step), _BLOCK_BYTES) for index in range(_BLOCKS)]
    return [(0, _END_BYTES), *inside, (last, _END_BYTES)]
