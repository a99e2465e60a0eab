"""The lines of a benchmark's record: `tilefix-bench/1`, JSON lines, only ever appended to.

A file holds `run` lines and what belongs to them by `run_id`: `accuracy`, `measurement`,
`roofline`, `peer` and `cross-check` lines. What could not be had is an `Unknown` with its reason,
never 0 and never left out. Fields that came later have a default: older records are still read.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from benchmarks.record.bounds import AtLeastOne, Count, NotNegative, Positive, Share
from benchmarks.record.observed import (
    Energy,
    FlownAccuracy,
    Heat,
    Memory,
    ProcessorTime,
    Punctuality,
    Series,
    Stability,
    Stage,
    Unknown,
)

SCHEMA = "tilefix-bench/1"
MOST_OTHERS = 0.05  # of the cores' time: with more of it a latency is not this program's alone
COMPLETE = "complete"  # what `MeasurementLine.ended` says of one that ran to its end
MOST_HARNESS_US = 20.0  # of a query: beyond, the harness is part of what it measures


class Scenario(str, Enum):
    """How queries arrive, in MLPerf's terms."""

    SINGLE_STREAM = "single-stream"  # the next frame when the last one is done, one click
    MULTI_STREAM = "multi-stream"  # the same with N clicks in each frame
    PERIODIC = "periodic"  # frames at the camera's rate, whether or not the last one is done
    OFFLINE = "offline"  # windows to encode, all at hand
    SOAK = "soak"  # multi-stream for minutes


class CacheState(str, Enum):
    """Whether the window of a frame was encoded before."""

    COLD = "cold"  # never: encode and localise
    WARM = "warm"  # always: localise
    MIXED = "mixed"  # with probability `hit_rate`


class BundleFacts(msgspec.Struct, frozen=True):
    """What was run: equal facts, equal programme."""

    name: str
    model_id: str
    executor: str
    precision: str
    threads: AtLeastOne
    frame_px: tuple[AtLeastOne, AtLeastOne]
    files: tuple[tuple[str, str], ...]  # (name in the bundle, sha256), sorted
    engines: tuple[tuple[str, str], ...]  # (graph, sha256 of the plan); empty without an engine
    plugin_sha256: str | None
    timing_cache_sha256: str | None
    # How an executor on a GPU uses it; None: it runs on the CPU, or the record is an older one.
    device_backend: str | None = None  # "cuda-python", "pycuda"
    cuda_graphs: bool | None = None  # False: every run is enqueued anew


class Settings(msgspec.Struct, frozen=True):
    """How it was run."""

    quick: bool
    seed: int
    clicks: AtLeastOne  # in a frame of periodic, soak and peers; multi-stream has it among others
    hit_rate: Share
    rate_hz: Positive
    pairs: str  # name of the pairs file
    pairs_sha256: str
    minutes: Positive | None = None  # of each measurement but soak; None: by the rules
    soak_minutes: Positive = 10.0


class Environment(msgspec.Struct, frozen=True):
    """The machine, as far as it says."""

    board: str | Unknown  # /proc/device-tree/model, or DMI
    cpu: str | Unknown
    cores: AtLeastOne
    memory_bytes: AtLeastOne | Unknown
    kernel: str
    python: str
    libraries: tuple[tuple[str, str], ...]  # numpy, opencv, onnxruntime, ... with versions
    governor: str | Unknown
    gpu: str | Unknown
    driver: str | Unknown
    cuda: str | Unknown
    tensorrt: str | Unknown
    l4t: str | Unknown
    power_mode: str | Unknown  # nvpmodel's
    clocks_mhz: tuple[tuple[str, float], ...] | Unknown  # cpu0, gpu, emc as seen at the start
    temperatures_deg_c: tuple[tuple[str, float], ...] | Unknown
    throttle: str | Unknown  # flags of NVML, or overcurrent and thermal counters of a Jetson
    load_average: NotNegative | Unknown


class RunLine(msgspec.Struct, frozen=True, tag="run", tag_field="line"):
    """One call of `tilefix bench` that began a run, or added to one."""

    schema: str
    run_id: str  # 16 hexadecimal digits
    started_utc: str  # ISO 8601
    command: str
    version: str  # of tilefix
    commit: str | Unknown  # of git; with changes: "+" and eight digits that tell them apart
    bundle: BundleFacts
    settings: Settings
    environment: Environment


