"""The measurements that chose the design of frame alignment, and those that judge it.

Run it: `python -m benchmarks.studies.alignment [--quick]`; it needs the data of
`benchmarks.studies.alignment_data` and writes `benchmarks/records/alignment.json`. Frames are 640
px wide, maps are resampled to 0.3 m/px in the middle of a window of 1024 px; "padded" windows are
empty around the map, "crowded" ones hold other imagery there, as a window amid a large map would.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.studies.alignment_data import (
    SITES,
    Site,
    TrueFrame,
    data_folder,
    errors_px,
    read_crowd,
    read_site,
)
from benchmarks.studies.alignment_tally import RIGHT_M, Recorder, Tally, Took, quantiles, rounded
from edge.alignment import LEAST_INLIERS, Aligner
from edge.alignment_quality import pose_of
from edge.bundle import ALIGNMENT_GRAPH, shipped_bundle_path
from edge.local_features import FeatureExtractor
from edge.pose_search import YAW_STEP_DEG, PoseHypothesis, pose_hypotheses
from edge.types import FramePose, ReferenceFeature

RECORD = Path(__file__).parent.parent / "records" / "alignment.json"
OFFSETS = ((0.0, 1.0), (20.0, 1.3), (-20.0, 0.75))  # of yaw and zoom from the truth
MOSTLY_ON_MAP = 0.5


def feature_of(aligner: Aligner, site: Site) -> ReferenceFeature:
    """The described window of a site."""
    window = site.window
    tensors = aligner.describe(window)
    name = window.window_id
    return ReferenceFeature(tensors, None, 1024, 1024, name, window.map_id, "", window.coverage)


def on_map(site: Site) -> Iterator[TrueFrame]:
    """The frames that the map shows for the most part."""
    return (frame for frame in site.frames if frame.share_on_map >= MOSTLY_ON_MAP)


def true_pose(frame: TrueFrame) -> tuple[float, float]:
    """Yaw and scale of a frame."""
    return pose_of(frame.to_window, (640.0, float(frame.image.shape[0])))


def attempts(
    aligner: Aligner,
    site: Site,
    feature: ReferenceFeature,
    frames: Iterable[TrueFrame],
    offset: tuple[float, float],
) -> dict[str, Any]:
    """One attempt per frame, with yaw and zoom off by an offset."""
    tally = Tally()
    for frame in frames:
        yaw, scale = true_pose(frame)
        hypothesis = PoseHypothesis(yaw + offset[0], scale * offset[1])
        took = Took()
        tally.add(aligner.attempt(frame.image, feature, hypothesis), site, frame, took)
    return tally.summary()


def known_pose(aligner: Aligner, site: Site, feature: ReferenceFeature) -> dict[str, Any]:
    """What becomes of frames whose yaw and zoom are known up to an offset."""
    result = {}
    for turn, zoom in OFFSETS:
        name = f"yaw {turn:+.0f} deg, zoom x{zoom}"
        result[name] = attempts(aligner, site, feature, on_map(site), (turn, zoom))
    rest = [frame for frame in site.frames if frame.share_on_map < MOSTLY_ON_MAP]
    if rest:
        result["mostly off the map"] = attempts(aligner, site, feature, rest, OFFSETS[0])
    return result


def tracking(aligner: Aligner, site: Site, feature: ReferenceFeature) -> dict[str, Any]:
    """Each frame from the alignment of the one before it (seconds and metres away)."""
    tally, last = Tally(), None
    for frame in on_map(site):
        yaw, scale = true_pose(frame)
        if last is not None:
            took = Took()
            last = aligner.track(frame.image, feature, last)
            tally.add(last, site, frame, took)
        if last is None:
            last = aligner.attempt(frame.image, feature, PoseHypothesis(yaw, scale))
    return tally.summary()


def cold(aligner: Aligner, site: Site, feature: ReferenceFeature) -> dict[str, Any]:
    """The search without any knowledge, both rounds; yaws and zooms begin anywhere in a step."""
    tally, counts, failed = Tally(), [], []
    rng = np.random.default_rng(0)
    for frame in on_map(site):
        size = frame.image.shape[1], frame.image.shape[0]
        turn, zoom = rng.uniform(0, YAW_STEP_DEG), 1.8 ** rng.uniform(-0.5, 0.5)
        took, tried, found = Took(), 0, None
        for shifted in (False, True):
            for hypothesis in pose_hypotheses(FramePose(), size, None, shifted=shifted):
                tried += 1
                moved = PoseHypothesis(hypothesis.yaw_deg + turn, hypothesis.scale * zoom)
                found = aligner.attempt(frame.image, feature, moved)
                if found is not None:
                    break
            if found is not None:
                break
        right = tally.add(found, site, frame, took)
        counts.append(tried)
        if not right:
            failed.append(frame.name)
    more = {"attempts_median_max": quantiles(counts, (50, 100)), "failed": failed}
    return {**tally.summary(), **more}


def wrong_place(
    recorder: Recorder, site: Site, features: Sequence[ReferenceFeature], every: int
) -> list[int]:
    """Evidence of every attempt at windows that do not show the frames' site."""
    evidence = []
    for frame in site.frames[::every]:
        size = frame.image.shape[1], frame.image.shape[0]
        for feature in features:
            for hypothesis in pose_hypotheses(FramePose(), size, None):
                recorder.attempt(frame.image, feature, hypothesis)
                evidence.append(recorder.evidence())
    return evidence


