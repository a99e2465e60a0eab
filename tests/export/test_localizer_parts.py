"""A localizer cut in parts: the same answers, and no part of another localizer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge.bundle import (
    CLICKS_PART,
    FRAME_PART,
    LOCALIZER,
    PARTS,
    WINDOW_PART,
    Bundle,
    shipped_bundle_path,
)
from edge.errors import ExecutorError
from edge.executors.localizer_parts import LocalizerInParts
from edge.executors.onnxruntime import OnnxRuntimeExecutor
from export.localizer_parts import localizer_parts, values_at_cut

FEATURES = ("v", "u")


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle.open(shipped_bundle_path())


@pytest.fixture(scope="module")
def whole(shipped) -> OnnxRuntimeExecutor:
    return OnnxRuntimeExecutor(shipped.graph(LOCALIZER), "fp32", threads=1)


@pytest.fixture(scope="module")
def parts(shipped) -> LocalizerInParts:
    return LocalizerInParts.open(shipped, LOCALIZER, "fp32", threads=1)


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
    assert set(cut) == {f"graphs/fp32/{kind}.onnx" for kind in PARTS}
    for name, content in cut.items():
        assert shipped.file(name).read_bytes() == content


@pytest.mark.parametrize("clicks", [1, 3, 16])
def test_the_parts_answer_as_the_whole(whole, parts, clicks):
    inputs = inputs_of(whole, clicks, seed=clicks)
    wanted, found = whole.run(inputs), parts.run(inputs)
    assert list(found) == list(wanted)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4, err_msg=name)


def test_the_parts_take_and_give_what_the_whole_does(whole, parts):
    assert {str(spec) for spec in parts.inputs} == {str(spec) for spec in whole.inputs}
    assert parts.outputs == whole.outputs
    assert (parts.name, parts.precision, parts.click_limit) == ("onnxruntime", "fp32", None)


def test_what_depends_on_the_window_or_the_frame_alone_is_not_in_the_clicks_part(shipped):
    """Else it would run once more for every window and every group of clicks, for nothing."""
    window, frame, clicks = (onnx.load(shipped.graph(kind)) for kind in PARTS)
    assert [value.name for value in window.graph.input] == list(FEATURES)
    assert [value.name for value in frame.graph.input] == ["frame"]
    for part in (window, frame):
        cut = [value.name for value in part.graph.output]
        assert sorted(values_at_cut(clicks, cut)) == sorted(cut)
    count = {
        kind: sum(node.op_type == "Conv" for node in part.graph.node)
        for kind, part in zip(PARTS, (window, frame, clicks), strict=True)
    }
    whole = onnx.load(shipped.graph(LOCALIZER)).graph.node
    convolutions = sum(node.op_type == "Conv" for node in whole)
    assert count == {WINDOW_PART: 0, FRAME_PART: convolutions, CLICKS_PART: 0}
    assert sum(node.op_type == "Cast" for node in window.graph.node) == len(FEATURES)


def cut_of(nodes, frame_shape, v_shape, answer_shape) -> list[onnx.ModelProto]:
    """The parts of a small localizer of `frame`, `click_xy_px` [N, 2] and `v` in float16."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "localizer",
        [
            value("frame", TensorProto.FLOAT, frame_shape),
            value("click_xy_px", TensorProto.FLOAT, ["clicks", 2]),
            value("v", TensorProto.FLOAT16, v_shape),
        ],
        [value("attention", TensorProto.FLOAT, answer_shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    made = localizer_parts(model.SerializeToString(), "fp32")
    assert list(made) == [f"graphs/fp32/{kind}.onnx" for kind in PARTS]
    return [onnx.load_model_from_string(part) for part in made.values()]


@pytest.mark.parametrize(
    ("nodes", "names"),
    [
        ([("Relu", "frame", "seen"), ("MatMul", "click_xy_px seen", "attention")], "v"),
        ([("Cast", "v", "wide"), ("MatMul", "frame wide", "attention")], "frame"),
    ],
)
def test_a_localizer_without_a_part_of_its_own_for_each_is_refused(nodes, names):
    made = [
        helper.make_node(kind, taken.split(), [given], **({"to": 1} if kind == "Cast" else {}))
        for kind, taken, given in nodes
    ]
    with pytest.raises(ExecutorError, match="cannot be cut in parts") as caught:
        cut_of(made, [2, 5], [5, 7], None)
    assert caught.value.expected == f"something that is computed from {names} alone"


def test_products_with_rows_are_laid_out_anew(tmp_path: Path):
    """q V with V of the window becomes a product with V transposed, of the same value."""
    cut = cut_of(
        [
            helper.make_node("Relu", ["frame"], ["seen"], "relu"),
            helper.make_node("MatMul", ["click_xy_px", "seen"], ["query"], "read"),
            helper.make_node("Cast", ["v"], ["wide"], "cast", to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["query", "wide"], ["attention"], "product"),
        ],
        [2, 5],
        [5, 7],
        ["clicks", 7],
    )
    kinds = [[node.op_type for node in part.graph.node] for part in cut]
    assert kinds == [["Cast", "Transpose"], ["Relu"], ["MatMul", "Gemm"]]
    rng = np.random.default_rng(0)
    frame, clicks = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 5), (3, 2)))
    v = rng.normal(size=(5, 7)).astype(np.float16)
    executors = []
    for number, part in enumerate(cut):
        onnx.save(part, tmp_path / f"{number}.onnx")
        executors.append(OnnxRuntimeExecutor(tmp_path / f"{number}.onnx", "fp32", threads=1))
    found = LocalizerInParts(*executors).run({"frame": frame, "click_xy_px": clicks, "v": v})
    wanted = clicks @ np.maximum(frame, 0) @ v.astype(np.float32)
    np.testing.assert_allclose(found["attention"], wanted, rtol=1e-5, atol=1e-5)
