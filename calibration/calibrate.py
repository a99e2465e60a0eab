"""From a float bundle and recorded flights to an INT8 bundle with its proof.

Selection, histograms, scores: each step keeps its work in the work folder and finds it again, so
that a stopped run goes on where it was, and ends with the same graphs byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from calibration.float_bundle import float_source
from calibration.int8_bundle import Proof, write_int8_bundle
from calibration.judging.device_latency import DeviceTrial, ranked_on_device
from calibration.judging.judge import KEPT, judge
from calibration.judging.record import Judgement
from calibration.judging.request import JudgeRequest, check_storable
from calibration.quantization.bias_correction import bias_shifts, channel_means
from calibration.quantization.int8_graphs import KINDS, FloatGraphs, check_floats
from calibration.ranges.bundle_observing import (
    BundleOptions,
    feeds_of,
    merge_bundle,
    observe_bundle,
)
from calibration.ranges.carried import trained_ranges, with_trained
from calibration.ranges.finding import find_ranges
from calibration.ranges.histogram_file import TensorHistograms
from calibration.ranges.record import Ranges
from calibration.replay_pictures import replay_files
from calibration.report.page import Evidence, page
from calibration.request import CalibrationRequest
from calibration.selection.candidate import FeatureMaker
from calibration.selection.peaks import peak_features
from calibration.selection.record import SHEET_NAME, SelectionFolder
from calibration.selection.request import LEAST_FRAMES, SelectionRequest
from calibration.selection.selector import SelectionProgress, select
from edge.bundle import Bundle
from edge.errors import CalibrationError, OutputError, UsageError
from edge.types import Float32

BIAS_IMAGES = 32  # of each graph: means of channels settle sooner than their extremes


@dataclass(frozen=True, slots=True)
class Step:
    """What is being done, for people."""

    name: str
    done: int
    total: int  # 0: not known


Progress = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What a calibration left."""

    bundle: Bundle
    judgement: Judgement
    seen: Observations


@dataclass(frozen=True, slots=True)
class Observations:
    """A bundle's activations on a selection, and the ranges that follow by each method."""

    selection: SelectionFolder
    histograms: tuple[TensorHistograms, ...]
    ranges: Mapping[str, Ranges]  # by method

    def amax(self, method: str) -> dict[str, dict[str, float]]:
        """Thresholds by graph and tensor."""
        return {
            kind: {name: each.amax for name, each in self.ranges[method].of(kind).items()}
            for kind in KINDS
        }


def check_out(out: Path) -> None:
    """Refuse a place for the bundle that is taken, before all work.

    Raises:
        OutputError: something is there.
    """
    if out.exists():
        raise OutputError(
            f"{out} is already there",
            expected="a new folder for the INT8 bundle",
            found="a folder" if out.is_dir() else "a file",
            do="choose another --out, or remove it",
        )


def open_float(path: Path) -> Bundle:
    """Open the bundle that shall be calibrated.

    Raises:
        BundleError: broken.
        CalibrationError: it has INT8 graphs already, or none in fp32.
        UsageError: no graphs in fp16, which TensorRT's form is made of.
    """
    bundle = Bundle.open(path)
    check_floats(bundle)
    if "fp16" not in bundle.precisions:
        raise UsageError(
            f"the bundle {bundle.manifest.name} has no graphs in fp16",
            expected="fp32 and fp16: what stays float in TensorRT's form is fp16",
            found=", ".join(bundle.precisions),
            do=f"tilefix export --from-bundle {path} --precision fp16 --out {path}",
        )
    return bundle


def selected(request: CalibrationRequest, bundle: Bundle, progress: Progress) -> SelectionFolder:
    """Select pictures, or find those that were selected.

    Raises:
        UsageError, SourceError, MapError, CalibrationError, OutputError: see `select`.
    """
    spec = bundle.manifest
    return select(
        SelectionRequest(
            sources=request.frames,
            maps=request.maps,
            frame_px=(spec.frame.width_px, spec.frame.height_px),
            window_px=(spec.window.width_px, spec.window.height_px),
            gsd_m=spec.window.gsd_m,
            frames=request.frame_count,
            windows=request.window_count,
            most_frame_candidates=max(request.candidates, request.frame_count, LEAST_FRAMES),
            seed=request.seed,
        ),
        request.work_folder / "selection",
        lambda at: progress(_selecting(at)),
        _features(bundle, request.threads, progress),
    )


def histograms_of(
    request: CalibrationRequest, bundle: Bundle, folder: SelectionFolder, progress: Progress
) -> tuple[TensorHistograms, ...]:
    """Histograms of the bundle's activations: of one shard, or of all pictures.

    Raises:
        CalibrationError, OutputError, ExecutorError, UsageError: see `observe_bundle` and
            `merge_bundle`.
    """
    options = BundleOptions(
        seed=request.seed,
        shard=(request.shard or 0, request.shards),
        threads=request.threads,
        provider=request.provider,
    )
    given = bundle, folder, FloatGraphs(bundle).observed, request.work_folder / "ranges", options
    if request.shards > 1 and request.shard is None:
        return merge_bundle(*given)
    return observe_bundle(
        *given, lambda kind, done, total: progress(Step(f"ranges of {kind}", done, total))
    )


