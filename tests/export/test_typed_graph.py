"""The float16 types of a graph: small graphs by hand, and what the policy makes of them."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.errors import ExecutorError
from export.graph_types import element_types
from export.precision import HEAVY, POLICY, Kept
from export.type_report import report_types
from export.typed_graph import to_float16

IMAGE = [1, 4, 6, 6]
WEIGHT = (np.random.default_rng(0).normal(size=(4, 4, 1, 1)) * 0.3).astype(np.float32)


def graph(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int]],
    outputs: dict[str, int],
    constants: dict[str, np.ndarray] | None = None,
) -> onnx.ModelProto:
    values = constants or {}
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
            [helper.make_tensor_value_info(n, t, None) for n, t in outputs.items()],
            [numpy_helper.from_array(v, n) for n, v in values.items()],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    return onnx.shape_inference.infer_shapes(model)


def typed(model: onnx.ModelProto) -> tuple[dict[str, str], list[str]]:
    """The types of a converted graph by value, and its operators."""
    to_float16(model)
    onnx.checker.check_model(model, full_check=True)
    names = {TensorProto.FLOAT: "single", TensorProto.FLOAT16: "half"}
    types = {name: names.get(kind, "other") for name, kind in element_types(model).items()}
    return types, [node.op_type for node in model.graph.node]


def node(op: str, *names: str, **attributes: object) -> onnx.NodeProto:
    """The last name is the output."""
    return helper.make_node(op, names[:-1], names[-1:], **attributes)


def test_convolutions_and_residual_sums_are_float16_with_two_casts() -> None:
    nodes = [
        node("Conv", "x", "w", "a"),
        node("Relu", "a", "b"),
        node("Conv", "b", "w", "c"),
        node("Add", "b", "c", "y"),
    ]
    model = graph(nodes, {"x": IMAGE}, {"y": TensorProto.FLOAT}, {"w": WEIGHT})
    before = onnx.ModelProto()
    before.CopyFrom(model)
    types, ops = typed(model)
    assert [types[name] for name in "abc"] == ["half"] * 3
    assert ops == ["Cast", "Conv", "Relu", "Conv", "Add", "Cast"]
    assert types["y"] == "single"
    x = np.random.default_rng(1).normal(size=IMAGE).astype(np.float32)
    wanted, found = (
        onnxruntime.InferenceSession(m.SerializeToString()).run(None, {"x": x})[0]
        for m in (before, model)
    )
    np.testing.assert_allclose(found, wanted, atol=1e-2)
    assert not np.array_equal(found, wanted)


def test_normalisation_is_float32_from_its_square_to_its_product() -> None:
    nodes = [
        node("Conv", "x", "w", "a"),
        node("Mul", "a", "a", "square"),
        node("ReduceSum", "square", "axes", "sum", keepdims=1),
        node("Sqrt", "sum", "root"),
        node("Div", "a", "root", "unit"),
        node("Cast", "unit", "y", to=TensorProto.FLOAT16),
    ]
    constants = {"w": WEIGHT * 3000, "axes": np.array([1])}
    model = graph(nodes, {"x": IMAGE}, {"y": TensorProto.FLOAT16}, constants)
    types, ops = typed(model)
    assert types["a"] == "half"
    assert {types[name] for name in ("square", "sum", "root", "unit")} == {"single"}
    assert ops.count("Cast") == 3  # into the convolution, out of it once for all, and the output's
    x = np.ones(IMAGE, np.float32)
    unit = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    np.testing.assert_allclose((unit.astype(np.float32) ** 2).sum(1), 1, atol=1e-2)


def test_products_of_clicks_alone_stay_float32() -> None:
    nodes = [node("MatMul", "click_xy_px", "frame_affine", "y")]
    model = graph(nodes, {"click_xy_px": [5, 2], "frame_affine": [2, 2]}, {"y": TensorProto.FLOAT})
    types, ops = typed(model)
    assert ops == ["MatMul"] and types["y"] == "single"


def test_a_cosine_whose_minimum_is_taken_stays_float32() -> None:
    nodes = [
        node("MatMul", "q", "v", "s"),
        node("Reshape", "s", "shape", "map"),
        node("ReduceMin", "map", "low"),
        node("MatMul", "s", "v2", "t"),
        node("Sub", "map", "low", "y"),
    ]
    sizes = {"q": [2, 4], "v": [4, 9], "v2": [9, 3]}
    outputs = {"y": TensorProto.FLOAT, "t": TensorProto.FLOAT}
    model = graph(nodes, sizes, outputs, {"shape": np.array([2, 3, 3])})
    types, _ = typed(model)
    assert types["s"] == types["low"] == "single"
    assert types["s_float16"] == "half"  # the other product reads it in float16


def test_a_stored_feature_goes_on_in_float16() -> None:
    model = graph(
        [node("Cast", "v", "wide", to=TensorProto.FLOAT), node("Conv", "wide", "w", "y")],
        {"v": IMAGE},
        {"y": TensorProto.FLOAT},
        {"w": WEIGHT},
    )
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    _, ops = typed(model)
    assert ops == ["Conv", "Cast"]


def test_weights_that_are_turned_are_stored_turned_and_in_float16() -> None:
    weight = WEIGHT[:, :, 0, 0]
    nodes = [node("Transpose", "w", "turned", perm=[1, 0]), node("MatMul", "x", "turned", "y")]
    model = graph(nodes, {"x": [3, 4]}, {"y": TensorProto.FLOAT}, {"w": weight})
    _, ops = typed(model)
    assert ops == ["Cast", "MatMul", "Cast"]
    (stored,) = model.graph.initializer
    assert stored.data_type == TensorProto.FLOAT16
    np.testing.assert_allclose(numpy_helper.to_array(stored), weight.T, atol=1e-3)


def test_an_operator_without_a_rule_is_refused() -> None:
    model = graph([node("Acosh", "x", "y")], {"x": [2]}, {"y": TensorProto.FLOAT})
    with pytest.raises(ExecutorError, match="no rule says which type Acosh runs in") as caught:
        to_float16(model)
    assert "add it to the policy with its reason" in str(caught.value)


def test_a_constant_beyond_float16_is_refused() -> None:
    nodes = [node("Conv", "x", "w", "y")]
    model = graph(nodes, {"x": IMAGE}, {"y": TensorProto.FLOAT}, {"w": WEIGHT * 1e6})
    with pytest.raises(ExecutorError, match="the constant w does not fit float16"):
        to_float16(model)


def test_a_float32_graph_fails_the_report(tmp_path) -> None:
    nodes = [node("Conv", "x", "w", "y")]
    model = graph(nodes, {"x": IMAGE}, {"y": TensorProto.FLOAT}, {"w": WEIGHT})
    onnx.save(model, tmp_path / "single.onnx")
    report = report_types(tmp_path / "single.onnx")
    assert report.heavy == {("Conv", "float32"): 1}
    with pytest.raises(ExecutorError, match="0%: 1 Conv float32; 0 custom") as caught:
        report.check()
    assert "single.onnx" in caught.value.what
    assert caught.value.expected == "95% of Conv, ConvTranspose, MatMul, Gemm in float16"


def test_every_rule_has_a_reason_and_names_operators_of_onnx() -> None:
    custom = {"TileAttention", "CrossAttention"}
    known = {schema.name for schema in onnx.defs.get_all_schemas()} | custom
    for rule in POLICY:
        assert len(rule.reason) > 20, rule.name
        assert set(rule.ops) <= known, rule.name
    heavy = [rule for rule in POLICY if rule.kept is Kept.HALF]
    assert [rule.ops for rule in heavy] == [("CrossAttention",), HEAVY]


def test_a_floor_that_would_become_zero_is_refused() -> None:
    nodes = [node("Conv", "x", "w", "a"), node("Max", "a", "floor", "y")]
    constants = {"w": WEIGHT, "floor": np.float32([1e-12])}
    model = graph(nodes, {"x": IMAGE}, {"y": TensorProto.FLOAT}, constants)
    with pytest.raises(ExecutorError, match="the constant floor becomes 0 in float16"):
        to_float16(model)


def test_constants_of_every_form_are_folded() -> None:
    nodes = [
        helper.make_node("Constant", [], ["two"], value_float=2.0),
        helper.make_node("Constant", [], ["shape"], value_ints=[1, 4, 36]),
        node("Conv", "x", "w", "a"),
        node("Mul", "a", "two", "b"),
        node("Reshape", "b", "shape", "y"),
    ]
    model = graph(nodes, {"x": IMAGE}, {"y": TensorProto.FLOAT}, {"w": WEIGHT})
    _, ops = typed(model)
    assert "Constant" not in ops
    x = np.ones(IMAGE, np.float32)
    found = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    wanted = 2 * WEIGHT[:, :, 0, 0].sum(1)
    np.testing.assert_allclose(found[0], np.repeat(wanted[:, None], 36, 1), rtol=2e-3, atol=2e-3)


def test_onnx_runtime_sums_a_float16_softmax_in_float32() -> None:
    """What the policy leaves to the runtime: in float16 the sum of 8,192 ones stops at 2,048."""
    model = graph([node("Softmax", "x", "y", axis=1)], {"x": [1, 8192]}, {"y": TensorProto.FLOAT})
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    x = np.zeros((1, 8192), np.float16)
    found = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    np.testing.assert_allclose(found.astype(np.float64) * 8192, 1, rtol=1e-3)
