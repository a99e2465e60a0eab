from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from edge.alignment import LEAST_INLIERS, PLENTY_INLIERS, Aligner
from edge.bundle import shipped_bundle_path
from edge.errors import BundleError, ExecutorError, FeatureStoreError
from edge.matching import project
from edge.pose_search import PoseHypothesis
from edge.types import FramePose, PriorSource, ReferenceFeature

SIZE = 480, 360


def with_geometry(feature, gsd_m):
    """The same feature on a map of that ground size of a pixel."""
    geometry = SimpleNamespace(metres_per_px=lambda xy: np.full((len(xy), 2), gsd_m))
    size = feature.width_px, feature.height_px
    return ReferenceFeature(feature.tensors, geometry, *size, "town", "m", "x", 1.0)


def grid(size):
    x, y = np.meshgrid(np.linspace(0, size[0], 6), np.linspace(0, size[1], 6))
    return np.stack([x.ravel(), y.ravel()], axis=-1)


@pytest.mark.parametrize("yaw_deg", [3.0, 140.0, 271.0])
def test_a_known_pose_is_found_to_a_third_of_a_pixel(aligner, town, drawn_town, yaw_deg):
    truth = drawn_town.view(yaw_deg, 0.5, (240, 260), SIZE, tilt=2e-4)
    frame = drawn_town.photograph(town.image, truth, SIZE)
    pose = FramePose(yaw_deg=yaw_deg + 15, gsd_m=0.3 * 0.5 * 1.15)
    found = aligner.align(frame, with_geometry(town.feature, 0.3), pose)
    assert found is not None and found.inliers >= PLENTY_INLIERS
    miss = np.linalg.norm(
        project(found.homography, grid(SIZE)) - project(truth, grid(SIZE)), axis=1
    )
    assert np.median(miss) < 0.34 and miss.max() < 1.5
    assert abs((found.yaw_deg - yaw_deg + 180) % 360 - 180) < 1.0
    assert found.scale == pytest.approx(0.5, rel=0.03)
    assert found.window_id == "town"


def test_the_homography_takes_pixels_of_the_frame_as_it_was_given(aligner, town, drawn_town):
    """Inside, the frame is reduced to 640 px; outside nobody notices."""
    size = 1600, 1200
    truth = drawn_town.view(20.0, 0.15, (256, 256), size)
    frame = drawn_town.photograph(town.image, truth, size)
    found = aligner.attempt(frame, town.feature, PoseHypothesis(20.0, 0.15))
    assert found is not None
    miss = project(found.homography, grid(size)) - project(truth, grid(size))
    assert np.median(np.linalg.norm(miss, axis=1)) < 0.34


def test_another_place_does_not_align(aligner, town, other_town, drawn_town):
    truth = drawn_town.view(0.0, 0.5, (256, 256), SIZE)
    frame = drawn_town.photograph(town.image, truth, SIZE)
    hypothesis = PoseHypothesis(0.0, 0.5)
    assert aligner.attempt(frame, town.feature, hypothesis) is not None
    assert aligner.attempt(frame, other_town.feature, hypothesis) is None


@pytest.mark.parametrize("fill", [0, 128, 255])
def test_a_flat_frame_aligns_nowhere(aligner, town, fill):
    frame = np.full((360, 480, 3), fill, np.uint8)
    assert aligner.attempt(frame, town.feature, PoseHypothesis(0.0, 0.5)) is None


def test_noise_aligns_nowhere(aligner, town):
    frame = np.random.default_rng(3).integers(0, 256, (360, 480, 3), np.uint8)
    assert aligner.attempt(frame, town.feature, PoseHypothesis(0.0, 0.5)) is None


def test_a_mirrored_frame_aligns_nowhere(aligner, town, drawn_town):
    truth = drawn_town.view(0.0, 0.5, (256, 256), SIZE)
    frame = drawn_town.photograph(town.image, truth, SIZE)[:, ::-1].copy()
    assert aligner.attempt(frame, town.feature, PoseHypothesis(0.0, 0.5)) is None


