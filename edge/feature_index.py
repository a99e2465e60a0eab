"""Which windows a feature store holds: one line for each, appended after its data are on the disk.

A line is the CRC-32 of its JSON in hexadecimal, a blank, and the JSON. A line that a kill or a full
disk has torn, or that was altered, does not fit its CRC and counts as not written.
"""

from __future__ import annotations

import logging
import os
import zlib
from pathlib import Path
from typing import Any

import msgspec

log = logging.getLogger("tilefix.features")
INDEX_NAME = "index.jsonl"


class IndexEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One stored window."""

    window_id: str
    slot: int  # number of its record in the data file
    crc32: int  # of the whole record
    coverage: float
    geometry: dict[str, Any] | None
    imagery_ce90_m: float | None


def append_line(descriptor: int, entry: IndexEntry) -> None:
    """Write the line of a window at the end of the index."""
    text = msgspec.json.encode(entry)
    line = b"%08x %s\n" % (zlib.crc32(text), text)
    while line:
        line = line[os.write(descriptor, line) :]


def parse_line(line: bytes) -> IndexEntry | None:
    """The entry of a line without its end; None where it is torn or altered."""
    crc, _, text = line.partition(b" ")
    if crc != b"%08x" % zlib.crc32(text):
        return None
    try:
        entry = msgspec.json.decode(text, type=IndexEntry)
    except msgspec.DecodeError:
        return None
    return entry if entry.slot >= 0 else None


def read_index(folder: Path) -> tuple[dict[str, IndexEntry], int]:
    """All windows by id, later lines over earlier ones; and how many lines are broken.

    These are told in the log: their windows count as not encoded, and nobody else would notice.
    """
    try:
        data = (folder / INDEX_NAME).read_bytes()
    except FileNotFoundError:  # killed before the first window
        return {}, 0
    entries, broken, told = {}, 0, 0
    for line in data.splitlines(keepends=True):
        entry = parse_line(line.rstrip(b"\r\n"))
        if entry is None:
            broken += 1
            told += line.endswith(b"\n")  # else it is being written, or a kill cut it: no damage
        else:
            entries[entry.window_id] = entry
    if told:
        log.warning(
            "%s: broken lines: %d; their windows count as not encoded until they are so again",
            folder / INDEX_NAME,
            told,
        )
    return entries, broken


def end_torn_line(descriptor: int) -> None:
    """Cut off a last line that has no end, so that the next one begins on its own."""
    size = os.fstat(descriptor).st_size
    data = os.pread(descriptor, size, 0)
    if data and not data.endswith(b"\n"):
        os.ftruncate(descriptor, data.rfind(b"\n") + 1)
