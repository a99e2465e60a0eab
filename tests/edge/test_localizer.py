"""The localizer from picture to fix, on windows whose truth is known."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from edge.geodesy import MercatorGeometry
from edge.localizer import Localizer
from edge.types import Click, Frame, FramePose, Prior, PriorSource, ReferenceWindow, Verdict

ZOOM, LEFT_PX, TOP_PX = 19, 67_108_864.0 + 5000.25, 67_108_864.0 - 900_000.5
GEOMETRY = MercatorGeometry(ZOOM, LEFT_PX, TOP_PX)


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def window_of(image, geometry=GEOMETRY, valid=None, **changes) -> ReferenceWindow:
    valid = np.ones(image.shape[:2], bool) if valid is None else valid
    return ReferenceWindow(image, valid, geometry, "z19/x1/y2", "m" * 64, **changes)


WINDOW = window_of(picture(128, 128), imagery_ce90_m=4.0)
NO_POSE = FramePose()


def frame_at(left: int, top: int, pose: FramePose = NO_POSE) -> Frame:
    """A frame that shows the window's pixels from (left, top) on, 64 x 64."""
    image = np.ascontiguousarray(WINDOW.image[top : top + 64, left : left + 64])
    return Frame(image, 7, 1.25, "flight.mp4", pose)


@pytest.fixture(scope="module")
def localizer(tiny_bundle) -> Localizer:
    return Localizer.open(tiny_bundle)


@pytest.fixture(scope="module")
def feature(localizer):
    return localizer.encode(WINDOW)


def clicks_at(*xy) -> list[Click]:
    return [Click(f"house-{index}", x, y) for index, (x, y) in enumerate(xy)]


def centre_of(box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def test_encode_names_the_tensors_of_the_manifest(localizer, feature, tiny_bundle):
    for spec in tiny_bundle.manifest.features:
        tensor = feature.tensors[spec.name]
        assert tensor.shape == spec.shape
        assert tensor.dtype.name == spec.dtype
    norm = np.linalg.norm(feature.tensors["v"].astype(float), axis=0)
    np.testing.assert_allclose(norm, 1, atol=2e-3)
    assert feature.model_id == tiny_bundle.model_id == localizer.model_id
    assert (feature.window_id, feature.map_id) == (WINDOW.window_id, WINDOW.map_id)
    assert (feature.width_px, feature.height_px) == (128, 128)
    assert feature.geometry is GEOMETRY
    assert feature.coverage == 1.0
    assert feature.imagery_ce90_m == 4.0


@pytest.mark.parametrize("executor", ["onnxruntime", "reference"])
@pytest.mark.parametrize(("left", "top"), [(0, 0), (32, 48), (64, 16)])
def test_each_click_is_found_in_its_own_cell(tiny_bundle, feature, executor, left, top):
    localizer = Localizer.open(tiny_bundle, executor)
    clicks = clicks_at((8, 8), (40, 24), (63.5, 63.5), (17, 50))
    fixes = localizer.localize(frame_at(left, top), clicks, feature)
    for click, fix in zip(clicks, fixes, strict=True):
        x, y = centre_of(fix.box_xyxy_px)
        assert x // 16 == (left + click.x_px) // 16
        assert y // 16 == (top + click.y_px) // 16
        assert fix.peak_similarity == pytest.approx(1, abs=2e-3)
        assert fix.verdict is Verdict.ACCEPTED
        assert fix.executor == executor
    assert localizer.executor == executor


def test_a_fix_carries_where_it_comes_from(localizer, feature):
    fix = localizer.localize(frame_at(32, 48), clicks_at((8, 8)), feature)[0]
    assert (fix.click_id, fix.click_xy_px) == ("house-0", (8, 8))
    assert (fix.frame_index, fix.frame_source, fix.capture_time_s) == (7, "flight.mp4", 1.25)
    assert fix.window_id == WINDOW.window_id
    assert (fix.executor, fix.precision) == ("onnxruntime", "fp32")
    assert (fix.prior_source, fix.prior_inliers) == (PriorSource.NONE, 0)
    assert 0.5 < fix.acceptance_probability <= 1
    assert "above its second peak" in fix.reason
    timings = fix.timings
    assert 0 < timings.preprocess_ms + timings.localize_ms <= timings.total_ms
    assert timings.encode_ms is None


def test_what_is_not_in_the_window_is_not_here(localizer, feature):
    stranger = Frame(picture(64, 64, seed=99), 0, 0.0, "f")
    fix = localizer.localize(stranger, clicks_at((30, 30)), feature)[0]
    assert fix.verdict is Verdict.NOT_HERE
    assert fix.acceptance_probability < 0.5
    assert fix.reason.startswith(("not in this window: similarity", "similarity"))
    assert fix.box_xyxy_px is not None  # the best guess, for display and scoring


def test_positions_are_those_of_pyproj(localizer, feature):
    fixes = localizer.localize(frame_at(32, 48), clicks_at((8, 8), (50, 40)), feature)
    to_wgs84 = Transformer.from_crs(3857, 4326, always_xy=True)
    world_px = 256 * 2**ZOOM
    half_m = math.pi * 6378137

    def lon_lat(x, y):
        east = (LEFT_PX + x) / world_px * 2 * half_m - half_m
        return to_wgs84.transform(east, half_m - (TOP_PX + y) / world_px * 2 * half_m)

    for fix in fixes:
        x1, y1, x2, y2 = fix.box_xyxy_px
        np.testing.assert_allclose(fix.lon_lat_deg, lon_lat(*centre_of(fix.box_xyxy_px)), atol=1e-9)
        wanted = [lon_lat(*xy) for xy in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))]
        np.testing.assert_allclose(fix.corners_lon_lat_deg, wanted, atol=1e-9)
        north_west, _, south_east, _ = fix.corners_lon_lat_deg
        assert north_west[0] < fix.lon_lat_deg[0] < south_east[0]
        assert north_west[1] > fix.lon_lat_deg[1] > south_east[1]


