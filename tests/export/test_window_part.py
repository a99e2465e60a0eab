"""A localizer cut in two: the same answers, and no part of another localizer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge.bundle import FRAME_PART, LOCALIZER, WINDOW_PART, Bundle, shipped_bundle_path
from edge.errors import ExecutorError
from edge.executors.onnxruntime import OnnxRuntimeExecutor
from edge.executors.window_part import TwoPartLocalizer
from export.window_part import localizer_parts, window_values

FEATURES = ("v", "u")


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle.open(shipped_bundle_path())


@pytest.fixture(scope="module")
def whole(shipped) -> OnnxRuntimeExecutor:
    return OnnxRuntimeExecutor(shipped.graph(LOCALIZER), "fp32", threads=1)


@pytest.fixture(scope="module")
def parts(shipped) -> TwoPartLocalizer:
    return TwoPartLocalizer.open(shipped, LOCALIZER, "fp32", threads=1)


def inputs_of(executor, clicks: int, seed: int) -> dict[str, np.ndarray]:
    """A frame, clicks with priors for some, and a window of unit vectors."""
    rng = np.random.default_rng(seed)
    made = {spec.name: spec for spec in executor.inputs}
    v = rng.normal(size=made["v"].shape)
    return {
        "frame": rng.integers(0, 256, made["frame"].shape, np.uint8),
        "frame_affine": np.eye(2, 3, dtype=np.float32),
        "click_xy_px": rng.uniform(0, 512, (clicks, 2)).astype(np.float32),
        "v": (v / np.linalg.norm(v, axis=0)).astype(np.float16),
        "u": rng.normal(size=made["u"].shape).astype(np.float16),
        "prior_xy_px": rng.uniform(0, 1024, (clicks, 2)).astype(np.float32),
        "prior_inv_var": rng.choice([0, 0.01], clicks).astype(np.float32),
    }


def test_the_shipped_parts_are_cut_of_the_shipped_localizer(shipped):
    cut = localizer_parts(shipped.graph(LOCALIZER).read_bytes(), "fp32")
    assert set(cut) == {f"graphs/fp32/{kind}.onnx" for kind in (WINDOW_PART, FRAME_PART)}
    for name, content in cut.items():
        assert shipped.file(name).read_bytes() == content


@pytest.mark.parametrize("clicks", [1, 3, 16])
def test_both_parts_answer_as_the_whole(whole, parts, clicks):
    inputs = inputs_of(whole, clicks, seed=clicks)
    wanted, found = whole.run(inputs), parts.run(inputs)
    assert list(found) == list(wanted)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4, err_msg=name)


def test_the_parts_take_and_give_what_the_whole_does(whole, parts):
    assert {str(spec) for spec in parts.inputs} == {str(spec) for spec in whole.inputs}
    assert parts.outputs == whole.outputs
    assert (parts.name, parts.precision, parts.click_limit) == ("onnxruntime", "fp32", None)


def test_no_node_of_the_frame_s_part_depends_on_the_window_alone(shipped):
    """Else it would run once per frame for nothing; and none of the window's knows the frame."""
    window, frame = (onnx.load(shipped.graph(kind)) for kind in (WINDOW_PART, FRAME_PART))
    assert [value.name for value in window.graph.input] == list(FEATURES)
    cut = [value.name for value in window.graph.output]
    assert sorted(window_values(frame, cut)) == sorted(cut)
    assert "Conv" not in {node.op_type for node in window.graph.node}
    assert sum(node.op_type == "Cast" for node in window.graph.node) == len(FEATURES)


def test_a_localizer_that_computes_nothing_from_the_window_alone_is_refused():
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["frame", "v"], ["attention"])],
        "localizer",
        [value(name, TensorProto.FLOAT, [2, 2]) for name in ("frame", "v")],
        [value("attention", TensorProto.FLOAT, [2, 2])],
    )
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    with pytest.raises(ExecutorError, match="cannot be cut in two") as caught:
        localizer_parts(whole.SerializeToString(), "fp32")
    assert caught.value.found == "the features v meet the frame as they are"


def test_products_with_rows_are_laid_out_anew(tmp_path: Path):
    """q V with V of the window becomes a product with V transposed, of the same value."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["v"], ["wide"], "cast", to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["frame", "wide"], ["attention"], "product"),
        ],
        "localizer",
        [value("frame", TensorProto.FLOAT, [3, 5]), value("v", TensorProto.FLOAT16, [5, 7])],
        [value("attention", TensorProto.FLOAT, [3, 7])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    cut = [
        onnx.load_model_from_string(part)
        for part in localizer_parts(model.SerializeToString(), "fp32").values()
    ]
    assert [node.op_type for node in cut[0].graph.node] == ["Cast", "Transpose"]
    assert [node.op_type for node in cut[1].graph.node] == ["Gemm"]
    rng = np.random.default_rng(0)
    q, v = rng.normal(size=(3, 5)).astype(np.float32), rng.normal(size=(5, 7)).astype(np.float16)
    executors = []
    for number, part in enumerate(cut):
        onnx.save(part, tmp_path / f"{number}.onnx")
        executors.append(OnnxRuntimeExecutor(tmp_path / f"{number}.onnx", "fp32", threads=1))
    found = TwoPartLocalizer(*executors).run({"frame": q, "v": v})
    np.testing.assert_allclose(found["attention"], q @ v.astype(np.float32), rtol=1e-5, atol=1e-5)
