"""A judgement of an INT8 bundle as values: what was measured, and what follows from it.

It is written beside the graphs (`calibration/judgement.json` in the bundle), and a report shows it.
Scores are shares of one; changes are in points of one hundred, candidate less float32.
"""

from __future__ import annotations

from enum import Enum

import msgspec

SCHEMA = "tilefix-judgement/1"
BUDGET_POINTS = 1.0
LEAST_CLICKS = 2000  # held out and labelled: fewer cannot show a loss of one point


class Outcome(str, Enum):
    """What becomes of the INT8 graphs."""

    ACCEPTED = "accepted"
    MIXED = "mixed"  # some blocks stay float16
    REJECTED = "rejected: FP16 kept"


class RankedBy(str, Enum):
    """What a block saves is measured in this."""

    LATENCY = "latency"
    MACS = "MACs"


class StoreVerdict(str, Enum):
    """What becomes of features in INT8 in a store."""

    HELD = "held"  # the budget holds with them
    COSTS = "costs too much"
    UNDECIDED = "undecided"  # too few labelled clicks, or an interval that is too wide


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A difference in points with its 95 % interval, by paired bootstrap over samples."""

    mean: float
    low: float
    high: float


class RegimeScore(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate on rendered held-out clicks with one kind of prior."""

    regime: str  # "no prior" or "alignment"
    clicks: int
    clicks_on_map: int
    samples: int
    accuracy_25: float  # share of the clicks on the map with IoU > 0.25
    accuracy_50: float
    change_25: Change  # against float32 on the same clicks
    change_50: Change
    box_iou_median: float  # with float32's box
    box_iou_90: float  # share with an IoU of at least 0.9
    wrong_rate: float  # of what the bundle's own acceptance takes
    coverage: float  # share that it takes
    calibration_error: float  # expected, of the acceptance probability


class CandidateScore(msgspec.Struct, frozen=True, kw_only=True):
    """All regimes of one candidate."""

    name: str  # "fp16", "entropy", "entropy, 3 blocks float16"
    precision: str  # "fp32", "fp16", "int8+fp32" or "int8+fp16"
    method: str  # of the ranges; "" for float graphs
    left_float: tuple[str, ...]  # blocks
    regimes: tuple[RegimeScore, ...]
    file_bytes: int  # of both graphs


class ChangedVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """A click on a labelled real frame that another verdict came out for."""

    frame: str
    object_id: str | None
    before: str  # "accepted, right", of float32
    after: str
    iou_before: float
    iou_after: float


class RealScore(msgspec.Struct, frozen=True, kw_only=True):
    """Labelled frames of real flights, with alignment."""

    pairs: tuple[str, ...]
    sightings: int
    accuracy_25_before: float
    accuracy_25_after: float
    change_25: Change  # bootstrap over objects
    box_iou_median: float
    changed: tuple[ChangedVerdict, ...]


class AgreementScore(msgspec.Struct, frozen=True, kw_only=True):
    """Where nothing is labelled: boxes against float32's on the selected frames and windows."""

    candidate: str
    clicks: int
    box_iou_median: float
    box_iou_90: float
    same_verdict: float  # of all clicks: says nothing where neither accepted any
    accepted: tuple[int, int] | None = None  # clicks, by float32 and by this; None: not told


class BlockSensitivity(msgspec.Struct, frozen=True, kw_only=True):
    """What quantising one block alone does to the outputs of its graph."""

    block: str
    graph: str
    macs: int
    convolutions: int
    relative_error: float  # |output - float32's| / |float32's|, the worst output
    latency_ms: float | None = None  # what INT8 saves on a device; None: not measured


class FeatureVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a store may hold its features in INT8, and why; it changes no outcome of graphs."""

    verdict: StoreVerdict
    sentence: str  # which is among the reasons too


class CpuFormVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """ONNX Runtime's form of what was kept, which changes no outcome."""

    left_float: tuple[str, ...]  # blocks: those of TensorRT's form, and what it needs beside them
    holds: bool  # the budget; False: run float32 there
    by_agreement: bool = False  # alone, for too few labelled clicks


class GraphLatency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds of one run of a graph's two engines, the sums of their layers' medians."""

    graph: str
    fp16_ms: float
    int8_ms: float  # with all blocks in INT8
    fp16_elsewhere_ms: float  # part of it in layers of no block: reformats, attention and the like
    int8_elsewhere_ms: float


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """What the search weighs a block's error by."""

    by: RankedBy
    reason: str = ""  # why not by latency
    device: str = ""  # that was measured on, with its toolkit
    clicks: int = 0  # of a run
    runs: int = 0  # of each engine
    saved_ms: dict[str, float] = {}  # block -> FP16's time less INT8's in one run of its graph
    graphs: tuple[GraphLatency, ...] = ()


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was measured, the outcome, and why."""

    outcome: Outcome
    reasons: tuple[str, ...]
    budget_points: float
    method: str  # of the ranges that were kept
    left_float: tuple[str, ...]
    base: CandidateScore | None  # float32; None: nothing was labelled
    candidates: tuple[CandidateScore, ...]  # fp16 first, in the order they were tried
    sensitivity: tuple[BlockSensitivity, ...]  # worst first
    agreement: tuple[AgreementScore, ...]
    real: RealScore | None
    latency_ratio: dict[str, float]  # graph -> float32's time / INT8's, ONNX Runtime on this CPU
    int8_share_of_macs: dict[str, float]  # graph -> of what was kept; none: rejected
    graph_sha256: dict[str, str]  # "graphs/int8+fp32/localizer.onnx" -> sha256 of what was kept
    samples: tuple[str, ...]  # folders of rendered samples, by name
    environment: dict[str, str]
    seconds: float
    frames_per_window: float = 1.0  # the encoder's weight in the search; 1: both graphs alike
    ranking: Ranking | None = None  # of the blocks; None: not told, by an earlier version
    int8_features: FeatureVerdict | None = None  # None: not asked for
    cpu_form: CpuFormVerdict | None = None  # None: rejected, or not told, by an earlier version
    float32_bytes: int = 0  # of both graphs; 0: not told, by an earlier version
    schema: str = SCHEMA
