"""Lines of a benchmark's record with plausible contents, to be changed where a test needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.record.file import RecordFile
from benchmarks.record.lines import (
    SCHEMA,
    AccuracyLine,
    BundleFacts,
    CacheState,
    Environment,
    Line,
    MeasurementLine,
    RunLine,
    Scenario,
    Settings,
    Unknown,
)
from benchmarks.record.series import pack
from benchmarks.record.stability import stability

RUN_ID = "0123456789abcdef"
NOT_HERE = Unknown("not in this test")
BUNDLE = BundleFacts(
    name="lite",
    model_id="a" * 64,
    executor="onnxruntime",
    precision="fp32",
    threads=2,
    frame_px=(512, 512),
    files=(("bundle.toml", "b" * 64), ("graphs/fp32/localizer.onnx", "c" * 64)),
    engines=(),
    plugin_sha256=None,
    timing_cache_sha256=None,
)
SETTINGS = Settings(
    quick=False,
    seed=0,
    clicks=8,
    hit_rate=0.9,
    rate_hz=30.0,
    pairs="flight",
    pairs_sha256="d" * 64,
)
ENVIRONMENT = Environment(
    board="NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
    cpu="6 x Cortex-A78AE",
    cores=6,
    memory_bytes=8_000_000_000,
    kernel="5.15.148-tegra",
    python="3.10.12",
    libraries=(("numpy", "2.2.6"), ("onnxruntime", "1.23.0")),
    governor="schedutil",
    gpu="GPU of the Orin Nano",
    driver="part of L4T 36.4.3",
    cuda="12.6.11",
    tensorrt="10.3.0",
    l4t="L4T 36.4.3",
    power_mode="15W (mode 0)",
    clocks_mhz=(("cpu0", 1728.0),),
    temperatures_deg_c=(("tj-thermal", 50.0),),
    throttle="events since boot: oc1 0, oc2 0, oc3 0",
    load_average=0.1,
)


def run_line(run_id: str = RUN_ID, **changes: Any) -> RunLine:
    """A run; a change of a field of bundle, settings or environment finds its place by itself."""
    parts = {"bundle": BUNDLE, "settings": SETTINGS, "environment": ENVIRONMENT}
    line = RunLine(
        schema=SCHEMA,
        run_id=run_id,
        started_utc="2026-11-20T12:00:00Z",
        command="tilefix bench",
        version="0.1.0",
        commit="e" * 40,
        **parts,
    )
    for field, value in changes.items():
        part = next((name for name in parts if hasattr(parts[name], field)), None)
        if part is None:
            line = msgspec.structs.replace(line, **{field: value})
        else:
            changed = msgspec.structs.replace(getattr(line, part), **{field: value})
            line = msgspec.structs.replace(line, **{part: changed})
    return line


def measurement_line(
    latency_ns: Any = (3_000_000,) * 20, run_id: str = RUN_ID, **changes: Any
) -> MeasurementLine:
    """Multi-stream, warm, eight clicks, of these latencies."""
    ns = np.asarray(latency_ns, np.int64)
    line = MeasurementLine(
        run_id=run_id,
        scenario=Scenario.MULTI_STREAM,
        state=CacheState.WARM,
        clicks=8,
        started_utc="2026-11-20T12:00:01Z",
        warmup_queries=10,
        duration_s=float(ns.sum()) / 1e9,
        ended="complete",
        latency=pack(ns),
        stages=(),
        gpu=NOT_HERE,
        stability=stability(ns),
        memory=NOT_HERE,
        punctuality=None,
        energy=NOT_HERE,
        heat=NOT_HERE,
        harness_us=2.0,
    )
    return msgspec.structs.replace(line, **changes)


def accuracy_line(run_id: str = RUN_ID, **changes: Any) -> AccuracyLine:
    """With the alignment's prior."""
    line = AccuracyLine(
        run_id=run_id,
        prior="alignment",
        clicks=120,
        acc25=0.9,
        acc50=0.8,
        coverage=0.7,
        wrong_rate=0.01,
    )
    return msgspec.structs.replace(line, **changes)


def write_record(path: Path, *lines: Line) -> Path:
    """A file of these lines."""
    with RecordFile(path) as file:
        for line in lines:
            file.append(line)
    return path


def latencies(count: int, median_ms: float, seed: int = 0, *, depends: float = 0.0) -> Any:
    """Log-normal durations in nanoseconds; `depends` on their neighbours as AR(1) does."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=count + 100)
    for index in range(1, len(noise)):
        noise[index] += depends * noise[index - 1]
    return (1e6 * median_ms * np.exp(0.1 * noise[100:])).astype(np.int64)
