"""`tilefix calibrate --check FLIGHT BUNDLE`: do the ranges of an INT8 bundle fit a new flight?"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from calibration.int8_bundle import RANGES
from calibration.ranges.bundle_observing import BundleOptions, observe_bundle
from calibration.ranges.drift import Drift, check_drift
from calibration.ranges.record import Ranges
from calibration.selection.request import ImageSource, SelectionRequest
from calibration.selection.selector import select
from edge.bundle import ENCODER, LOCALIZER, Bundle
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
        CalibrationError: a bundle without ranges, or whose graphs were equalised; too few frames.
        UsageError, SourceError, MapError: see `select`.
    """
    bundle = Bundle.open(asked.bundle)
    ranges = ranges_of(bundle)
    spec = bundle.manifest
    with tempfile.TemporaryDirectory(prefix="tilefix-check-") as scratch:
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
            ),
            Path(scratch) / "selection",
            lambda at: progress(f"selecting {at.stage}", at.done, at.total),
        )
        kinds = (LOCALIZER, ENCODER) if asked.maps else (LOCALIZER,)
        wanted = {kind: tuple(ranges.of(kind)) for kind in kinds}
        histograms = observe_bundle(
            bundle,
            folder,
            wanted,
            Path(scratch) / "ranges",
            BundleOptions(seed=asked.seed, threads=asked.threads),
            lambda kind, done, total: progress(f"looking at {kind}", done, total),
        )
    return check_drift(ranges, histograms)


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
