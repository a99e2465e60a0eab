"""Where a judgement was made."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from edge.machine import ROOT, dot_flag


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


def processor(root: Path = ROOT) -> str:
    """Name of the processor, and whether it multiplies 8-bit numbers four at a time."""
    try:
        lines = (root / "proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{next(named, platform.machine())}, {dot_flag(root) or 'no VNNI'}"