@pytest.mark.parametrize("prior_sigma_px", [None, 3.0])
def test_the_error_radius_is_the_spread_of_the_blend(
    localizer, feature, tiny_bundle, prior_sigma_px
):
    prior = None
    if prior_sigma_px is not None:
        prior = Prior(np.float32([[40, 56]]), np.float32([prior_sigma_px**-2]))
    fix = localizer.localize(frame_at(32, 48), clicks_at((8, 8)), feature, prior)[0]
    geod = Geod(ellps="WGS84")
    (w, n), (e, _), _, (_, s) = fix.corners_lon_lat_deg
    wide_m, high_m = geod.inv(w, n, e, n)[2], geod.inv(w, n, w, s)[2]
    x1, y1, x2, y2 = fix.box_xyxy_px
    px_m = math.sqrt(((wide_m / (x2 - x1)) ** 2 + (high_m / (y2 - y1)) ** 2) / 2)
    area = (x2 - x1) * (y2 - y1)
    variance = 0.03 * area + 4.0  # of the tiny head, and 0.02 of its clicks
    if prior_sigma_px is not None:
        variance = 1 / (1 / variance + 1 / (prior_sigma_px**2 + 0.02 * area))
    sigma = tiny_bundle.manifest.head.radius_factor * math.sqrt(variance) * px_m
    wanted = math.sqrt(4.0**2 + (math.sqrt(2 * math.log(10)) * sigma) ** 2)
    assert fix.error_radius_m == pytest.approx(wanted, rel=2e-3)


def test_the_error_radius_follows_map_and_prior(localizer, feature):
    def radius(feature=feature, pose=NO_POSE, prior=None):
        fixes = localizer.localize(frame_at(32, 48, pose), clicks_at((8, 8)), feature, prior)
        return fixes[0].error_radius_m

    plain = radius()
    assert radius(dataclasses.replace(feature, imagery_ce90_m=None)) < plain
    assert radius(dataclasses.replace(feature, imagery_ce90_m=9.0)) > plain
    assert radius(pose=FramePose(gsd_m=10.0)) == plain  # the fitted variances hold the clicks
    close, wide, endless = (
        radius(prior=Prior(np.float32([[40, 56]]), np.float32([1 / sigma**2])))
        for sigma in (2, 6, 1e4)
    )
    assert close < wide < endless == pytest.approx(plain, rel=1e-3)


def test_a_window_without_position_gives_pixels_only(localizer):
    feature = localizer.encode(dataclasses.replace(WINDOW, geometry=None))
    fix = localizer.localize(frame_at(32, 48), clicks_at((8, 8)), feature)[0]
    assert fix.box_xyxy_px is not None
    assert (fix.lon_lat_deg, fix.corners_lon_lat_deg, fix.error_radius_m) == (None, (), None)
    assert fix.verdict is Verdict.ACCEPTED


def test_boxes_reach_beyond_the_window_and_their_centres_do_not(localizer, feature):
    fix = localizer.localize(frame_at(0, 0), clicks_at((1, 1)), feature)[0]
    x1, y1, _, _ = fix.box_xyxy_px
    assert min(x1, y1) < 0  # an object of 20 px cannot lie whole around its place in cell (0, 0)
    assert min(centre_of(fix.box_xyxy_px)) >= 0
    lon, lat = GEOMETRY.lon_lat_deg(np.array([[x1, y1]]))[0]
    assert fix.corners_lon_lat_deg[0] == (lon, lat)


def test_a_window_without_imagery_is_no_coverage(localizer):
    valid = np.zeros((128, 128), bool)
    valid[:16, :32] = True
    feature = localizer.encode(window_of(WINDOW.image, valid=valid))
    fix = localizer.localize(frame_at(32, 48), clicks_at((8, 8)), feature)[0]
    assert fix.verdict is Verdict.NO_COVERAGE
    assert fix.reason == "only 3% of this window has imagery, 5% are needed"


