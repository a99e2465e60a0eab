"""Where a judgement was made."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def environment() -> dict[str, str]:
    """Versions and the processor, for people and for comparing two judgements."""
    import numpy as np
    import onnxruntime

    return {
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processor(),
        "cores": str(os.cpu_count()),
    }


def processor(path: Path = Path("/proc/cpuinfo")) -> str:
    """Name of the processor, and whether it multiplies 8-bit numbers four at a time."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    name = facts.get("model name", platform.machine())
    flags = facts.get("flags", "").split()
    has = [flag for flag in ("avx512_vnni", "avx_vnni") if flag in flags]
    return f"{name}, {has[0] if has else 'no VNNI'}"
