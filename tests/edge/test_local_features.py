from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.bundle import ALIGNMENT_GRAPH, shipped_bundle_path
from edge.errors import BundleError
from edge.local_features import MOST_CANVAS_PX, FeatureExtractor, warp_to
from edge.matching import project
from edge.types import FILL_RGB, ReferenceFeature, ReferenceWindow
from edge.window_features import (
    LEVELS,
    TILE_SLOTS,
    describe_window,
    quantise,
    read_level,
    slots,
    tensor_names,
)


@pytest.fixture(scope="module")
def extractor():
    return FeatureExtractor(shipped_bundle_path() / ALIGNMENT_GRAPH)


def test_keypoints_lie_inside_and_descriptors_have_unit_length(extractor, town):
    picture = town.image[:311, :207]  # no multiple of 32
    found = extractor.extract(picture)
    assert len(found) > 100
    assert (found.xy_px > 0).all() and (found.xy_px < (207, 311)).all()
    np.testing.assert_allclose(np.linalg.norm(found.descriptor, axis=1), 1, atol=1e-4)
    assert (np.diff(found.score) <= 0).all() and (found.score > 0).all()
    assert len(extractor.extract(picture, most=17)) == 17


def test_a_dot_is_found_where_it_is(extractor):
    picture = np.full((128, 128, 3), 90, np.uint8)
    cv2.rectangle(picture, (40, 70), (59, 89), (230, 230, 230), -1)
    found = extractor.extract(picture)
    corners = np.array([[40, 70], [60, 70], [40, 90], [60, 90.0]])
    distance = np.linalg.norm(found.xy_px[:, None] - corners, axis=2).min(axis=0)
    assert (distance < 3.0).all() and np.median(distance) < 2.5


def test_no_keypoint_is_born_where_nothing_is_valid(extractor, town):
    valid = np.zeros((512, 512), bool)
    valid[:, 256:] = True
    found = extractor.extract(town.image, valid)
    assert len(found) > 100 and (found.xy_px[:, 0] > 256).all()
    assert len(extractor.extract(town.image, np.zeros((512, 512), bool))) == 0


def test_the_brightness_of_the_masked_part_does_not_matter(extractor, town):
    valid = np.zeros((256, 256), bool)
    valid[:, :128] = True
    first = town.image[:256, :256].copy()
    second = first.copy()
    second[:, 128:] = 255
    one, two = extractor.extract(first, valid), extractor.extract(second, valid)
    np.testing.assert_array_equal(one.xy_px, two.xy_px)
    np.testing.assert_allclose(one.descriptor, two.descriptor, atol=1e-5)


def test_another_graph_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    other = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [value], [other])
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=9)
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(BundleError) as caught:
        FeatureExtractor(tmp_path / "other.onnx")
    assert "outputs y" in caught.value.found and "keypoint_xy_px" in caught.value.expected


# --- warping a frame -----------------------------------------------------------------------------


def test_a_dot_of_the_frame_lands_where_the_transform_says():
    picture = np.full((240, 320, 3), 20, np.uint8)
    picture[100:104, 200:204] = 255  # its centre is at (202, 102)
    to_level = np.array([[0.9, -0.3, 50], [0.3, 0.9, 20], [1e-4, 2e-4, 1.0]])
    warped = warp_to(picture, to_level)
    assert warped is not None
    bright = np.argwhere((warped.image[..., 0] > 120) & warped.valid)[:, ::-1] + 0.5
    there = project(warped.to_level, bright.mean(axis=0, keepdims=True))
    np.testing.assert_allclose(there, project(to_level, np.array([[202.0, 102.0]])), atol=0.3)


def test_only_the_frame_is_valid():
    picture = np.full((200, 300, 3), 200, np.uint8)
    warped = warp_to(picture, np.array([[0.7, -0.7, 0], [0.7, 0.7, 0], [0, 0, 1.0]]))
    assert warped is not None
    assert (warped.image[warped.valid] == 200).all()
    share = warped.valid.mean() / (0.98 * 300 * 200 / (0.7 * 500) ** 2)
    assert share == pytest.approx(1.0, rel=0.05)


def test_bounds_clip_and_size_is_limited():
    picture = np.zeros((480, 640, 3), np.uint8)
    warped = warp_to(picture, np.eye(3), bounds_px=(600.0, 100.0, 2000.0, 200.0))
    assert warped is not None and warped.valid.shape == (100, 40)
    assert warp_to(picture, np.eye(3), bounds_px=(700.0, 0.0, 2000.0, 200.0)) is None
    large = warp_to(np.zeros((900, 900, 3), np.uint8), np.eye(3))
    assert large is not None and large.valid.size <= MOST_CANVAS_PX * 1.01


def test_the_sky_is_cut_off_and_the_ground_drawn():
    picture = np.full((480, 640, 3), 200, np.uint8)
    picture[250:] = (10, 20, 250)  # this frame is upside down: the sky is below the horizon at 250
    matrix = np.array([[1, 0, 0], [0, 1, 0], [0, -4e-3, 1.0]])
    for bounds_px in (None, (0.0, 0.0, 800.0, 600.0)):
        warped = warp_to(picture, matrix, bounds_px=bounds_px)
        assert warped is not None and warped.valid.mean() > 0.1
        assert (warped.image[warped.valid] == 200).all()
    assert warp_to(picture, -np.eye(3)) is None


# --- a window's tensors --------------------------------------------------------------------------


def test_the_tensors_have_fixed_shapes_and_come_back(town):
    for level in LEVELS:
        xy, descriptor, count = (town.feature.tensors[name] for name in tensor_names(level))
        room = slots(512, 512, level)
        assert room == TILE_SLOTS * level**2
        assert xy.shape == (room, 2) and xy.dtype == np.int16
        assert descriptor.shape == (room, 64) and descriptor.dtype == np.int8
        assert count.shape == (1,) and 200 < count[0] <= room
        assert not xy[count[0] :].any() and not descriptor[count[0] :].any()
        read = read_level(town.feature, level)
        assert len(read) == count[0] and (read.xy_px < 512 * level).all()
        np.testing.assert_allclose(np.linalg.norm(read.descriptor, axis=1), 1, atol=1e-5)


def test_quantised_descriptors_keep_their_direction(extractor, town):
    found = extractor.extract(town.image)
    restored = quantise(found.descriptor).astype(np.float32)
    restored /= np.linalg.norm(restored, axis=1, keepdims=True)
    cosine = (restored * found.descriptor).sum(axis=1)
    assert cosine.min() > 0.99 and np.median(cosine) > 0.9995


def test_tiles_cover_the_window_evenly_and_skip_what_is_empty(extractor, drawn_town):
    image = drawn_town.draw_town(5, 640)  # two tiles a side, the second one narrow
    valid = np.ones((640, 640), bool)
    valid[:, 320:] = False
    image[:, 320:] = FILL_RGB
    window = ReferenceWindow(image, valid, None, "w", "m")
    tensors = describe_window(extractor, window)
    feature = ReferenceFeature(tensors, None, 640, 640, "w", "m", "x", 0.5)
    xy = read_level(feature, 1).xy_px
    assert (xy[:, 0] < 320).all() and (xy[:, 1] > 560).any()
    assert len(tensors["align_xy_1x"]) == 4 * TILE_SLOTS
    rows = np.histogram(xy[:, 1], bins=5, range=(0, 640))[0]
    assert rows.min() > 150
    assert tensors["align_count_1x"][0] <= 2 * TILE_SLOTS  # two tiles have imagery
