"""The designs of frame alignment that were weighed, by their first look at crowded windows.

Run it: `python -m benchmarks.studies.alignment_alternatives`; it writes
`benchmarks/records/alignment_alternatives.json`. A look is right when its similarity puts the
middle of the frame's grid within 8 m. Searching rotations by turning the frame costs a network pass
per rotation and frame; describing the window in eight rotations costs eight times the store.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from benchmarks.studies.alignment import RECORD, feature_of, on_map, true_pose
from benchmarks.studies.alignment_data import (
    SITES,
    Site,
    TrueFrame,
    data_folder,
    grid_px,
    read_crowd,
)
from benchmarks.studies.alignment_data import read_site as read
from benchmarks.studies.alignment_tally import Took, rounded
from edge import frame_look, window_features
from edge.alignment import Aligner
from edge.bundle import ALIGNMENT_GRAPH, shipped_bundle_path
from edge.frame_look import WorkingFrame, take_look
from edge.local_features import FeatureExtractor, LocalFeatures, warp_to
from edge.matching import mutual_matches, project, vote_similarity
from edge.pose_search import PoseHypothesis
from edge.types import Float64, ReferenceFeature, ReferenceWindow
from edge.window_features import read_level

RIGHT_M = 8.0
OFFSETS = ((0.0, 1.0), (20.0, 1.3), (-20.0, 0.75))
LEVEL = 2
ROTATIONS_DEG = tuple(45.0 * k for k in range(8))


def is_right(to_window: Float64, site: Site, frame: TrueFrame) -> bool:
    """Whether a look has found the place."""
    points = grid_px(frame.image, 5)
    miss = np.linalg.norm(project(to_window, points) - project(frame.to_window, points), axis=1)
    return float(np.median(miss)) * site.gsd_m < RIGHT_M


def looks(
    extractor: FeatureExtractor, sites: list[tuple[Site, ReferenceFeature]]
) -> dict[str, Any]:
    """The share of right first looks, and the processor time of one."""
    right, count, cpu_ms = 0, 0, []
    for site, feature in sites:
        levels = {level: read_level(feature, level) for level in window_features.LEVELS}
        for frame in on_map(site):
            yaw, scale = true_pose(frame)
            for turn, zoom in OFFSETS:
                start = PoseHypothesis(yaw + turn, scale * zoom).matrix()
                working, took = WorkingFrame.of(frame.image), Took()
                look = take_look(
                    extractor, working, levels.__getitem__, (1024, 1024), start, anywhere=True
                )
                cpu_ms.append(took.cpu_ms)
                right += look is not None and is_right(look.to_window, site, frame)
                count += 1
    store = sum(tensor.nbytes for _, f in sites[:1] for tensor in f.tensors.values())
    return {
        "right": right,
        "of": count,
        "cpu_ms_median": rounded(np.median(cpu_ms)),
        "store_bytes": store,
    }


def described(folder: Any, aligner: Aligner, gsd_m: float) -> list[tuple[Site, ReferenceFeature]]:
    """Both sites in crowded windows."""
    crowd = read_crowd(folder, gsd_m)
    sites = (read(folder, name, gsd_m=gsd_m, crowd=crowd, every=every) for name, every in EVERY)
    return [(site, feature_of(aligner, site)) for site in sites]


EVERY = tuple((name, 4 if name == "caliterra" else 1) for name in SITES)


def turned_window(site: Site, turn_deg: float) -> tuple[ReferenceWindow, Float64]:
    """The window turned about its middle in a picture that holds all of it, and back."""
    side = 1536
    turn = np.radians(turn_deg)
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    forth = np.eye(3)
    forth[:2, :2] = linear
    forth[:2, 2] = side / 2 - linear @ [512, 512]
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    matrix = (np.linalg.inv(half) @ forth @ half)[:2]
    image = cv2.warpAffine(site.window.image, matrix, (side, side), flags=cv2.INTER_CUBIC)
    valid = cv2.warpAffine(np.ones((1024, 1024), np.uint8), matrix, (side, side)) > 0
    name = f"{site.window.window_id}/{turn_deg:.0f}"
    return ReferenceWindow(image, valid, None, name, site.name), np.linalg.inv(forth)


def cached_rotations(
    aligner: Aligner, extractor: FeatureExtractor, sites: list[tuple[Site, ReferenceFeature]]
) -> dict[str, Any]:
    """One network pass per frame and zoom, matched with eight rotations of the window."""
    right = {"frame turned": 0, "window turned": 0}
    cpu_ms: dict[str, list[float]] = {name: [] for name in right}
    describe_s, count = [], 0
    for site, feature in sites:
        start, turned = time.process_time(), []
        for turn_deg in ROTATIONS_DEG:
            window, back = turned_window(site, -turn_deg)
            tensors = aligner.describe(window)
            side = window.image.shape[0]
            whole = ReferenceFeature(tensors, None, side, side, "", "", "", 1.0)
            turned.append((read_level(whole, LEVEL), back))
        describe_s.append(time.process_time() - start)
        plain = read_level(feature, LEVEL)
        for frame in on_map(site):
            count += 1
            _, scale = true_pose(frame)
            took = Took()
            best = max(frame_turned(extractor, frame, scale, plain), key=lambda found: found[0])
            cpu_ms["frame turned"].append(took.cpu_ms)
            right["frame turned"] += is_right(best[1], site, frame)
            took = Took()
            best = max(window_turned(extractor, frame, scale, turned), key=lambda found: found[0])
            cpu_ms["window turned"].append(took.cpu_ms)
            right["window turned"] += is_right(best[1], site, frame)
    return {
        "of": count,
        "right": right,
        "cpu_ms_median_of_eight": {k: rounded(np.median(v)) for k, v in cpu_ms.items()},
        "describe_cpu_s_of_eight": rounded(np.mean(describe_s)),
    }


def vote(found: LocalFeatures, window: LocalFeatures, placed: Float64) -> tuple[int, Float64]:
    """Support and matrix of the similarity between a frame's features and a window's."""
    i, j = mutual_matches(found.descriptor, window.descriptor)
    similarity = vote_similarity(placed[i], window.xy_px[j])
    return (0, np.eye(3)) if similarity is None else (similarity.support, similarity.matrix)


def frame_turned(
    extractor: FeatureExtractor, frame: TrueFrame, scale: float, window: LocalFeatures
) -> Iterator[tuple[int, Float64]]:
    """Eight passes over the turned frame."""
    shrink = np.diag([1 / LEVEL, 1 / LEVEL, 1.0])
    for yaw in ROTATIONS_DEG:
        to_level = PoseHypothesis(yaw, scale * LEVEL).matrix()
        warped = warp_to(frame.image, to_level)
        if warped is None:
            continue
        most = frame_look.FIRST_KEYPOINTS
        found = extractor.extract(warped.image, warped.valid, most=most)
        support, matrix = vote(found, window, project(warped.to_level, found.xy_px))
        yield support, shrink @ matrix @ to_level


def window_turned(
    extractor: FeatureExtractor,
    frame: TrueFrame,
    scale: float,
    windows: list[tuple[LocalFeatures, Float64]],
) -> Iterator[tuple[int, Float64]]:
    """One pass over the frame as it is."""
    shrink = np.diag([1 / LEVEL, 1 / LEVEL, 1.0])
    to_level = PoseHypothesis(0.0, scale * LEVEL).matrix()
    warped = warp_to(frame.image, to_level)
    if warped is None:
        return
    found = extractor.extract(warped.image, warped.valid, most=frame_look.FIRST_KEYPOINTS)
    for window, back in windows:
        support, matrix = vote(found, window, project(warped.to_level, found.xy_px))
        yield support, back @ shrink @ matrix @ to_level


def main() -> None:
    """Measure all and write the record."""
    folder = data_folder()
    if folder is None:
        sys.exit("no data: set TILEFIX_DATA to the folder that holds brighton and caliterra")
    graph = shipped_bundle_path() / ALIGNMENT_GRAPH
    aligner, extractor = Aligner.from_graph(graph), FeatureExtractor(graph)
    record: dict[str, Any] = {
        "schema": "tilefix-alignment-alternatives/1",
        "command": "python -m benchmarks.studies.alignment_alternatives",
        "machine": f"{platform.machine()}, 2 threads, ONNX Runtime CPU",
        "date": time.strftime("%Y-%m-%d"),
    }
    chosen = window_features.TILE_SLOTS
    for slots in (256, 512, chosen, 2 * chosen):
        window_features.TILE_SLOTS = slots
        record[f"{slots} slots per tile"] = looks(extractor, described(folder, aligner, 0.3))
    window_features.TILE_SLOTS = chosen
    sites = described(folder, aligner, 0.3)
    most = frame_look.FIRST_KEYPOINTS
    for keypoints in (384, 1536):
        frame_look.FIRST_KEYPOINTS = keypoints
        record[f"{keypoints} keypoints of the frame, not {most}"] = looks(extractor, sites)
    frame_look.FIRST_KEYPOINTS = most
    record["turning"] = cached_rotations(aligner, extractor, sites)
    frame_look.LEVELS = (1,)
    record["window not enlarged"] = looks(extractor, sites)
    frame_look.LEVELS = window_features.LEVELS
    record["map of 0.22 m/px"] = looks(extractor, described(folder, aligner, 0.22))
    path = RECORD.with_name("alignment_alternatives.json")
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
