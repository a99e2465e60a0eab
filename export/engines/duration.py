"""How long a build will take: from earlier ones on this machine, or else by a rule of thumb."""

from __future__ import annotations

from pathlib import Path

from edge.engine_manifest import MANIFEST_FILE, EngineKey, parse_manifest
from edge.errors import ExecutorError
from edge.precisions import TENSORRT_FORM
from export.engines.toolkit import RTX

# Seconds, and seconds per 100 MB of graph. TensorRT-RTX on two cores, measured; full TensorRT times
# every kernel on the device: a guess until an engine was built.
RULES = {
    "tensorrt_rtx": {"fp32": (2.0, 2.0), "fp16": (2.0, 2.0), TENSORRT_FORM: (5.0, 5.0)},
    "tensorrt": {"fp32": (120.0, 120.0), "fp16": (180.0, 240.0), TENSORRT_FORM: (240.0, 360.0)},
}


def expected_s(folder: Path, key: EngineKey, graph_bytes: int) -> tuple[float, str]:
    """Expected duration of a build in seconds, and where the number comes from.

    Args:
        folder: of all engines of the bundle.
        key: of the engine to build.
        graph_bytes: size of its ONNX file.
    """
    for path in sorted(folder.glob(f"*/{MANIFEST_FILE}")):
        try:
            earlier = parse_manifest(path)
        except ExecutorError:
            continue  # a damaged record is the business of who uses that engine
        alike = all(
            getattr(earlier.key, name) == getattr(key, name)
            for name in ("kind", "precision", "toolkit", "gpu_name")
        )
        if alike and earlier.build_s is not None:
            per_profile = earlier.build_s / max(1, len(earlier.key.click_buckets))
            return per_profile * max(1, len(key.click_buckets)), "an earlier build"
    start, per_100_mb = RULES[key.toolkit][key.precision]
    each = start + per_100_mb * graph_bytes / 1e8
    share = 1.0 if key.toolkit == RTX else 0.5  # later profiles find their kernels timed
    more = max(0, len(key.click_buckets) - 1)
    return each * (1 + share * more), "a rule of thumb"
