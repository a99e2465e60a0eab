"""What a library holds for GPUs, read from the headers that nvcc puts in front of each part."""

from __future__ import annotations

import struct
from pathlib import Path

MAGIC = struct.pack("<I", 0xBA55ED50)
KINDS = {1: "compute", 2: "sm"}  # PTX, machine code


def gpu_targets(library: Path) -> set[str]:
    """ "sm_87", "compute_87", ... of all fat binaries in a file."""
    data = library.read_bytes()
    found = set()
    start = data.find(MAGIC)
    while start >= 0:
        header_bytes, size = struct.unpack_from("<HQ", data, start + 6)
        at, end = start + header_bytes, start + header_bytes + size
        while at < end:
            kind, _, entry_bytes, entry_size = struct.unpack_from("<HHIQ", data, at)
            (arch,) = struct.unpack_from("<I", data, at + 28)
            found.add(f"{KINDS.get(kind, kind)}_{arch}")
            at += entry_bytes + entry_size
        start = data.find(MAGIC, max(end, start + 4))
    return found
