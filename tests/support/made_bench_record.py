"""Whole runs of a benchmark with plausible contents: what a report is made of. Nothing measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from made_record import accuracy_line, measurement_line, run_line, write_record
from numpy.typing import NDArray

from benchmarks.record.lines import (
    CacheState,
    CrossCheckLine,
    Energy,
    FlownAccuracy,
    Heat,
    Line,
    MeasurementLine,
    Memory,
    PeerLine,
    ProcessorTime,
    Punctuality,
    RooflineLine,
    Scenario,
    Series,
    Stage,
    Unknown,
)
from benchmarks.record.series import pack, unpack
from benchmarks.record.stability import stability
from benchmarks.roofline.lines import NOT_RUN

NO_RAIL = Unknown("no power rail: there is no INA3221 or INA238 under /sys/class/hwmon")
NO_ENGINE = Unknown("onnxruntime runs on the processor")
OTHER = Unknown(NOT_RUN)
MIB = 1 << 20


def drawn(count: int, median_ms: float, seed: int, tail: float = 0.02) -> NDArray[np.int64]:
    """Log-normal with a share of slow ones, nanoseconds [count]."""
    random = np.random.default_rng(seed)
    factors = np.exp(0.06 * random.normal(size=count))
    slow = random.random(count) < tail
    factors[slow] *= 1.3 + random.exponential(0.5, slow.sum())
    return np.asarray(1e6 * median_ms * factors, np.int64)


def stages(total_ns: NDArray[np.int64], encoded: NDArray[np.int64] | None, seed: int) -> Any:
    """Parts of the totals; `encoded`: of those queries whose window was new."""
    random = np.random.default_rng(seed)
    shares = {"window": 0.01, "preprocess": 0.09, "engine": 0.84, "postprocess": 0.02}
    found = [Stage("capture", Unknown("frames come from memory in this scenario"))]
    for name, share in shares.items():
        part = total_ns * share * np.exp(0.02 * random.normal(size=len(total_ns)))
        found.append(Stage(name, pack(part.astype(np.int64))))
    told = Unknown("every window was encoded before") if encoded is None else pack(encoded)
    found.insert(2, Stage("encode", told))
    found.insert(4, Stage("copy", Unknown("onnxruntime copies nothing")))
    return tuple(found)


def measured(
    scenario: Scenario,
    state: CacheState,
    clicks: int,
    median_ms: float,
    count: int,
    seed: int = 0,
    run_id: str = "",
    **changes: Any,
) -> MeasurementLine:
    """One measurement; a cold or mixed one has windows to encode in it."""
    localize = drawn(count, median_ms, seed)
    share = {CacheState.WARM: 0.0, CacheState.MIXED: 0.1, CacheState.COLD: 1.0}[state]
    new = np.random.default_rng(seed + 1).random(count) < share
    encoded = drawn(int(new.sum()), 9 * median_ms, seed + 2)
    total = localize.copy()
    total[new] += encoded
    punctuality, worth = None, None
    if scenario is Scenario.PERIODIC:
        punctuality = punctual(total, seed)
        worth, total = flown(count), unpack(punctuality.age)
    facts: dict[str, Any] = {
        "scenario": scenario,
        "state": state,
        "clicks": clicks,
        "stages": stages(localize, encoded if new.any() else None, seed),
        "gpu": NO_ENGINE,
        "memory": Memory(410 * MIB, 412 * MIB, 455 * MIB),
        "punctuality": punctuality,
        "energy": NO_RAIL,
        "heat": Heat("cpu-thermal", 51.0, 68.5, None),
        "stability": stability(total, new if state is CacheState.MIXED else None),
        "processor": ProcessorTime(60.0, 2, 90.0, 1.2, 0.6),
        "accuracy": worth,
    }
    return measurement_line(total, run_id=run_id or "0" * 16, **{**facts, **changes})


def punctual(total_ns: NDArray[np.int64], seed: int, rate_hz: float = 30.0) -> Punctuality:
    """An open loop whose late frames are missed."""
    delay = drawn(len(total_ns), 0.4, seed + 3, tail=0.01)
    age = total_ns + delay
    missed = int((age > 1e9 / rate_hz).sum())
    return Punctuality(
        rate_hz, len(age), missed, pack(age), pack(delay), ("alignment", "window loading")
    )


def flown(frames: int, acc25: float = 0.81) -> FlownAccuracy:
    """What the fixes of an open loop were worth that answered all its frames."""
    return FlownAccuracy(frames, frames, frames, 8 * frames, acc25, acc25 - 0.22, 0.62, 0.04)


def processor_run(
    run_id: str = "a" * 16,
    speed: float = 1.0,
    acc25: float = 0.81,
    doubtful: bool = True,
    **changes: Any,
) -> list[Line]:
    """A run on a processor: all scenarios, a roofline and peers; with a doubt of each kind."""
    warm, mixed, cold = CacheState.WARM, CacheState.MIXED, CacheState.COLD
    single, multi, periodic = Scenario.SINGLE_STREAM, Scenario.MULTI_STREAM, Scenario.PERIODIC
    plan = [(single, warm, 1, 1024), (single, mixed, 1, 1024), (single, cold, 1, 240)]
    plan += [(multi, warm, clicks, 1100) for clicks in (1, 2, 4, 8, 16)]
    plan += [(multi, mixed, 8, 1024), (multi, cold, 8, 240)]
    plan += [(periodic, warm, 8, 1800), (periodic, mixed, 8, 1800)]
    facts = {
        "board": "AMD EPYC server",
        "cpu": "AMD EPYC",
        "cores": 2,
        "gpu": Unknown("no NVIDIA driver: /proc/driver/nvidia is not there"),
        "driver": Unknown("no NVIDIA driver: /proc/driver/nvidia is not there"),
        "cuda": Unknown("no libcudart"),
        "tensorrt": Unknown("the library tensorrt is not installed"),
        "l4t": Unknown("no /etc/nv_tegra_release"),
        "power_mode": Unknown("no nvpmodel"),
        "throttle": Unknown("no /sys/devices/system/cpu/cpu0/thermal_throttle"),
    }
    lines: list[Line] = [run_line(run_id, **{**facts, **changes})]
    lines += [
        accuracy_line(run_id, acc25=acc25, acc50=acc25 - 0.22, coverage=0.62, wrong_rate=0.04),
        accuracy_line(
            run_id,
            prior="none",
            acc25=acc25 - 0.4,
            acc50=acc25 - 0.5,
            coverage=0.08,
            wrong_rate=Unknown("nothing was accepted"),
        ),
    ]
    for seed, (scenario, state, clicks, count) in enumerate(plan):
        took_ms = speed * (21.0 + 0.3 * clicks)
        lines.append(measured(scenario, state, clicks, took_ms, count, seed, run_id))
    lines.append(offline(run_id, speed))
    if doubtful:
        lines += doubts(run_id, speed)
    return lines + rooflines(run_id, speed) + peers(run_id, speed)


def offline(run_id: str, speed: float) -> MeasurementLine:
    """Windows encoded one after the other."""
    ns = drawn(128, 190 * speed, 77)
    return measured(
        Scenario.OFFLINE,
        CacheState.COLD,
        0,
        1.0,
        16,
        5,
        run_id,
        latency=pack(ns),
        stability=stability(ns),
        duration_s=float(ns.sum()) / 1e9,
        stages=(Stage("encode", pack(ns)),),
    )


def doubts(run_id: str, speed: float) -> list[MeasurementLine]:
    """A soak that got slower and hot, and a measurement that was cut short."""
    drift = drawn(9000, 22 * speed, 50) * np.linspace(1.0, 1.25, 9000)
    soak = measured(
        Scenario.SOAK,
        CacheState.WARM,
        8,
        22.0,
        100,
        50,
        run_id,
        latency=pack(drift.astype(np.int64)),
        stability=stability(drift.astype(np.int64)),
        memory=Memory(410 * MIB, 431 * MIB, 470 * MIB),
        duration_s=float(drift.sum()) / 1e9,
        heat=Heat("cpu-thermal", 55.0, 97.0, True),
        stages=(),
    )
    short = measured(
        Scenario.PERIODIC, CacheState.COLD, 8, 22.0 * speed, 7, 51, run_id, ended="interrupted"
    )
    return [soak, short]


def rooflines(run_id: str, speed: float) -> list[Line]:
    """What fp32 reached, and what fp16 and int8 would need."""

    def line(graph, precision, clicks, macs, size, layers, took_ms=None) -> RooflineLine:
        ran = took_ms is not None
        bound = max(size / 11.5e6, macs / 79e6)
        return RooflineLine(
            run_id,
            graph,
            precision,
            clicks,
            macs,
            size,
            11.5 if ran else OTHER,
            79.0 if ran else OTHER,
            bound if ran else OTHER,
            took_ms if ran else OTHER,
            bound / took_ms if ran else OTHER,
            layers,
        )

    encoder, localizer = "reference_encoder", "localizer"
    return [
        line(encoder, "fp32", 0, 12_531_761_152, 22_405_900, 1_469_965_068, 190.0 * speed),
        line(localizer, "fp32", 1, 2_028_039_428, 10_719_849, 333_162_065, 31.0 * speed),
        line(localizer, "fp32", 8, 2_042_800_160, 10_720_213, 333_656_741, 32.5 * speed),
        line(encoder, "fp16", 0, 12_531_761_152, 15_921_576, 739_701_160),
        line(localizer, "fp16", 8, 2_099_333_120, 8_839_080, 161_048_488),
        line(localizer, "int8+fp16", 8, 2_099_333_120, 7_900_000, 82_000_000),
    ]


def peers(run_id: str, speed: float) -> list[Line]:
    """Two peers with an answer, one without weights, one that is not there."""

    def line(name, runtime, frame_ms, acc, note="") -> PeerLine:
        took: Series | Unknown = Unknown(note or "not installed: pip install 'tilefix[test]'")
        if frame_ms is not None:
            took = pack(drawn(24, frame_ms, len(name)))
        none = Unknown("random weights: the published ones are not to be had")
        return PeerLine(
            run_id,
            name,
            runtime,
            8,
            took,
            frame_ms / 8 if frame_ms is not None else took,
            round(1.4e9) if frame_ms is not None else took,
            acc if acc is not None else none,
            acc - 0.2 if acc is not None else none,
            note,
        )

    return [
        line("DetGeo as published", "torch eager", 61_000 * speed, None, "each click by itself"),
        line("OCGNet, cached and folded", "ONNX Runtime", 820 * speed, None),
        line("SIFT + homography", "OpenCV", 310.0, 0.44),
        line("XFeat + LighterGlue", "torch eager", 540.0, 0.71),
        line("DetGeo as published", "torch.compile", None, None, "no C++ compiler: g++ not found"),
    ]


def device_run(run_id: str = "b" * 16, **changes: Any) -> list[Line]:
    """A run of an engine on a board that knows its power and heat; nothing doubtful in it."""
    facts = {
        "executor": "tensorrt",
        "precision": "fp16",
        "engines": (("localizer", "9" * 64),),
        "plugin_sha256": "8" * 64,
        "timing_cache_sha256": "7" * 64,
    }
    lines: list[Line] = [run_line(run_id, **{**facts, **changes})]
    lines += [accuracy_line(run_id, acc25=0.805, acc50=0.59, coverage=0.61, wrong_rate=0.045)]
    known = {
        "energy": Energy("VDD_IN", 4.6, 11.2, 0.021, 600, 10.0),
        "heat": Heat("tj-thermal", 48.0, 61.0, False),
    }
    scenarios = (Scenario.SINGLE_STREAM, Scenario.MULTI_STREAM, Scenario.PERIODIC)
    for seed, scenario in enumerate(scenarios):
        clicks = 1 if scenario is Scenario.SINGLE_STREAM else 8
        for state in CacheState:
            gpu = pack(drawn(12_000, 2.4, seed + 20))
            lines.append(
                measured(scenario, state, clicks, 3.1, 12_000, seed, run_id, gpu=gpu, **known)
            )
    checks = (("reference_encoder", 0, 9.1, 9.2), ("localizer", 8, 2.4, 2.35))
    return lines + [
        CrossCheckLine(run_id, graph, clicks, "trtexec", ours, theirs, 0.05, True)
        for graph, clicks, ours, theirs in checks
    ]


def written(path: Path, *runs: list[Line]) -> Path:
    """A record file of these runs, one after the other."""
    return write_record(path, *(line for run in runs for line in run))
