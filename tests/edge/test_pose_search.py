from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from edge.cold_search import ColdSearch
from edge.pose_search import (
    KNOWN_SHIFT,
    SCALES_640,
    YAW_STEP_DEG,
    PoseHypothesis,
    pose_hypotheses,
    window_gsd_m,
)
from edge.types import FramePose, ReferenceFeature

FRAME = np.zeros((480, 640, 3), np.uint8)
SIZE = 640, 480


def window(name, geometry=None):
    return ReferenceFeature({}, geometry, 1024, 1024, name, "m", "x", 1.0)


def away_deg(a, b):
    return abs((a - b + 180) % 360 - 180)


@pytest.mark.parametrize("yaw_deg", np.linspace(0, 359, 14))
@pytest.mark.parametrize("scale", [0.16, 0.3, 0.5, 0.9, 1.5])
def test_without_telemetry_every_pose_is_within_reach_of_one(yaw_deg, scale):
    tried = list(pose_hypotheses(FramePose(), SIZE, None))
    assert len(tried) == 8 * len(SCALES_640) == 32
    assert any(
        away_deg(h.yaw_deg, yaw_deg) <= 22.5 and 1 / 1.4 < h.scale / scale < 1.4 for h in tried
    )


def test_the_second_round_looks_between_the_yaws_of_the_first():
    first = {h.yaw_deg for h in pose_hypotheses(FramePose(), SIZE, None)}
    second = {h.yaw_deg for h in pose_hypotheses(FramePose(), SIZE, None, shifted=True)}
    assert len(second) == 8
    assert all(min(away_deg(a, b) for b in first) == YAW_STEP_DEG / 2 for a in second)


def test_telemetry_leaves_one_hypothesis_and_four_beside_it():
    pose = FramePose(yaw_deg=100.0, gsd_m=0.12)
    assert list(pose_hypotheses(pose, SIZE, 0.3)) == [PoseHypothesis(100.0, pytest.approx(0.4))]
    beside = list(pose_hypotheses(pose, SIZE, 0.3, shifted=True))
    assert len(beside) == 4
    assert {h.yaw_deg for h in beside} == {77.5, 122.5}
    assert {round(h.scale / 0.4, 3) for h in beside} == {KNOWN_SHIFT, round(1 / KNOWN_SHIFT, 3)}


@pytest.mark.parametrize(
    ("pose", "gsd_m", "count"),
    [
        (FramePose(yaw_deg=10.0), 0.3, 4),
        (FramePose(gsd_m=0.1), 0.3, 8),
        (FramePose(gsd_m=0.1), None, 32),  # a map without a position has no metres
        (FramePose(gsd_m=0.0), 0.3, 32),  # telemetry that knows nothing often says zero
    ],
)
def test_half_known_poses(pose, gsd_m, count):
    assert len(list(pose_hypotheses(pose, SIZE, gsd_m))) == count


def test_a_frame_twice_as_wide_has_half_the_scale():
    narrow = [h.scale for h in pose_hypotheses(FramePose(), (640, 480), None)]
    wide = [h.scale for h in pose_hypotheses(FramePose(), (1280, 960), None)]
    np.testing.assert_allclose(wide, np.array(narrow) / 2)


def test_the_matrix_turns_the_top_of_the_frame_to_its_bearing():
    up = PoseHypothesis(90.0, 0.5).matrix() @ [0, -1, 0]
    np.testing.assert_allclose(up, [0.5, 0, 0], atol=1e-12)  # east is to the right


def test_the_ground_size_of_a_window_is_that_of_its_geometry():
    geometry = SimpleNamespace(metres_per_px=lambda xy: np.array([[0.3, 0.32]]))
    assert window_gsd_m(window("w", geometry)) == pytest.approx(0.31)
    assert window_gsd_m(window("w")) is None


# --- the search over frames ----------------------------------------------------------------------


class Oracle:
    """An aligner that knows which hypothesis and window are right, and notes what was asked."""

    def __init__(self, *right):
        self.right = right
        self.asked = []

    def attempt(self, frame_image, feature, hypothesis):
        self.asked.append((feature.window_id, hypothesis))
        return "found" if (len(self.asked) - 1) in self.right else None


def test_each_step_tries_one_and_all_are_tried_once():
    oracle = Oracle()
    search = ColdSearch(oracle)
    for step in range(32):
        assert search.step(FRAME, window("a")) is None
        assert search.tried == step + 1 and search.rounds == 0
    assert len(set(oracle.asked)) == 32
    assert search.step(FRAME, window("a")) is None
    assert search.rounds == 1 and len(oracle.asked) == 32


def test_the_next_round_is_shifted_and_the_one_after_is_not():
    oracle = Oracle()
    search = ColdSearch(oracle)
    for _ in range(3):
        search.step(FRAME, window("a"), attempts=33)
    first, second, third = (set(oracle.asked[k : k + 32]) for k in (0, 32, 64))
    assert not first & second and first == third


