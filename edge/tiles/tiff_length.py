"""How long a TIFF says it is: where the last of its pictures' blocks ends.

GDAL opens a file that was cut off in copying, and complains only when a missing part is read, which
may be over the target. The tables of the file know better: every strip or tile has its place in
them. TIFF 6.0 sections 2 and 15, and BigTIFF.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from edge.errors import MapError
from edge.types import Array

_OFFSETS, _COUNTS = (273, 324), (279, 325)  # of strips, of tiles
_INTEGERS = {3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}  # TIFF type -> numpy
_MOST_PICTURES = 64  # overviews and masks; a longer chain is a circle


def check_whole(path: Path) -> None:
    """Refuse a TIFF that ends before its last block. What cannot be understood is left to GDAL.

    Raises:
        MapError: the file is truncated.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as stream:
            needed = max(_ends(stream, size), default=0)
    except (struct.error, ValueError, KeyError):
        return  # not the structure of a TIFF: GDAL says what is wrong with it
    if needed > size:
        raise MapError(
            f"{path} is truncated",
            expected=f"a file of at least {needed} bytes, by its own tables",
            found=f"{size} bytes",
            do="copy the file again from where it was made",
        )


def _ends(stream: BinaryIO, size: int) -> Iterator[int]:
    """Where the parts of a file end, as far as its chain of pictures can be followed."""
    order = {b"II": "<", b"MM": ">"}[stream.read(2)]
    big = _number(stream, order + "H") == 43
    word, entry = ("Q", "HHQ8s") if big else ("I", "HHI4s")
    if big:
        stream.seek(8)
    offset = _number(stream, order + word)
    for _ in range(_MOST_PICTURES):
        if offset == 0:
            return
        if offset >= size:  # the chain goes on beyond the end
            yield offset + 1
            return
        stream.seek(offset)
        count = _number(stream, order + ("Q" if big else "H"))
        step = struct.calcsize(order + entry)
        table = stream.read(count * step + struct.calcsize(word))
        if len(table) < count * step + struct.calcsize(word):
            yield offset + count * step
            return
        fields = {}
        for place in range(count):
            tag, kind, length, value = struct.unpack_from(order + entry, table, place * step)
            if tag in (*_OFFSETS, *_COUNTS):
                fields[tag] = kind, length, value
        yield from _block_ends(stream, order, word, fields, size)
        (offset,) = struct.unpack_from(order + word, table, count * step)


def _block_ends(
    stream: BinaryIO,
    order: str,
    word: str,
    fields: dict[int, tuple[int, int, bytes]],
    size: int,
) -> Iterator[int]:
    """Where the last block of one picture ends, or a table of blocks that is not all there."""
    for offsets_tag, counts_tag in zip(_OFFSETS, _COUNTS, strict=True):
        found: list[Array] = []
        for tag in (offsets_tag, counts_tag):
            if tag not in fields:
                break
            kind, length, value = fields[tag]
            dtype = np.dtype(order + _INTEGERS[kind])
            data = value[: length * dtype.itemsize]
            if length * dtype.itemsize > len(value):
                (start,) = struct.unpack(order + word, value)
                if start + length * dtype.itemsize > size:
                    yield start + length * dtype.itemsize
                    return
                stream.seek(start)
                data = stream.read(length * dtype.itemsize)
            found.append(np.frombuffer(data, dtype).astype(np.uint64))
        if len(found) == 2 and len(found[0]) == len(found[1]) > 0:
            yield int((found[0] + found[1]).max())  # an empty block is 0 + 0


def _number(stream: BinaryIO, form: str) -> int:
    (value,) = struct.unpack(form, stream.read(struct.calcsize(form)))
    return int(value)