def test_a_window_without_imagery_aligns_nowhere(aligner, town, drawn_town):
    truth = drawn_town.view(0.0, 0.5, (256, 256), SIZE)
    frame = drawn_town.photograph(town.image, truth, SIZE)
    emptied = {
        name: np.zeros_like(tensor) if "count" in name else tensor
        for name, tensor in town.feature.tensors.items()
    }
    empty = ReferenceFeature(emptied, None, 512, 512, "empty", "m", "x", 0.0)
    assert aligner.attempt(frame, empty, PoseHypothesis(0.0, 0.5)) is None


def test_the_same_input_gives_the_same_alignment(aligner, town, drawn_town):
    truth = drawn_town.view(80.0, 0.45, (230, 280), SIZE)
    frame = drawn_town.photograph(town.image, truth, SIZE)
    once, twice = (
        aligner.attempt(frame, town.feature, PoseHypothesis(75.0, 0.5)) for _ in range(2)
    )
    assert once is not None and twice is not None
    np.testing.assert_array_equal(once.homography, twice.homography)
    assert once.inliers == twice.inliers


def test_tracking_follows_without_telemetry(aligner, town, drawn_town):
    last = None
    for step in range(3):
        truth = drawn_town.view(150.0 + 8 * step, 0.5, (240 + 12 * step, 250), SIZE)
        frame = drawn_town.photograph(town.image, truth, SIZE)
        if last is None:
            last = aligner.attempt(frame, town.feature, PoseHypothesis(150.0, 0.5))
        else:
            last = aligner.align(frame, town.feature, last=last)
        assert last is not None and last.inliers >= LEAST_INLIERS
        centre = np.array([[SIZE[0] / 2, SIZE[1] / 2]])
        assert np.abs(project(last.homography, centre) - project(truth, centre)).max() < 0.5


def test_a_jump_keeps_yaw_and_zoom_and_is_found_again(aligner, town, drawn_town):
    small = 240, 180
    views = [drawn_town.view(30.0, 0.6, centre, small) for centre in ((130, 130), (380, 380))]
    near, far = (drawn_town.photograph(town.image, truth, small) for truth in views)
    last = aligner.attempt(near, town.feature, PoseHypothesis(30.0, 0.6))
    assert last is not None
    found = aligner.track(far, town.feature, last)
    assert found is not None
    centre = np.array([[120.0, 90.0]])
    assert np.abs(project(found.homography, centre) - project(views[1], centre)).max() < 0.7


# --- the prior of a click ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def aligned(aligner, town, drawn_town):
    truth = drawn_town.view(45.0, 0.5, (250, 250), SIZE, tilt=2e-4)
    frame = drawn_town.photograph(town.image, truth, SIZE)
    found = aligner.attempt(frame, town.feature, PoseHypothesis(45.0, 0.5))
    assert found is not None
    return SimpleNamespace(alignment=found, truth=truth)


def test_the_prior_projects_the_click(aligned):
    clicks = np.array([[240, 180], [100, 300]], np.float32)
    prior = aligned.alignment.prior(clicks)
    assert prior.source is PriorSource.ALIGNMENT
    assert prior.inliers == aligned.alignment.inliers
    assert prior.xy_px.dtype == prior.inv_var.dtype == np.float32
    np.testing.assert_allclose(
        prior.xy_px, project(aligned.truth, clicks.astype(np.float64)), atol=0.6
    )
    assert (prior.inv_var > 0).all()


def test_sigma_grows_outside_the_inliers(aligned):
    clicks = np.array([[240, 180], [480, 360], [700, 560], [1400, 1160]], np.float32)
    sigma = 1 / np.sqrt(aligned.alignment.prior(clicks).inv_var)
    assert (np.diff(sigma) > 0).all()
    assert sigma[0] < 1.5 and sigma[3] > 5 * sigma[0]