class AccuracyLine(msgspec.Struct, frozen=True, tag="accuracy", tag_field="line"):
    """What the same bundle, executor and precision reach on the pairs file of the run."""

    run_id: str
    prior: str  # "alignment" or "none"
    clicks: Count
    acc25: Share | Unknown  # Unknown: no object of the pairs is in the map
    acc50: Share | Unknown
    coverage: Share | Unknown  # Unknown: nothing was clicked
    wrong_rate: Share | Unknown  # of what is accepted; Unknown: nothing was accepted


class MeasurementLine(msgspec.Struct, frozen=True, tag="measurement", tag_field="line"):
    """One scenario in one state of the cache."""

    run_id: str
    scenario: Scenario
    state: CacheState
    clicks: Count  # N of each frame; 0 for offline
    started_utc: str
    warmup_queries: Count
    duration_s: NotNegative
    ended: str  # COMPLETE, "interrupted", or why: "device lost: ..."
    latency: Series  # per query; per window for offline
    stages: tuple[Stage, ...]
    gpu: Series | Unknown  # by CUDA events
    stability: Stability | Unknown  # Unknown: fewer than 100 queries
    memory: Memory | Unknown
    punctuality: Punctuality | None  # of periodic alone
    energy: Energy | Unknown
    heat: Heat | Unknown
    harness_us: NotNegative  # median cost of the harness itself per query, microseconds
    processor: ProcessorTime | Unknown | None = None  # None: an older record
    # Of an open loop's own fixes; None: another scenario, whose worth is the AccuracyLine "none".
    accuracy: FlownAccuracy | Unknown | None = None


class RooflineLine(msgspec.Struct, frozen=True, tag="roofline", tag_field="line"):
    """What one graph needs at least, and how near it comes to what the machine can do."""

    run_id: str
    graph: str  # "localizer"
    precision: str
    clicks: Count  # 0 for the encoder
    macs: AtLeastOne | Unknown  # Unknown: the graph could not be counted
    compulsory_bytes: AtLeastOne | Unknown  # weights and inputs read once, outputs written once
    copy_gb_s: Positive | Unknown  # measured on this machine; Unknown: not where the graph ran
    matrix_gmac_s: Positive | Unknown  # measured on this machine
    bound_ms: Positive | Unknown  # max of both terms
    measured_ms: Positive | Unknown  # Unknown: a precision of the bundle that this run did not use
    fraction: Positive | Unknown  # bound / measured
    # Compulsory bytes, and what the layers between them write and read where nothing is fused
    # but activations.
    layer_bytes: AtLeastOne | Unknown = Unknown("not counted")


class PeerLine(msgspec.Struct, frozen=True, tag="peer", tag_field="line"):
    """Another way to the same answer, in the same run on the same frames."""

    run_id: str
    name: str  # "DetGeo as published"
    runtime: str  # "torch eager", "torch.compile", "ONNX Runtime", "OpenCV"
    clicks: Count  # in one frame
    latency: Series | Unknown  # per frame
    per_object_ms: Positive | Unknown
    peak_bytes: AtLeastOne | Unknown
    acc25: Share | Unknown  # on the pairs file of the run; random weights have none
    acc50: Share | Unknown
    note: str
    # 0: with all others; each time that some are measured again, with ours beside them, one more.
    round: Count = 0


class CrossCheckLine(msgspec.Struct, frozen=True, tag="cross-check", tag_field="line"):
    """The engine's time of a run against that of the toolkit's own program."""

    run_id: str
    graph: str  # "localizer"
    clicks: Count  # 0 for the encoder
    tool: str  # "trtexec"
    ours_ms: Positive | Unknown  # medians
    theirs_ms: Positive | Unknown  # Unknown: why there is none, such as a time-out
    tolerance: NotNegative  # that they may be apart, as a share of theirs
    passed: bool


Line = RunLine | AccuracyLine | MeasurementLine | RooflineLine | PeerLine | CrossCheckLine