def sigma_ratios(aligner: Aligner, site: Site, feature: ReferenceFeature) -> dict[str, list[float]]:
    """Error by stated sigma at a grid of every aligned frame, amid and outside the inliers."""
    ratios: dict[str, list[float]] = {"amid": [], "outside": []}
    for frame in site.frames:
        yaw, scale = true_pose(frame)
        found = aligner.attempt(frame.image, feature, PoseHypothesis(yaw + 10.0, scale))
        if found is None:
            continue
        points, miss_px = errors_px(found.homography, site, frame)
        if np.median(miss_px) * site.gsd_m > RIGHT_M:
            continue
        prior = found.prior(points)
        for k, ratio in enumerate(miss_px * np.sqrt(prior.inv_var)):
            there = float(prior.xy_px[k, 0]), float(prior.xy_px[k, 1])
            amid = cv2.pointPolygonTest(found.fit.hull_xy_px, there, False) >= 0
            ratios["amid" if amid else "outside"].append(float(ratio))
    return ratios


def calibration(ratios: Sequence[float]) -> dict[str, Any]:
    """How often the error is within one and two sigma per axis; right are 0.393 and 0.865."""
    values = np.asarray(ratios)
    return {
        "points": len(values),
        "within_1_sigma": rounded((values < 1.0).mean()) if len(values) else None,
        "within_2_sigma": rounded((values < 2.0).mean()) if len(values) else None,
        "within_3_sigma": rounded((values < 3.0).mean()) if len(values) else None,
    }


def verdict_summary(evidence: Sequence[int]) -> dict[str, Any]:
    """How many wrong attempts would pass at which threshold."""
    values = np.asarray(evidence)
    passing = {str(t): int((values >= t).sum()) for t in (8, 10, 12, 14, 16, 18, LEAST_INLIERS)}
    return {"attempts": len(values), "most": int(values.max()), "pass_at": passing}


def main() -> None:
    """Run all experiments and write the record."""
    folder = data_folder()
    if folder is None:
        sys.exit("no data: set TILEFIX_DATA to the folder that holds brighton and caliterra")
    quick = "--quick" in sys.argv
    graph = shipped_bundle_path() / ALIGNMENT_GRAPH
    aligner, recorder = Aligner.from_graph(graph), Recorder(FeatureExtractor(graph))
    crowd = read_crowd(folder)
    record: dict[str, Any] = {
        "schema": "tilefix-alignment-study/1",
        "command": "python -m benchmarks.studies.alignment" + (" --quick" if quick else ""),
        "machine": f"{platform.machine()}, 2 threads, ONNX Runtime CPU",
        "date": time.strftime("%Y-%m-%d"),
        "graph_bytes": graph.stat().st_size,
        "least_inliers": LEAST_INLIERS,
    }
    ratios: dict[str, list[float]] = {"amid": [], "outside": []}
    evidence: list[int] = []
    features: dict[str, ReferenceFeature] = {}
    sites: list[Site] = []
    for filling in ("padded", "crowded"):
        for name in SITES:
            step = (6 if quick else 3) if name == "caliterra" else 1
            site = read_site(
                folder, name, crowd=crowd if filling == "crowded" else None, every=step
            )
            start = time.perf_counter()
            feature = features[site.window.window_id] = feature_of(aligner, site)
            sites.append(site)
            record[site.window.window_id] = {
                "describe_s": rounded(time.perf_counter() - start),
                "store_bytes": sum(t.nbytes for t in feature.tensors.values()),
                "frames": len(site.frames),
                "frames_mostly_on_map": len(list(on_map(site))),
                "known_pose": known_pose(aligner, site, feature),
                "tracking": tracking(aligner, site, feature),
                "cold": {} if quick else cold(aligner, site, feature),
            }
            print(json.dumps(record[site.window.window_id], indent=1), flush=True)
            for key, values in sigma_ratios(aligner, site, feature).items():
                ratios[key] += values
    for site in sites[:2]:
        elsewhere = [f for key, f in features.items() if not key.startswith(site.name)]
        evidence += wrong_place(recorder, site, elsewhere, every=6 if quick else 1)
    record["sigma"] = {key: calibration(values) for key, values in ratios.items()}
    record["wrong_place"] = verdict_summary(evidence)
    print(json.dumps({key: record[key] for key in ("sigma", "wrong_place")}, indent=1))
    RECORD.parent.mkdir(exist_ok=True)
    temporary = RECORD.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    temporary.replace(RECORD)


if __name__ == "__main__":
    main()
