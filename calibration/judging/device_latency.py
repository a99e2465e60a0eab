"""What INT8 saves of each block on this machine's GPU, or why that cannot be known here.

The graphs of the float16 bundle and the same graphs with all blocks in INT8 become engines, by the
path that `tilefix build` takes. Both run by turns under TensorRT's profiler. What a block saves is
the time of its layers in float16 less that in INT8, in one run of its graph; how many frames such a
run serves is for the search to weigh.

A calibration has hours in its hands: whatever goes wrong here, a disk that is full included, is a
reason to rank by multiply-accumulates, told in the record, and no error. Times are kept in the work
folder, so that a run that was stopped goes on with the same ranking.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from calibration.judging.block_latency import BlockTimes, block_times
from calibration.judging.candidates import KINDS, write_kept
from calibration.judging.graph_blocks import graph_blocks
from calibration.judging.path_words import last_parts
from calibration.judging.priors import Progress
from calibration.judging.record import GraphLatency, RankedBy, Ranking
from calibration.judging.request import NOT_ASKED, JudgeRequest
from calibration.judging.timed_engines import (
    CLICKS,
    FLOAT,
    INT8,
    LocalDevice,
    engines_of,
    local_device,
    timed_bundle,
)
from calibration.quantization.int8_graphs import FloatGraphs
from calibration.quantization.qdq import Form
from edge.bundle import LOCALIZER, Bundle
from edge.errors import TilefixError
from edge.sinks import write_whole

EngineTimes = Any  # export.engines.layer_times.EngineTimes; only functions import of that package
Timer = Callable[[Any, Path], tuple[EngineTimes, ...]]  # of a layer_timing.TimingJob, and a folder
VERSION = "device-latency/2"
LONGEST_REASON = 300  # characters


@dataclass(frozen=True, slots=True)
class DeviceTrial:
    """How this machine's GPU is asked."""

    by_macs: bool = False  # it is not
    plugin: Path | None = None  # folder of `tilefix plugin build`; None: that of a built engine
    timer: Timer | None = None  # None: `run_timing`, a process of its own


def ranked_on_device(
    request: JudgeRequest, trial: DeviceTrial, progress: Progress | None = None
) -> JudgeRequest:
    """The same request with what its blocks save here, or with the reason why that is not known.

    Args:
        request: that was checked.
        trial: how the device is asked.
        progress: told of every engine, and of what blocks are ranked by.
    """
    if trial.by_macs:
        return dataclasses.replace(request, ranking=NOT_ASKED)
    told = progress or (lambda name, done, total: None)
    try:
        ranking = _ranking(request, trial, told)
        told(f"blocks are ranked by their latency on {ranking.device}", 0, 0)
    except (TilefixError, OSError, msgspec.MsgspecError) as error:
        words = f"{error.what}: {error.found}" if isinstance(error, TilefixError) else str(error)
        reason = last_parts(" ".join(words.split()))[:LONGEST_REASON]
        ranking = Ranking(by=RankedBy.MACS, reason=reason)
        told(f"blocks are ranked by MACs: {reason}", 0, 0)
    return dataclasses.replace(request, ranking=ranking)


def _ranking(request: JudgeRequest, trial: DeviceTrial, progress: Progress) -> Ranking:
    device = local_device()
    bundle, graphs = request.bundle, request.graphs or FloatGraphs(request.bundle)
    request.work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="graphs-", dir=request.work) as scratch:
        ranges = next(iter(request.ranges.values()))  # a scale takes no time, whichever it is
        hashes = write_kept(graphs, ranges, {Form.TENSORRT: ()}, Path(scratch))
        floats = [sha for name, sha in sorted(bundle.manifest.files.items()) if FLOAT in name]
        blocks = [[each.name, *each.convolutions] for each in graphs.blocks]
        parts = json.dumps([VERSION, device.words, CLICKS, hashes, floats, blocks])
        digest = hashlib.sha256(parts.encode()).hexdigest()[:16]
        kept = request.work / f"device-latency-{digest}.json"
        with suppress(FileNotFoundError, msgspec.MsgspecError):  # a damaged file: measured anew
            return msgspec.json.decode(kept.read_bytes(), type=Ranking)
        int8 = {name: Path(scratch) / name for name in hashes}
        timed = timed_bundle(bundle, int8, request.work / f"timed-{digest}")
    engines = engines_of(bundle, timed, device, trial.plugin, progress)
    ranking = _time(graphs, timed, engines, device, trial.timer, progress)
    write_whole(kept, msgspec.json.encode(ranking))
    return ranking


def _time(
    graphs: FloatGraphs,
    timed: Bundle,
    engines: dict[tuple[str, str], Path],
    device: LocalDevice,
    timer: Timer | None,
    progress: Progress,
) -> Ranking:
    from export.engines.layer_times import RUNS
    from export.engines.layer_timing import TimingJob, run_timing

    found: list[GraphLatency] = []
    saved_ms: dict[str, float] = {}
    for number, kind in enumerate(KINDS):
        progress("graphs timed by layer", number, len(KINDS))
        features = [each.name for each in timed.manifest.features] if kind == LOCALIZER else []
        job = TimingJob(
            toolkit=device.target.toolkit.name,
            engines=tuple(str(engines[kind, precision]) for precision in (FLOAT, INT8)),
            features=tuple(features),
            clicks=CLICKS,
            runs=RUNS,
        )
        answer = (timer or run_timing)(job, timed.path)
        before, after = (
            _by_block(graphs, timed, kind, precision, times)
            for precision, times in zip((FLOAT, INT8), answer, strict=True)
        )
        found.append(
            GraphLatency(
                graph=kind,
                fp16_ms=before.total_ms,
                int8_ms=after.total_ms,
                fp16_elsewhere_ms=before.elsewhere_ms,
                int8_elsewhere_ms=after.elsewhere_ms,
            )
        )
        saved_ms |= {name: ms - after.by_block_ms[name] for name, ms in before.by_block_ms.items()}
    progress("graphs timed by layer", len(KINDS), len(KINDS))
    return Ranking(
        by=RankedBy.LATENCY,
        device=device.words,
        clicks=CLICKS,
        runs=RUNS,
        saved_ms=saved_ms,
        graphs=tuple(found),
    )


def _by_block(
    graphs: FloatGraphs, timed: Bundle, kind: str, precision: str, times: EngineTimes
) -> BlockTimes:
    from export.shared_weights import whole_graph

    found = graphs.sorted[kind]
    known = (*found.eligible, *(each for each, _ in found.refused))
    model = whole_graph(timed.graph(kind, precision))
    blocks = [block for block in graphs.blocks if block.graph == kind]
    return block_times(times, graph_blocks(model, blocks, known))