def test_a_prior_chooses_between_twins(localizer):
    image = WINDOW.image.copy()
    image[0:16, 0:16] = image[96:112, 80:96] = WINDOW.image[48:64, 32:48]
    feature = localizer.encode(window_of(image))
    frame, click = frame_at(32, 48), clicks_at((8, 8))
    alone = localizer.localize(frame, click, feature)[0]
    assert alone.verdict is Verdict.NOT_HERE or alone.peak_similarity == pytest.approx(1, abs=2e-3)
    assert alone.second_peak_similarity == pytest.approx(1, abs=2e-3)
    prior = Prior(np.float32([[88, 104]]), np.float32([0.01]), PriorSource.ALIGNMENT, 88)
    fix = localizer.localize(frame, click, feature, prior)[0]
    assert tuple(v // 16 for v in centre_of(fix.box_xyxy_px)) == (5, 6)
    assert (fix.prior_source, fix.prior_inliers) == (PriorSource.ALIGNMENT, 88)


def test_a_prior_of_some_clicks_leaves_the_others_alone(localizer, feature):
    frame, clicks = frame_at(32, 48), clicks_at((8, 8), (40, 24))
    prior = Prior(np.float32([[40, 56], [0, 0]]), np.float32([0.01, 0]), PriorSource.TRACKER)
    fixes = localizer.localize(frame, clicks, feature, prior)
    assert [fix.prior_source for fix in fixes] == [PriorSource.TRACKER, PriorSource.NONE]
    alone = localizer.localize(frame, clicks, feature)
    assert fixes[1].box_xyxy_px == alone[1].box_xyxy_px


def test_clicks_follow_the_letterbox(localizer, feature):
    """A frame twice as large and padded to a wide one still finds its cells."""
    large = np.repeat(np.repeat(frame_at(32, 48).image, 2, axis=0), 2, axis=1)[:96]
    clicks = clicks_at((16, 80), (90, 50))
    xy = np.float32([(click.x_px, click.y_px) for click in clicks])
    found = localizer.locate(large, xy, feature)
    # 128 x 96 is halved to 64 x 48 and lies 8 px down: patches differ, positions must not
    assert found.box_xyxy_px.shape == (2, 4)
    shifted = np.full((64, 64, 3), 0, np.uint8)
    shifted[:] = (124, 116, 104)
    shifted[8:56] = frame_at(32, 48).image[:48]
    same = localizer.locate(shifted, xy / 2 + np.float32([0, 8]), feature)
    np.testing.assert_allclose(found.box_xyxy_px, same.box_xyxy_px, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 64), st.floats(0, 64)), min_size=1, max_size=9))
def test_many_clicks_are_the_same_as_each_alone(localizer, feature, xy):
    frame, clicks = frame_at(16, 32), np.float32(xy)
    together = localizer.locate(frame.image, clicks, feature, attention=True)
    for index in range(len(clicks)):
        alone = localizer.locate(frame.image, clicks[index : index + 1], feature, attention=True)
        np.testing.assert_allclose(alone.box_xyxy_px[0], together.box_xyxy_px[index], atol=1e-3)
        np.testing.assert_allclose(alone.attention[0], together.attention[index], atol=1e-5)


def test_attention_comes_only_on_request(localizer, feature):
    arguments = frame_at(0, 0).image, np.float32([[3, 3]]), feature
    assert localizer.locate(*arguments).attention is None
    assert localizer.locate(*arguments, attention=True).attention.shape == (1, 8, 8)


def test_the_feature_is_never_copied(localizer, feature):
    """Changed in place, a feature that is bound shows the change: its memory is read as it lies."""
    own = dataclasses.replace(feature, tensors={k: v.copy() for k, v in feature.tensors.items()})
    arguments = frame_at(32, 48).image, np.float32([[8, 8]]), own
    before = localizer.locate(*arguments, attention=True).attention
    own.tensors["v"][:] *= -1
    after = localizer.locate(*arguments, attention=True).attention
    np.testing.assert_allclose(after, -before, atol=1e-6)


def test_a_memory_mapped_feature_serves_as_it_is(localizer, feature, tmp_path):
    mapped = {}
    for name, tensor in feature.tensors.items():
        np.save(tmp_path / f"{name}.npy", tensor)
        mapped[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    arguments = frame_at(32, 48), clicks_at((8, 8)), dataclasses.replace(feature, tensors=mapped)
    wanted = localizer.localize(frame_at(32, 48), clicks_at((8, 8)), feature)
    assert localizer.localize(*arguments)[0].box_xyxy_px == wanted[0].box_xyxy_px


def test_the_window_is_bound_once_and_replaced_by_the_next(localizer, feature, monkeypatch):
    bound = []
    bind = localizer._executor.bind
    monkeypatch.setattr(
        localizer._executor, "bind", lambda tensors: (bound.append(tensors), bind(tensors))
    )
    other = localizer.encode(window_of(picture(128, 128, 5)))
    extra: Mapping[str, np.ndarray] = {**feature.tensors, "align_keypoints": np.zeros((3, 2))}
    richer = dataclasses.replace(feature, tensors=extra)
    boxes = [
        localizer.localize(frame_at(32, 48), clicks_at((8, 8)), which)[0].box_xyxy_px
        for which in (richer, richer, other, other, richer)
    ]
    assert [sorted(tensors) for tensors in bound] == [["u", "v"]] * 3
    assert boxes[0] == boxes[1] == boxes[4] != boxes[2] == boxes[3]
