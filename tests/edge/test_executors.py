"""One contract for all executors, against the mathematics spelled out in plain Python loops."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fake_engines import install, write_fake_engines
from fake_gpu import FakeGpu
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.bundle import ENCODER, LOCALIZER
from edge.engine_manifest import ENGINES_VARIABLE
from edge.errors import BundleError, ClickError, ExecutorError
from edge.executors.base import EXECUTORS, ON_DEVICE, open_executor

NUMBERS = ("confidence_logit", "peak_similarity", "second_peak_similarity", "cell_similarity")
OUTPUTS = {"box_xyxy_px", *NUMBERS, "attention", "query_vector"}
LIBRARY = {"onnxruntime": "onnxruntime", "reference": "onnxruntime"}


@pytest.fixture(params=list(EXECUTORS))
def executor_name(request, monkeypatch, tmp_path) -> Iterator[str]:
    """Those on a GPU run on a fake one, with a TensorRT that runs ONNX Runtime (tests/support)."""
    if request.param in ON_DEVICE:
        gpu = FakeGpu()
        install(monkeypatch, gpu)
        monkeypatch.setenv(ENGINES_VARIABLE, str(tmp_path / "engines"))
        yield request.param
        gc.collect()
        gpu.assert_all_is_given_back()
        return
    library = LIBRARY[request.param]
    pytest.importorskip(library, reason=f"executor {request.param} needs the library {library}")
    yield request.param


def opened(name: str, bundle, kind: str = LOCALIZER):
    """An executor, with engines where it needs them."""
    if name in ON_DEVICE:
        write_fake_engines(bundle)
    return open_executor(name, bundle, kind)


@pytest.fixture(scope="module")
def wide_bundle(make_tiny_bundle, tmp_path_factory):
    """Windows of 160 x 96 px and frames of 48 x 64: nothing square."""
    folder = tmp_path_factory.mktemp("wide") / "wide"
    return make_tiny_bundle(folder, window_wh_px=(160, 96), frame_wh_px=(48, 64), seed=5)


@pytest.fixture(params=["square", "wide"])
def bundle(request, tiny_bundle, wide_bundle):
    return tiny_bundle if request.param == "square" else wide_bundle


def random_inputs(bundle, count: int, seed: int = 0) -> dict[str, Any]:
    """Everything that the localizer takes; no prior."""
    random = np.random.default_rng(seed)
    frame = bundle.manifest.frame
    shape = {feature.name: feature.shape for feature in bundle.manifest.features}
    v = random.normal(size=shape["v"])
    v /= np.linalg.norm(v, axis=0)
    size = (frame.height_px, frame.width_px, 3)
    return {
        "frame": random.integers(0, 256, size, dtype=np.uint8),
        "frame_affine": np.array([[1, 0, 0], [0, 1, 0]], np.float32),
        "click_xy_px": random.uniform(0, 48, (count, 2)).astype(np.float32),
        "v": v.astype(np.float16),
        "u": random.normal(size=shape["u"]).astype(np.float16),
        "prior_xy_px": np.zeros((count, 2), np.float32),
        "prior_inv_var": np.zeros(count, np.float32),
    }


@pytest.fixture
def assert_as_spelled_out(spelled_out):
    return spelled_out.assert_as_spelled_out


@pytest.fixture
def head(bundle, tiny):
    return tiny.tiny_head(0 if bundle.manifest.window.width_px == 128 else 5)


@pytest.fixture
def executor(executor_name, bundle):
    made = opened(executor_name, bundle)
    yield made
    if executor_name in ON_DEVICE:
        made.close()


@pytest.mark.parametrize("count", [1, 3, 17])
def test_outputs_have_their_names_types_and_shapes(executor, executor_name, bundle, count, tiny):
    found = executor.run(random_inputs(bundle, count))
    rows, columns = bundle.manifest.features[0].shape[1:]
    assert executor.name == executor_name
    assert executor.precision == "fp32"
    assert set(found) == OUTPUTS
    assert all(value.dtype == np.float32 for value in found.values())
    assert found["box_xyxy_px"].shape == (count, 4)
    assert found["attention"].shape == (count, rows, columns)
    assert found["query_vector"].shape == (count, tiny.DEPTH)
    assert all(found[name].shape == (count,) for name in NUMBERS)


@pytest.mark.parametrize("count", [1, 6])
def test_no_prior(executor, bundle, head, assert_as_spelled_out, count):
    inputs = random_inputs(bundle, count)
    assert_as_spelled_out(executor.run(inputs), inputs, head)


def test_a_strong_prior_decides_the_cell(executor, bundle, head, assert_as_spelled_out):
    inputs = random_inputs(bundle, 3)
    inputs["prior_xy_px"] = np.array([[24, 24], [88, 40], [8, 72]], np.float32)
    inputs["prior_inv_var"] = np.array([1.0, 0.0, 4.0], np.float32)
    found = executor.run(inputs)
    assert_as_spelled_out(found, inputs, head)
    boxes = found["box_xyxy_px"]
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    for index in (0, 2):
        assert np.abs(centres[index] - inputs["prior_xy_px"][index]).max() <= 8.001


def test_constant_maps_take_the_first_cell(executor, bundle, head, assert_as_spelled_out):
    inputs = random_inputs(bundle, 2)
    inputs["v"] = np.full_like(inputs["v"], 1 / math.sqrt(inputs["v"].shape[0]))
    inputs["u"] = np.full_like(inputs["u"], 0.25)
    found = executor.run(inputs)
    assert_as_spelled_out(found, inputs, head)
    boxes = found["box_xyxy_px"]
    assert ((boxes[:, :2] + boxes[:, 2:]) / 2 < 16).all()  # the cell (0, 0)
    assert np.array_equal(found["peak_similarity"], found["second_peak_similarity"])


def test_the_first_of_two_equal_cells_wins(executor, bundle, head, assert_as_spelled_out):
    inputs = random_inputs(bundle, 1)
    inputs["v"] = inputs["v"].copy()
    q = executor.run(inputs)["query_vector"][0]
    for array in (inputs["v"], inputs["u"]):
        array[:, 1, 4] = array[:, 4, 2] = q[: len(array)]
    found = executor.run(inputs)
    assert_as_spelled_out(found, inputs, head)
    assert found["peak_similarity"][0] == found["second_peak_similarity"][0]
    box = found["box_xyxy_px"][0]
    assert (box[0] + box[2]) / 2 // 16 == 4
    assert (box[1] + box[3]) / 2 // 16 == 1


def test_large_values_stay_finite(executor, bundle, head, assert_as_spelled_out):
    inputs = random_inputs(bundle, 2)
    inputs["u"] = (inputs["u"] * 8000).astype(np.float16)
    found = executor.run(inputs)
    assert all(np.isfinite(value).all() for value in found.values())
    assert_as_spelled_out(found, inputs, head, atol=2e-2)


def test_a_zero_map_has_no_similarity(executor, bundle, head, assert_as_spelled_out):
    inputs = random_inputs(bundle, 1)
    inputs["v"], inputs["u"] = np.zeros_like(inputs["v"]), np.zeros_like(inputs["u"])
    found = executor.run(inputs)
    assert_as_spelled_out(found, inputs, head)
    assert found["peak_similarity"][0] == 0


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10_000), count=st.integers(1, 4), strength=st.floats(0, 0.1))
def test_any_inputs(executor, bundle, head, assert_as_spelled_out, seed, count, strength):
    inputs = random_inputs(bundle, count, seed)
    random = np.random.default_rng(seed)
    inputs["prior_xy_px"] = random.uniform(-50, 200, (count, 2)).astype(np.float32)
    inputs["prior_inv_var"] = np.full(count, strength, np.float32)
    assert_as_spelled_out(executor.run(inputs), inputs, head, atol=2e-3)


def test_a_grid_within_one_neighbourhood_has_no_second_peak(
    executor_name, make_tiny_bundle, tmp_path
):
    bundle = make_tiny_bundle(tmp_path / "small", window_wh_px=(48, 32))
    found = opened(executor_name, bundle).run(random_inputs(bundle, 2))
    assert (found["second_peak_similarity"] == -1).all()


def test_bound_tensors_stay_until_bound_again(executor, bundle):
    inputs = random_inputs(bundle, 2)
    feature = {name: inputs.pop(name) for name in ("v", "u")}
    whole = executor.run({**inputs, **feature})
    executor.bind(feature)
    for _ in range(2):
        again = executor.run(inputs)
        assert all(np.array_equal(again[name], whole[name]) for name in OUTPUTS)
    executor.bind({"v": feature["v"][:, ::-1].copy(), "u": feature["u"][:, ::-1].copy()})
    turned = executor.run(inputs)
    np.testing.assert_allclose(turned["attention"], whole["attention"][:, ::-1], atol=1e-6)


def test_bound_tensors_are_held_and_not_copied(executor, bundle):
    if executor.name in ON_DEVICE:
        pytest.skip("its memory is not the host's, so it has to copy")
    inputs = random_inputs(bundle, 1)
    feature = {name: inputs.pop(name) for name in ("v", "u")}
    executor.bind(feature)
    before = executor.run(inputs, ["attention"])["attention"]
    feature["v"] *= -1  # in place: only an executor that reads this very memory can see it
    after = executor.run(inputs, ["attention"])["attention"]
    np.testing.assert_allclose(after, -before, atol=1e-6)


def test_only_the_requested_outputs_come_back(executor, bundle):
    found = executor.run(random_inputs(bundle, 1), ["box_xyxy_px", "peak_similarity"])
    assert list(found) == ["box_xyxy_px", "peak_similarity"]


def test_zero_clicks_are_refused(executor, bundle):
    with pytest.raises(ClickError, match="zero clicks") as caught:
        executor.run(random_inputs(bundle, 0))
    assert "at least 1" in caught.value.expected
    assert "click_xy_px float32 [0, 2]" in caught.value.found
    assert "at least one click" in caught.value.do


@pytest.mark.parametrize(
    ("change", "what", "expected", "found"),
    [
        ({"frame": None}, "input 'frame' is missing", "frame uint8", "click_xy_px"),
        ({"frames": 0}, "no input 'frames'", "one of: frame,", "frames"),
        (
            {"click_xy_px": np.zeros((2, 2), np.float64)},
            "input 'click_xy_px' does not fit",
            "click_xy_px float32 [N, 2]",
            "click_xy_px float64 [2, 2]",
        ),
        (
            {"frame": np.zeros((9, 9, 3), np.uint8)},
            "input 'frame' does not fit",
            "3]",
            "frame uint8 [9, 9, 3]",
        ),
        (
            {"frame_affine": np.zeros((6,), np.float32)},
            "input 'frame_affine' does not fit",
            "frame_affine float32 [2, 3]",
            "frame_affine float32 [6]",
        ),
        (
            {"prior_inv_var": np.zeros(3, np.float32)},
            "input 'prior_inv_var' does not fit",
            "N = 2, as in 'click_xy_px'",
            "prior_inv_var float32 [3]",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(executor, bundle, change, what, expected, found):
    inputs = {**random_inputs(bundle, 2), **change}
    inputs = {name: np.asarray(value) for name, value in inputs.items() if value is not None}
    with pytest.raises(ExecutorError) as caught:
        executor.run(inputs)
    error = caught.value
    assert what in error.what
    assert executor.name in error.what or "onnxruntime" in error.what
    assert expected in error.expected
    assert found in error.found
    assert "signature" in error.do


def test_binding_a_tensor_that_does_not_fit_is_refused(executor, bundle):
    v = random_inputs(bundle, 1)["v"]
    with pytest.raises(ExecutorError, match="'v' does not fit"):
        executor.bind({"v": v.astype(np.float32)})
    with pytest.raises(ExecutorError, match="no input 'align_keypoints'"):
        executor.bind({"v": v, "align_keypoints": v})


def test_the_encoder_opens_in_every_executor(executor_name, tiny_bundle):
    encoder = opened(executor_name, tiny_bundle, ENCODER)
    found = encoder.run({"image": np.zeros((128, 128, 3), np.uint8)})
    assert {name: value.dtype for name, value in found.items()} == {
        "v": np.float16,
        "u": np.float16,
    }


def test_a_precision_that_the_bundle_lacks(executor_name, tiny_bundle):
    form = {"onnxruntime": r"int8\+fp32", "reference": r"int8\+fp32"}.get(executor_name)
    wanted = form or r"int8\+fp16"
    with pytest.raises(BundleError, match=rf"graphs/{wanted}/localizer\.onnx") as caught:
        open_executor(executor_name, tiny_bundle, LOCALIZER, "int8")
    assert "graphs/fp32/localizer.onnx" in caught.value.expected
