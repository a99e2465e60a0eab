"""`tilefix calibrate --check FLIGHT BUNDLE`: do the ranges of an INT8 bundle fit a new flight?"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from calibration.float_bundle import equalised_bundle
from calibration.int8_bundle import RANGES
from calibration.ranges.bundle_observing import BundleOptions, observe_bundle
from calibration.ranges.drift import Drift, check_drift
from calibration.ranges.record import Ranges
from calibration.selection.request import ImageSource, SelectionRequest
from calibration.selection.selector import select
from edge.bundle import ENCODER, LOCALIZER, Bundle, write_bundle
from edge.errors import CalibrationError

FRAMES, LEAST_FRAMES = 64, 16
WINDOWS, LEAST_WINDOWS = 32, 8


@dataclass(frozen=True, slots=True)
class FlightCheck:
    """A new flight beside the ranges of a bundle."""

    bundle: Path
    frames: tuple[ImageSource, ...]
    maps: tuple[ImageSource, ...] = ()  # new maps; none: the encoder is not checked
    seed: int = 0
    threads: int = 2


def check_flight(
    asked: FlightCheck, progress: Callable[[str, int, int], None] = lambda name, done, total: None
) -> Drift:
    """Compare the activations of a flight with the ranges that a bundle was calibrated with.

    Raises:
        BundleError: a broken bundle.
        CalibrationError: a bundle without ranges, or with those of other graphs; too few frames.
        UsageError, SourceError, MapError: see `select`.
    """
    bundle = Bundle.open(asked.bundle)
    ranges = ranges_of(bundle)
    spec = bundle.manifest
    with tempfile.TemporaryDirectory(prefix="tilefix-check-") as scratch:
        calibrated = calibrated_graphs(bundle, ranges, Path(scratch))
        folder = select(
            SelectionRequest(
                sources=asked.frames,
                maps=asked.maps,
                frame_px=(spec.frame.width_px, spec.frame.height_px),
                window_px=(spec.window.width_px, spec.window.height_px),
                gsd_m=spec.window.gsd_m,
                frames=FRAMES,
                windows=WINDOWS if asked.maps else 0,
                least_frames=LEAST_FRAMES,
                least_windows=LEAST_WINDOWS,
                seed=asked.seed,
                option="--check",
            ),
            Path(scratch) / "selection",
            lambda at: progress(f"selecting {at.stage}", at.done, at.total),
        )
        kinds = (LOCALIZER, ENCODER) if asked.maps else (LOCALIZER,)
        wanted = {kind: tuple(ranges.of(kind)) for kind in kinds if ranges.of(kind)}
        if not wanted:  # of a model whose localizer is attention alone
            raise CalibrationError(
                f"no range of the bundle {bundle.manifest.name} can be compared with a flight",
                expected=f"ranges of the {LOCALIZER}: the {ENCODER} sees the map alone",
                found=f"{len(ranges.entries)} ranges of the {ENCODER}",
                do="give the new map with --tiles",
            )
        histograms = observe_bundle(
            calibrated,
            folder,
            wanted,
            Path(scratch) / "ranges",
            BundleOptions(seed=asked.seed, threads=asked.threads),
            lambda kind, done, total: progress(f"looking at {kind}", done, total),
        )
    return check_drift(ranges, histograms)


def calibrated_graphs(bundle: Bundle, ranges: Ranges, scratch: Path) -> Bundle:
    """The bundle whose float32 graphs the ranges were found in.

    That is the bundle itself or, where it was calibrated with `--equalise`, a twin that is made
    again as then: only the INT8 graphs of that one were kept.

    Args:
        bundle: calibrated.
        ranges: its own.
        scratch: an empty folder for the twin.

    Raises:
        CalibrationError: the ranges are of neither.
    """
    if _holds(bundle, ranges):
        return bundle
    names = [x for x in bundle.manifest.files if _is_float(x)]
    plain = write_bundle(scratch / "float", bundle.manifest, {x: bundle.file(x) for x in names})
    twin, pairs = equalised_bundle(plain, scratch / "equalised")
    if _holds(twin, ranges):
        return twin
    raise CalibrationError(
        f"the ranges of the bundle {bundle.manifest.name} are of graphs that it does not hold",
        expected="; ".join(f"{k}.onnx {v[:16]}" for k, v in sorted(ranges.graph_sha256.items())),
        found="; ".join(f"{k}.onnx {v[:16]}" for k, v in sorted(_hashes(bundle).items()))
        + f"; others once {pairs} pairs of convolutions are equalised as this version does it",
        do="calibrate again: tilefix calibrate BUNDLE --frames ... --tiles ... --out ...",
    )


def _hashes(bundle: Bundle) -> dict[str, str]:
    files = bundle.manifest.files
    return {kind: files[f"graphs/fp32/{kind}.onnx"] for kind in (ENCODER, LOCALIZER)}


def _holds(bundle: Bundle, ranges: Ranges) -> bool:
    return ranges.graph_sha256.items() <= _hashes(bundle).items()


def _is_float(name: str) -> bool:
    folder, _, rest = name.partition("/")
    return folder != "calibration" and (folder != "graphs" or rest.startswith("fp32/"))


def ranges_of(bundle: Bundle) -> Ranges:
    """The ranges that a bundle carries.

    Raises:
        CalibrationError: it was not calibrated.
    """
    if RANGES not in bundle.manifest.files:
        raise CalibrationError(
            f"the bundle {bundle.manifest.name} was not calibrated",
            expected=f"{RANGES}, which `tilefix calibrate` puts into a bundle",
            found=f"graphs in {', '.join(bundle.precisions)}",
            do=f"tilefix calibrate {bundle.path} --frames FLIGHT --tiles MAP --out BUNDLE_INT8",
        )
    return Ranges.read(bundle.file(RANGES))
