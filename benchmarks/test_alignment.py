"""Time of frame alignment: a 640 x 480 frame on a cached window of 1024 px.

Budget, on two CPU cores: 250 ms when yaw is known within 22 degrees and zoom within 1.4, or while
tracking. Machines differ and are loaded, so wall times are reported beside it, and what can fail is
a ratio of processor times in one run: an attempt against describing the window, which took 660 ms
where an attempt took 110 to 160.
"""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from edge.alignment import Aligner
from edge.bundle import ALIGNMENT_GRAPH, shipped_bundle_path
from edge.cold_search import ColdSearch
from edge.pose_search import PoseHypothesis
from edge.types import ReferenceFeature, ReferenceWindow

BUDGET_MS = 250.0
MOST_OF_DESCRIBING = 0.5
SIZE = 640, 480
YAW_DEG, SCALE = 130.0, 0.4


def _town(seed):
    rng = np.random.default_rng(seed)
    ground = rng.uniform(80, 130, (64, 64, 3)).astype(np.float32)
    town = cv2.resize(ground, (1024, 1024), interpolation=cv2.INTER_CUBIC)
    for _ in range(900):
        centre, size = rng.uniform(0, 1024, 2).tolist(), rng.uniform(6, 26, 2).tolist()
        box = cv2.boxPoints((centre, size, float(rng.uniform(0, 90))))
        cv2.fillPoly(town, [np.round(box).astype(np.int32)], rng.uniform(30, 230, 3).tolist())
    town += rng.normal(0, 3, town.shape)
    return np.clip(town, 0, 255).astype(np.uint8)


def _photograph(town, to_window):
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(town, to_window, SIZE, flags=how)


@pytest.fixture(scope="module")
def aligner():
    return Aligner.from_graph(shipped_bundle_path() / ALIGNMENT_GRAPH, threads=2)


@pytest.fixture(scope="module")
def scene(aligner):
    town = _town(1)
    window = ReferenceWindow(town, np.ones((1024, 1024), bool), None, "town", "m")
    feature = ReferenceFeature(aligner.describe(window), None, 1024, 1024, "town", "m", "x", 1.0)
    to_window = PoseHypothesis(YAW_DEG, SCALE).matrix()
    to_window[:2, 2] = np.array([540, 500]) - to_window[:2, :2] @ [320, 240]
    return feature, _photograph(town, to_window)


def _cpu_ms(call, rounds=5):
    """Median processor time of all threads."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        times.append(1e3 * (time.process_time() - start))
    return float(np.median(times))


@pytest.fixture(scope="module")
def describing_cpu_ms(aligner):
    window = ReferenceWindow(_town(3), np.ones((1024, 1024), bool), None, "town", "m")
    return _cpu_ms(lambda: aligner.describe(window), rounds=3)


@pytest.mark.parametrize(
    ("turn_deg", "zoom"), [(0.0, 1.0), (20.0, 1.0), (-20.0, 1.3), (15.0, 0.75)]
)
def test_known_pose(benchmark, aligner, scene, describing_cpu_ms, turn_deg, zoom):
    feature, frame = scene
    hypothesis = PoseHypothesis(YAW_DEG + turn_deg, SCALE * zoom)
    found = benchmark.pedantic(
        aligner.attempt, (frame, feature, hypothesis), rounds=7, warmup_rounds=1
    )
    assert found is not None
    cpu_ms = _cpu_ms(lambda: aligner.attempt(frame, feature, hypothesis))
    share = cpu_ms / describing_cpu_ms
    benchmark.extra_info.update(budget_ms=BUDGET_MS, share=share, inliers=found.inliers)
    assert share < MOST_OF_DESCRIBING


def test_tracking(benchmark, aligner, scene, describing_cpu_ms):
    feature, frame = scene
    last = aligner.attempt(frame, feature, PoseHypothesis(YAW_DEG, SCALE))
    found = benchmark.pedantic(aligner.track, (frame, feature, last), rounds=7, warmup_rounds=1)
    assert found is not None
    cpu_ms = _cpu_ms(lambda: aligner.track(frame, feature, last))
    share = cpu_ms / describing_cpu_ms
    benchmark.extra_info.update(budget_ms=BUDGET_MS, share=share, inliers=found.inliers)
    assert share < MOST_OF_DESCRIBING


def test_one_step_of_the_cold_search(benchmark, aligner, scene):
    """A wrong place: the whole round of hypotheses, of which none may succeed."""
    feature, _ = scene
    elsewhere = _town(2)[:480, :640].copy()

    def whole_round():
        search = ColdSearch(aligner)
        start = time.perf_counter()
        assert search.step(elsewhere, feature, attempts=33) is None
        assert search.rounds == 1
        return (time.perf_counter() - start) / search.tried

    step_s = benchmark.pedantic(whole_round, rounds=1)
    benchmark.extra_info.update(step_ms=1e3 * step_s, steps=32)


def test_describing_a_window(benchmark, aligner):
    """Done once per window, when a map is encoded."""
    town = _town(3)
    window = ReferenceWindow(town, np.ones((1024, 1024), bool), None, "town", "m")
    tensors = benchmark.pedantic(aligner.describe, (window,), rounds=2, warmup_rounds=1)
    benchmark.extra_info.update(store_bytes=sum(t.nbytes for t in tensors.values()))
    assert sum(t.nbytes for t in tensors.values()) < 1.5e6