def test_success_ends_the_search_and_a_new_one_begins_at_the_first():
    oracle = Oracle(4)
    search = ColdSearch(oracle)
    assert search.step(FRAME, window("a"), attempts=10) == "found"
    assert search.tried == 5
    search.step(FRAME, window("a"))
    assert oracle.asked[5] == oracle.asked[0]


def test_every_window_sees_a_hypothesis_before_the_next_one():
    oracle = Oracle()
    ColdSearch(oracle).step(FRAME, (window("a"), window("b")), attempts=4)
    assert [name for name, _ in oracle.asked] == ["a", "b", "a", "b"]
    assert oracle.asked[0][1] == oracle.asked[1][1] != oracle.asked[2][1]


@pytest.mark.parametrize(
    ("other", "pose"), [("b", FramePose()), ("a", FramePose(yaw_deg=90.0, gsd_m=0.1))]
)
def test_other_windows_or_other_knowledge_begin_anew(other, pose):
    oracle = Oracle()
    search = ColdSearch(oracle)
    search.step(FRAME, window("a"), attempts=7)
    search.step(FRAME, window(other), pose)
    assert search.tried == 1


def test_a_little_turn_or_another_position_goes_on():
    search = ColdSearch(Oracle())
    search.step(FRAME, window("a"), FramePose(yaw_deg=91.0, lon_lat_deg=(8.0, 50.0)))
    search.step(FRAME, window("a"), FramePose(yaw_deg=92.0, lon_lat_deg=(8.1, 50.0)))
    assert search.tried == 2


def test_a_known_yaw_is_followed_while_the_camera_turns():
    oracle = Oracle()
    search = ColdSearch(oracle)
    for yaw_deg in (80.0, 110.0, 140.0):  # four zooms are open
        search.step(FRAME, window("a"), FramePose(yaw_deg=yaw_deg))
    assert search.tried == 3
    assert [h.yaw_deg for _, h in oracle.asked] == [80.0, 110.0, 140.0]
    assert [h.scale for _, h in oracle.asked] == [0.36, 0.2, 0.65]


# --- a yaw that telemetry tells and that may be wrong ---------------------------------------------

TOLD = FramePose(yaw_deg=100.0, gsd_m=0.1)  # with the ground size of the window: one hypothesis


def metric_window(name="a"):
    return window(name, SimpleNamespace(metres_per_px=lambda xy: np.array([[0.3, 0.3]])))


class Turned:
    """An aligner of a frame that looks another way than telemetry says, or of none at all."""

    def __init__(self, yaw_deg=None):
        self.yaw_deg = yaw_deg
        self.asked = []

    def attempt(self, frame_image, feature, hypothesis):
        self.asked.append(hypothesis.yaw_deg % 360)
        right = self.yaw_deg is not None and away_deg(hypothesis.yaw_deg, self.yaw_deg) <= 22.5
        return "found" if right else None


def test_a_yaw_is_trusted_for_one_round_only():
    turned = Turned(yaw_deg=280.0)
    search = ColdSearch(turned)
    assert search.step(FRAME, metric_window(), TOLD) is None and not search.doubts_yaw
    assert search.step(FRAME, metric_window(), TOLD) is None  # the end of the round
    assert search.rounds == 1 and search.doubts_yaw and turned.asked == [100.0]
    found = [search.step(FRAME, metric_window(), TOLD) for _ in range(16)]
    assert "found" in found


def test_in_doubt_every_second_attempt_is_still_what_is_told():
    turned = Turned()
    search = ColdSearch(turned)
    for _ in range(2 + 16):
        search.step(FRAME, metric_window(), TOLD)
    told, others = turned.asked[1::2], turned.asked[2::2]
    assert told[:6] == [100.0, 77.5, 122.5, 77.5, 122.5, 100.0]  # beside it with two zooms
    assert sorted(others) == [45.0 * k for k in range(8)]
    search.step(FRAME, metric_window(), TOLD)  # told once more
    search.step(FRAME, metric_window(), TOLD)
    assert search.rounds == 2
    turned.asked.clear()
    search.step(FRAME, metric_window(), TOLD, attempts=16)
    assert sorted(turned.asked[1::2]) == [45.0 * k + 22.5 for k in range(8)]


def test_other_windows_leave_the_doubt_and_a_right_yaw_ends_it():
    turned = Turned()
    search = ColdSearch(turned)
    search.step(FRAME, metric_window(), TOLD, attempts=9)
    search.step(FRAME, metric_window("b"), TOLD)
    assert search.doubts_yaw and search.tried == 1
    search.restart()
    assert search.doubts_yaw
    turned.yaw_deg = 100.0
    assert search.step(FRAME, metric_window("b"), TOLD) == "found"
    assert not search.doubts_yaw


def test_a_yaw_shown_to_be_wrong_stays_doubted_and_an_unknown_one_is_not():
    turned = Turned(yaw_deg=280.0)
    search = ColdSearch(turned)
    for _ in range(2):
        search.step(FRAME, metric_window(), TOLD, attempts=20)
    assert search.doubts_yaw and turned.asked[-1] == 270.0
    search.step(FRAME, metric_window(), FramePose(gsd_m=0.1))
    assert not search.doubts_yaw
