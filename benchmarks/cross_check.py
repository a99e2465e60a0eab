"""Our time of an engine against trtexec's, on the same device in the same hour.

Both count the same thing: the engine alone, by CUDA events, replayed as a CUDA graph, without the
copies. Where they part by more than `TOLERANCE` one of them measures something else, and no number
of the run is to be trusted. What came of it is a line of the record, passed or not. It is the
localizer that is checked: of the encoder a record has no GPU times.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.record.lines import CacheState, CrossCheckLine, Scenario, Series, Unknown
from benchmarks.record.percentiles import LEAST_COUNT, percentile_ms
from benchmarks.record.runs import Run
from benchmarks.record.series import unpack
from edge.bundle import LOCALIZER
from edge.devices.base import DeviceOptions, open_device
from edge.engine_manifest import ENGINE_FILE, PLUGIN_FILE
from edge.errors import BenchmarkError
from edge.executors.base import EXECUTORS, ON_DEVICE
from edge.executors.click_buckets import ClickBuckets
from edge.executors.engine_choice import ChosenEngine, choose_engine
from edge.executors.trt_runtime import load_tensorrt
from edge.localizer import Localizer

TOLERANCE = 0.05
TOOLS = {"tensorrt": "trtexec", "tensorrt-rtx": "tensorrt_rtx"}
PLACES = ("/usr/src/tensorrt/bin", "/opt/tensorrt/bin")  # of JetPack, and of NVIDIA's containers
DURATION_S, WARMUP_MS = 10, 2000
TIMEOUT_S = 300
COMPUTE = "computeMs"  # of an entry of --exportTimes
LEAST_TIMES = LEAST_COUNT[50.0]  # of either, for a median
Say = Callable[[str], None]
Keep = Callable[[CrossCheckLine], None]


@dataclass(frozen=True, slots=True)
class Compared:
    """Medians at one number of clicks."""

    clicks: int
    ours_ms: float
    theirs_ms: float

    @property
    def apart(self) -> float:
        """By how much ours differs, as a share of theirs."""
        return abs(self.ours_ms - self.theirs_ms) / self.theirs_ms


def cross_check_run(
    localizer: Localizer, run: Run, device: DeviceOptions | None, keep: Keep, say: Say
) -> list[Compared]:
    """Run trtexec on the engine of a run, and compare.

    Args:
        localizer: that was measured.
        run: its record.
        device: options that it was opened with.
        keep: appends a line to the record, at each number of clicks.
        say: tells each result.

    Raises:
        BenchmarkError: no device, no trtexec, no GPU times in the record, a tool that fails or
            does not end, or times that differ by more than TOLERANCE.
    """
    tool = find_tool(localizer.executor)
    ours = engine_times_ms(run)
    engine = _engine(localizer, device)
    found = []
    for clicks, ours_ms in sorted(ours.items()):
        try:
            theirs_ms = tool_ms(tool, engine, clicks)
        except BenchmarkError as error:
            why = Unknown(f"{error.what}: {error.found}")
            keep(_line(run, tool, clicks, ours_ms, why, passed=False))
            raise
        found.append(Compared(clicks, ours_ms, theirs_ms))
        passed = found[-1].apart <= TOLERANCE
        keep(_line(run, tool, clicks, ours_ms, theirs_ms, passed=passed))
        say(
            f"cross-check at {clicks} clicks: engine {ours_ms:.3f} ms, {tool.name} "
            f"{theirs_ms:.3f} ms, {found[-1].apart:.1%} apart"
        )
    parted = [each for each in found if each.apart > TOLERANCE]
    if parted:
        listed = "; ".join(
            f"{each.clicks} clicks: {each.ours_ms:.3f} against {each.theirs_ms:.3f} ms, "
            f"{each.apart:.1%}"
            for each in parted
        )
        raise BenchmarkError(
            f"the engine's time is not that of {tool.name}",
            expected=f"within {TOLERANCE:.0%} of it",
            found=listed,
            do="fix the clocks (jetson_clocks, nvidia-smi -lgc), end what else uses the GPU, and "
            "run again into a new folder",
        )
    return found


def _line(
    run: Run,
    tool: Path,
    clicks: int,
    ours_ms: float,
    theirs_ms: float | Unknown,
    *,
    passed: bool,
) -> CrossCheckLine:
    return CrossCheckLine(
        run_id=run.line.run_id,
        graph=LOCALIZER,
        clicks=clicks,
        tool=tool.name,
        ours_ms=ours_ms,
        theirs_ms=theirs_ms,
        tolerance=TOLERANCE,
        passed=passed,
    )


def find_tool(executor: str) -> Path:
    """Where trtexec is, or its sister for TensorRT-RTX.

    Raises:
        BenchmarkError: this executor has no engine, or the tool is not installed.
    """
    if executor not in ON_DEVICE:
        raise BenchmarkError(
            f"there is nothing to check {executor} against",
            expected=f"an engine on a device: --executor with one of {', '.join(ON_DEVICE)}",
            found=f"--executor {executor}, which runs on the CPU",
            do="run --cross-check on a device, or leave it out",
        )
    name = TOOLS[executor]
    path = shutil.which(name) or shutil.which(name, path=os.pathsep.join(PLACES))
    if path is None:
        raise BenchmarkError(
            f"{name} is not installed",
            expected=f"{name} in PATH or in {' or '.join(PLACES)}",
            found="no such program",
            do="sudo apt install libnvinfer-bin on a Jetson; it comes with TensorRT's archive too",
        )
    return Path(path)


def engine_times_ms(run: Run) -> dict[int, float]:
    """Clicks -> median GPU time of the localizer's engine, out of multi-stream warm.

    Raises:
        BenchmarkError: the record holds none.
    """
    found: dict[int, float] = {}
    for line in run.measurements:
        warm = line.scenario is Scenario.MULTI_STREAM and line.state is CacheState.WARM
        if warm and isinstance(line.gpu, Series):
            median_ms = percentile_ms(unpack(line.gpu), 50.0)
            if median_ms is not None:
                found[line.clicks] = median_ms
    if not found:
        raise BenchmarkError(
            "the record holds no GPU times to check",
            expected=f"multi-stream, warm, with {LEAST_TIMES} times by CUDA events or more",
            found=f"{len(run.measurements)} measurements without them",
            do="add --scenario multi-stream --state warm, and leave --device-backend out",
        )
    return found


def tool_ms(tool: Path, engine: ChosenEngine, clicks: int) -> float:
    """Median time of the engine as the tool measures it, at the bucket that holds `clicks`.

    Raises:
        BenchmarkError: it cannot be started, does not end, fails, or says no times.
    """
    with tempfile.TemporaryDirectory(prefix="tilefix-bench-") as folder:
        times = Path(folder) / "times.json"
        command = tool_command(tool, engine, clicks, times)
        done = _run(tool, command)
        if done.returncode != 0 or not times.is_file():
            raise BenchmarkError(
                f"{tool.name} failed",
                expected="exit code 0, and its times",
                found=f"exit code {done.returncode}: {_last_lines(done.stdout + done.stderr)}",
                do=f"run it by hand: {' '.join(command)}",
            )
        try:
            values = [float(entry[COMPUTE]) for entry in json.loads(times.read_text())]
            if len(values) < LEAST_TIMES:
                raise ValueError(f"{len(values)} entries")
            if not all(0 < value < math.inf for value in values):
                raise ValueError("a time that is none")
        except (ValueError, KeyError, TypeError) as error:
            raise BenchmarkError(
                f"the times of {tool.name} cannot be read",
                expected=f"JSON with {COMPUTE} in every entry, {LEAST_TIMES} of them or more",
                found=f"{type(error).__name__}: {error}",
                do=f"run it by hand, and report this: {' '.join(command)}",
            ) from error
    return float(np.median(values))


def _run(tool: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """The tool, to its end."""
    by_hand = f"run it by hand: {' '.join(command)}"
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(
            f"{tool.name} does not end",
            expected=f"an end within {TIMEOUT_S} s, of which it measures {DURATION_S} s",
            found=f"nothing after {error.timeout:.0f} s; it was stopped",
            do=f"end what else uses the GPU; {by_hand}",
        ) from error
    except OSError as error:
        raise BenchmarkError(
            f"{tool.name} cannot be started",
            expected=f"a program that runs on this machine at {tool}",
            found=f"{type(error).__name__}: {error.strerror}",
            do=f"install the one of this machine's TensorRT; {by_hand}",
        ) from error


def tool_command(tool: Path, engine: ChosenEngine, clicks: int, times: Path) -> list[str]:
    """What is run: the engine's own plugin, profile and shapes, in a CUDA graph, no copies."""
    profiles = engine.manifest.key.click_buckets
    bucket = ClickBuckets(tuple(sorted(profiles))).holding(clicks)
    shapes = ",".join(
        f"{each.name}:{'x'.join(str(bucket if size < 0 else size) for size in each.shape)}"
        for each in engine.manifest.inputs
        if min(each.shape) < 0
    )
    plugin = engine.folder / PLUGIN_FILE
    return [
        str(tool),
        f"--loadEngine={engine.folder / ENGINE_FILE}",
        *([f"--staticPlugins={plugin}"] if engine.manifest.key.plugin_sha256 else []),
        f"--useProfile={profiles.index(bucket)}",
        f"--shapes={shapes}",
        "--useCudaGraph",
        "--noDataTransfers",
        f"--warmUp={WARMUP_MS}",
        f"--duration={DURATION_S}",
        f"--exportTimes={times}",
    ]


def _engine(localizer: Localizer, device: DeviceOptions | None) -> ChosenEngine:
    """The localizer's engine of this device."""
    module, _, attribute = EXECUTORS[localizer.executor].partition(":")
    toolkit: str = getattr(importlib.import_module(module), attribute).toolkit
    version = load_tensorrt(toolkit, localizer.executor).version
    opened = open_device((device or DeviceOptions()).backend)
    try:
        facts = opened.facts
    finally:
        opened.close()
    bundle, precision = localizer.bundle, localizer.precision
    return choose_engine(bundle, LOCALIZER, precision, toolkit, version, facts)


def _last_lines(text: str, count: int = 3) -> str:
    return " | ".join(line.strip() for line in text.splitlines()[-count:]) or "it said nothing"