def test_no_prior_beyond_the_horizon(aligned):
    row = aligned.alignment.homography[2]
    beyond_y = -(1.0 + row[0] * 240) / row[1]  # where the depth is zero
    towards = np.sign(beyond_y)
    clicks = np.array([[240, beyond_y + 50 * towards], [240, 180]], np.float32)
    prior = aligned.alignment.prior(clicks)
    assert prior.inv_var[0] == 0 and np.isfinite(prior.xy_px).all()
    assert prior.inv_var[1] > 0


def test_no_clicks_no_rows(aligned):
    prior = aligned.alignment.prior(np.zeros((0, 2), np.float32))
    assert prior.xy_px.shape == (0, 2) and prior.inv_var.shape == (0,)


# --- refusals ------------------------------------------------------------------------------------


def test_a_window_stored_without_local_features_is_refused(aligner):
    bare = ReferenceFeature({}, None, 512, 512, "z19/x0/y0", "m", "x", 1.0)
    frame = np.zeros((360, 480, 3), np.uint8)
    with pytest.raises(FeatureStoreError) as caught:
        aligner.attempt(frame, bare, PoseHypothesis(0.0, 0.5))
    assert "align_xy_2x" in caught.value.found and "z19/x0/y0" in caught.value.found
    assert "align_descriptor_2x" in caught.value.expected
    assert "encode the map again" in caught.value.do


def test_a_count_beyond_the_slots_is_refused(aligner, town):
    tensors = {**town.feature.tensors, "align_count_2x": np.array([99999], np.int32)}
    broken = ReferenceFeature(tensors, None, 512, 512, "w", "m", "x", 1.0)
    with pytest.raises(FeatureStoreError, match="99999"):
        aligner.attempt(np.zeros((360, 480, 3), np.uint8), broken, PoseHypothesis(0.0, 0.5))


def test_a_missing_graph_is_refused(tmp_path):
    with pytest.raises(BundleError) as caught:
        Aligner.from_graph(tmp_path / "xfeat.onnx")
    assert "no file" in caught.value.found and "export.xfeat" in caught.value.do


def test_a_broken_graph_is_refused(tmp_path):
    (tmp_path / "xfeat.onnx").write_bytes(b"not a graph")
    with pytest.raises(ExecutorError) as caught:
        Aligner.from_graph(tmp_path / "xfeat.onnx")
    assert "xfeat.onnx" in caught.value.found


def test_the_shipped_notice_is_beside_the_graph():
    text = (shipped_bundle_path() / "alignment" / "LICENSE-xfeat.txt").read_text()
    assert "Apache License" in text and "verlab/accelerated_features" in text


# --- an oblique camera ---------------------------------------------------------------------------


def test_a_frame_with_the_horizon_in_view_is_aligned(aligner, town, drawn_town):
    down, focal_px = np.radians(25.0), 330.0
    matrix = np.array(  # a pinhole that looks north, its middle at (256, 110) of the window
        [
            [130.0, 0, -130 * 240],
            [0, 130 * np.sin(down), -130 * (180 * np.sin(down) + focal_px * np.cos(down))],
            [0, np.cos(down), focal_px * np.sin(down) - 180 * np.cos(down)],
        ]
    )
    middle = matrix @ [240, 180, 1.0]
    shift = np.array([256, 110.0]) - middle[:2] / middle[2]
    truth = np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1.0]]) @ matrix
    assert truth[2] @ [0, 0, 1.0] < 0 < truth[2] @ [240, 180, 1.0]
    frame = drawn_town.photograph(town.image, truth, SIZE)
    frame[: int(180 - focal_px * np.tan(down)) + 1] = (150, 180, 220)  # sky
    last = SimpleNamespace(homography=truth, window_id="town", yaw_deg=0.0, scale=1.0)
    found = aligner.track(frame, town.feature, last)
    assert found is not None and found.inliers >= LEAST_INLIERS
    spots = np.array([[240.0, 180], [150, 250], [330, 250]])
    assert np.abs(project(found.homography, spots) - project(truth, spots)).max() < 2.0
    prior = found.prior(np.array([[240, 180], [240, 2]], np.float32))
    assert prior.inv_var[0] > 0 and prior.inv_var[1] == 0
