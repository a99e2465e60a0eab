"""What the localizer refuses, and in which words."""

from __future__ import annotations

import dataclasses
import math

import msgspec
import numpy as np
import pytest

from edge.errors import (
    BundleError,
    ClickError,
    ExecutorError,
    FeatureStoreError,
    SourceError,
    UsageError,
    WindowError,
)
from edge.localizer import Localizer
from edge.types import Click, Frame, Prior, ReferenceWindow


def picture(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def window_of(image) -> ReferenceWindow:
    return ReferenceWindow(image, np.ones(image.shape[:2], bool), None, "z19/x1/y2", "m" * 64)


FRAME = Frame(picture(64, 64), 7, 1.25, "flight.mp4")


@pytest.fixture(scope="module")
def localizer(tiny_bundle) -> Localizer:
    return Localizer.open(tiny_bundle)


@pytest.fixture(scope="module")
def feature(localizer):
    return localizer.encode(window_of(picture(128, 128)))


def clicks_at(*xy) -> list[Click]:
    return [Click(f"house-{index}", x, y) for index, (x, y) in enumerate(xy)]


@pytest.mark.parametrize(
    ("clicks", "what", "found"),
    [
        ([], "zero clicks", "none"),
        (clicks_at((3, 3), (math.nan, 3)), "click 'house-1' is not a position", "x nan, y 3"),
        (clicks_at((3, math.inf)), "click 'house-0' is not a position", "x 3, y inf"),
        (clicks_at((64.1, 3)), "click 'house-0' lies outside the frame", "x 64.1, y 3"),
        (clicks_at((3, 3), (3, -0.5)), "click 'house-1' lies outside the frame", "x 3, y -0.5"),
        ([Click("a", 1, 1), Click("b", 2, 2), Click("a", 3, 3)], "one id", "click 'a' 2 times"),
    ],
)
def test_clicks_that_cannot_be_meant(localizer, feature, clicks, what, found):
    with pytest.raises(ClickError) as caught:
        localizer.localize(FRAME, clicks, feature)
    error = caught.value
    assert what in error.what
    assert error.found == found
    assert error.expected
    assert error.do
    if "outside" in what:
        assert error.expected == "x from 0 to 64 px and y from 0 to 64 px"


def test_locate_names_the_number_of_a_click(localizer, feature):
    with pytest.raises(ClickError, match="click number 1 lies outside"):
        localizer.locate(FRAME.image, np.float32([[0, 0], [99, 0]]), feature)
    with pytest.raises(ClickError, match="another shape"):
        localizer.locate(FRAME.image, np.float32([3, 3]), feature)


def test_clicks_on_the_edge_belong_to_the_frame(localizer, feature):
    assert len(localizer.localize(FRAME, clicks_at((0, 0), (64, 64)), feature)) == 2


@pytest.mark.parametrize("size", [(256, 256), (128, 64)])
def test_a_window_of_another_size(localizer, size):
    with pytest.raises(
        WindowError, match="window z19/x1/y2 does not fit the bundle tiny"
    ) as caught:
        localizer.encode(window_of(picture(*size)))
    assert caught.value.expected.startswith("128 x 128 px")
    assert caught.value.found.startswith(f"{size[0]} x {size[1]} px")
    assert "manifest" in caught.value.do


def test_a_frame_that_is_no_picture(localizer, feature):
    grey = dataclasses.replace(FRAME, image=np.zeros((64, 64), np.uint8))
    with pytest.raises(SourceError, match="cannot be used"):
        localizer.localize(grey, clicks_at((3, 3)), feature)


def test_a_feature_of_another_model_names_both(localizer, feature):
    other = dataclasses.replace(feature, model_id="f" * 64)
    with pytest.raises(FeatureStoreError, match="not made by the bundle tiny") as caught:
        localizer.localize(FRAME, clicks_at((3, 3)), other)
    assert localizer.model_id in caught.value.expected
    assert "f" * 64 in caught.value.found
    assert "tilefix tiles encode" in caught.value.do


def test_a_feature_without_its_tensors(localizer, feature):
    poor = dataclasses.replace(feature, tensors={"v": feature.tensors["v"]})
    with pytest.raises(FeatureStoreError, match="not made by") as caught:
        localizer.localize(FRAME, clicks_at((3, 3)), poor)
    assert caught.value.found.endswith("without u")


def test_a_failed_binding_is_not_mistaken_for_a_bound_window(localizer, feature):
    broken = dataclasses.replace(feature, tensors={**feature.tensors, "v": np.zeros((1, 2, 3))})
    for _ in range(2):
        with pytest.raises(ExecutorError, match="'v' does not fit"):
            localizer.localize(FRAME, clicks_at((3, 3)), broken)


@pytest.mark.parametrize(
    "prior",
    [
        Prior.none(2),
        Prior(np.float32([[1, np.nan]]), np.float32([1])),
        Prior(np.float32([[1, 1]]), np.float32([-1])),
        Prior(np.float32([[1, 1]]), np.float32([np.inf])),
    ],
)
def test_a_prior_that_cannot_be_meant(localizer, feature, prior):
    with pytest.raises(UsageError, match="prior from none cannot be used") as caught:
        localizer.localize(FRAME, clicks_at((3, 3)), feature, prior)
    assert caught.value.expected.startswith("xy_px [1, 2] and inv_var [1]")
    assert "inv_var" in caught.value.found
    assert "0 where nothing is known" in caught.value.do


def test_boxes_that_are_not_numbers_are_never_fixes(localizer, feature):
    spoilt = {name: np.full_like(tensor, np.nan) for name, tensor in feature.tensors.items()}
    with pytest.raises(ExecutorError, match="not numbers") as caught:
        localizer.localize(FRAME, clicks_at((3, 3)), dataclasses.replace(feature, tensors=spoilt))
    assert "encode this window again" in caught.value.do


def test_a_manifest_that_disagrees_with_its_graph(tiny_bundle):
    frame = msgspec.structs.replace(tiny_bundle.manifest.frame, width_px=96)
    manifest = msgspec.structs.replace(tiny_bundle.manifest, frame=frame)
    with pytest.raises(BundleError, match="graph of the bundle tiny disagree") as caught:
        Localizer.open(dataclasses.replace(tiny_bundle, manifest=manifest))
    assert "frame uint8 [64, 96, 3]" in caught.value.expected
    assert "frame uint8 [64, 64, 3]" in caught.value.found


def test_open_takes_a_folder_and_refuses_what_the_bundle_lacks(tiny_bundle):
    assert Localizer.open(tiny_bundle.path).model_id == tiny_bundle.model_id
    with pytest.raises(BundleError, match="int8"):
        Localizer.open(tiny_bundle, precision="int8")
    with pytest.raises(ExecutorError, match="no executor 'cuda'"):
        Localizer.open(tiny_bundle, executor="cuda")
