"""What this machine has: cores, memory, disk. Linux first; what is unknown is None."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory_bytes() -> int | None:
    """Memory that can be had without swapping; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def free_disk_bytes(folder: Path) -> int | None:
    """Room on the disk of a folder; None where it cannot be told."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