def observe_shard(
    request: CalibrationRequest, progress: Progress = lambda step: None
) -> dict[str, int]:
    """Observe one shard of the pictures and stop; how many it has, by graph.

    Several processes, or machines with copies of the work folder, take one each. What they leave
    in `work_folder / "ranges"` is merged by `calibrate` with the same number of shards.

    Raises:
        BundleError, UsageError, SourceError, MapError, CalibrationError, OutputError,
            ExecutorError: see `calibrate`.
    """
    request.check()
    bundle = open_float(request.bundle)
    folder = selected(request, bundle, progress)
    found = histograms_of(request, bundle, folder, progress)
    return {one.identity.graph: len(one.images) for one in found}


def observe(request: CalibrationRequest, bundle: Bundle, progress: Progress) -> Observations:
    """Select pictures, and find the ranges of the bundle's activations on them.

    Raises:
        UsageError, SourceError, MapError, CalibrationError, OutputError, ExecutorError: see
            `selected` and `histograms_of`.
    """
    tuned_from = request.tuned_from
    trained = None if tuned_from is None else trained_ranges(tuned_from, bundle)
    folder = selected(request, bundle, progress)
    histograms = histograms_of(request, bundle, folder, progress)
    if trained is not None:
        return Observations(folder, histograms, {trained.method: with_trained(histograms, trained)})
    ranges = {method: find_ranges(histograms, method) for method in request.methods}
    return Observations(folder, histograms, ranges)


def shifts_of(
    request: CalibrationRequest, graphs: FloatGraphs, seen: Observations, progress: Progress
) -> dict[str, dict[str, Float32]]:
    """Bias shifts by graph and convolution; empty where they were not asked for."""
    if not request.correct_bias:
        return {}
    shifts = {}
    for kind in graphs.observed:
        progress(Step(f"biases of {kind}", 0, 0))
        chosen = graphs.sorted[kind].eligible
        work = request.work_folder / "ranges"
        options = BundleOptions(seed=request.seed, threads=request.threads)
        feeds = feeds_of(graphs.bundle, seen.selection, kind, graphs.observed[kind], work, options)
        every = max(1, len(feeds) // BIAS_IMAGES)
        model = graphs.model(kind, "fp32")
        means = channel_means(model, chosen, feeds[::every], request.threads)
        shifts[kind] = bias_shifts(model, means)
    return shifts


def calibrate(request: CalibrationRequest, progress: Progress = lambda step: None) -> Calibrated:
    """Make an INT8 bundle of a float one, judge it, and write it with its proof.

    Raises:
        OutputError: `out` is taken, or cannot be written.
        BundleError: the bundle is broken.
        UsageError, SourceError, MapError, CalibrationError, DataError, PairsError, ExecutorError:
            see the steps.
    """
    check_out(request.out)
    request.check()
    bundle = open_float(request.bundle)
    if request.int8_features:
        check_storable(bundle)
    source, changed = float_source(request, bundle)
    seen = observe(request, source, progress)
    graphs = FloatGraphs(source)
    graphs = FloatGraphs(source, shifts_of(request, graphs, seen, progress))
    work = request.work_folder / "judge"
    asked = JudgeRequest(
        bundle=bundle,
        graphs=graphs,
        ranges=seen.ranges,
        selection=seen.selection,
        work=work,
        samples=request.samples,
        pairs=request.pairs,
        images=request.images,
        budget_points=request.budget_points,
        every=request.every,
        frames_per_window=request.frames_per_window,
        int8_features=request.int8_features,
    )
    asked.check()

    def told(name: str, done: int, total: int) -> None:
        progress(Step(name, done, total))

    trial = DeviceTrial(by_macs=request.by_macs, plugin=request.plugin)
    judgement = judge(ranked_on_device(asked, trial, told), told)
    if changed:
        judgement = msgspec.structs.replace(judgement, reasons=(*judgement.reasons, changed))
    kept = work / KEPT
    files = {name: kept / name for name in judgement.graph_sha256}
    manifest = bundle.manifest
    with_pictures = request.replay_pictures
    sheet = seen.selection.path / SHEET_NAME
    report = page(
        Evidence(
            bundle=f"{manifest.name} {manifest.version}",
            judgement=judgement,
            ranges=seen.ranges,
            histograms=seen.histograms,
            sheet_jpeg=sheet.read_bytes() if with_pictures else b"",
            command=request.command,
        )
    ).encode()
    told("pictures to replay", 0, 0)
    pictures = replay_files(seen.selection, request.samples, request.every) if with_pictures else {}
    proof = Proof(seen.ranges[judgement.method], judgement, report, pictures)
    return Calibrated(write_int8_bundle(bundle, files, proof, request.out), judgement, seen)


def _features(bundle: Bundle, threads: int, progress: Progress) -> FeatureMaker | None:
    """What the network's activations reach, which ranges are made of; told where it cannot be."""
    try:
        return peak_features(bundle, threads, windows=False)
    except CalibrationError as error:  # DetGeo draws the click into its first convolution's input
        progress(Step(f"frames are chosen by their looks alone: {error.what}", 0, 0))
        return None


def _selecting(at: SelectionProgress) -> Step:
    return Step(f"selecting {at.stage}", at.done, at.total)
