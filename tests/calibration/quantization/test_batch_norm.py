"""A batch norm that a convolution could hold is refused; what only looks like one is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from calibration.calibrate import open_float
from calibration.quantization.batch_norm import check_folded, unfolded_norms
from calibration.quantization.int8_graphs import check_floats
from calibration.quantization.policy import sort_convolutions
from calibration.quantization.qdq import Form, quantize_graph
from edge.errors import CalibrationError
from tests.support.small_graphs import small_bundle
from tests.support.small_networks import observed_amax, small_inputs, small_network

WIDE = 32  # channels behind the first convolution


def with_nodes(value: str, made: list[tuple[str, tuple[int, ...]]]) -> onnx.ModelProto:
    """The small network with operations by drawn constants put behind one of its values.

    Args:
        value: who reads it reads the last of them instead.
        made: operation and shape of its constant, in their order.
    """
    model = small_network()
    random = np.random.default_rng(9)
    nodes, source = list(model.graph.node), value
    at = next(n for n, node in enumerate(nodes) if value in node.output) + 1
    added = []
    for number, (op, shape) in enumerate(made):
        count = 4 if op == "BatchNormalization" else 1
        names = [f"{op}_{number}.{index}" for index in range(count)]
        for name in names:
            drawn = random.uniform(0.5, 1.5, shape).astype(np.float32)
            model.graph.initializer.append(numpy_helper.from_array(drawn, name))
        added.append(helper.make_node(op, [source, *names], [f"{op}_{number}"], name=f"n{number}"))
        source = f"{op}_{number}"
    for node in nodes:
        node.input[:] = [source if name == value else name for name in node.input]
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:at], *added, *nodes[at:]])
    onnx.checker.check_model(model)
    return model


NORM = [("BatchNormalization", (WIDE,))]
SCALE, SHIFT = ("Mul", (1, WIDE, 1, 1)), ("Add", (WIDE, 1, 1))


@pytest.mark.parametrize(
    ("value", "made", "text"),
    [
        ("expanded", NORM, "1: BatchNormalization n0 behind model.stem.weight"),
        ("narrow", NORM, "behind model.blocks.0.project.weight"),
        ("expanded", [SCALE, SHIFT], "Mul and a shift, by constants of 32 channels"),
        ("expanded", [("Div", (1, WIDE, 1, 1)), ("Sub", (1, WIDE, 1, 1))], "Div and a shift"),
    ],
)
def test_what_a_convolution_could_hold_is_refused(value, made, text) -> None:
    with pytest.raises(CalibrationError, match="was not folded") as caught:
        check_folded(with_nodes(value, made), "the graph")
    assert text in caught.value.found
    assert "tilefix export" in caught.value.do and caught.value.expected


@pytest.mark.parametrize(
    ("value", "made"),
    [
        ("sum", NORM),  # of a sum: a normalisation, float by policy
        ("expanded", [SHIFT]),
        ("expanded", [SCALE]),
        ("expanded", [("Mul", (1, 1, 12, 12)), ("Add", (1, 1, 12, 12))]),  # by place
        ("expanded", [("Mul", (1,)), ("Add", (1,))]),
    ],
)
def test_what_no_convolution_could_hold_is_left(value, made) -> None:
    model = with_nodes(value, made)
    check_folded(model, "the graph")
    assert len(sort_convolutions(model).eligible) == 5


def with_norm_and_other_reader(copied: bool) -> onnx.ModelProto:
    """`narrow` is normalised for the addition, and read as it is by a second one.

    Args:
        copied: the second reader has a convolution of its own, as the error advises.
    """
    model = with_nodes("narrow", NORM)
    nodes = list(model.graph.node)
    source = "narrow"
    if copied:
        conv = next(node for node in nodes if "narrow" in node.output)
        twin = onnx.NodeProto()
        twin.CopyFrom(conv)
        twin.output[:], twin.name, source = ["twin"], "conv_twin", "twin"
        twin.input[1:] = [f"{name}.twin" for name in conv.input[1:]]
        for tensor in [t for t in model.graph.initializer if t.name in conv.input]:
            copy = numpy_helper.from_array(numpy_helper.to_array(tensor), f"{tensor.name}.twin")
            model.graph.initializer.append(copy)
        nodes.insert(nodes.index(conv) + 1, twin)
    at = next(n for n, node in enumerate(nodes) if node.name == "residual")
    second = helper.make_node("Add", ["sum", source], ["twice"], name="second")
    for node in nodes:
        node.input[:] = ["twice" if name == "sum" else name for name in node.input]
    nodes.insert(at + 1, second)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model


def test_one_beside_another_reader_is_refused_with_advice_that_works(tmp_path) -> None:
    model = with_norm_and_other_reader(copied=False)
    with pytest.raises(CalibrationError, match="was not folded") as caught:
        check_folded(model, "the graph")
    error = caught.value
    assert error.found.endswith("behind model.blocks.0.project.weight, which Add second reads too")
    assert "a copy of the convolution" in error.do and "ONNX Runtime" not in error.do
    folded = folded_by_onnxruntime(model, tmp_path / "same.onnx")
    assert len(unfolded_norms(folded)) == 1, "what is advised otherwise does not help here"
    copied = with_norm_and_other_reader(copied=True)
    (found,) = unfolded_norms(copied)
    assert found.other_reader == ""
    assert unfolded_norms(folded_by_onnxruntime(copied, tmp_path / "copied.onnx")) == ()


def test_a_graphs_output_is_another_reader_too() -> None:
    model = with_nodes("narrow", NORM)
    model.graph.output.append(helper.make_tensor_value_info("narrow", 1, [1, WIDE, 12, 12]))
    (found,) = unfolded_norms(model)
    assert found.other_reader == "the output narrow"


@pytest.mark.parametrize("made", [NORM, [SCALE, SHIFT]])
def test_one_behind_a_cast_is_seen(made, tmp_path) -> None:
    """As a float16 graph has it whose normalisations were kept in float32."""
    model = with_nodes("expanded", made)
    at = next(n for n, node in enumerate(model.graph.node) if node.name == "n0")
    first = model.graph.node[at]
    first.input[0] = "wide"
    casts = [
        helper.make_node("Cast", ["expanded"], ["short"], to=onnx.TensorProto.FLOAT16),
        helper.make_node("Cast", ["short"], ["wide"], to=onnx.TensorProto.FLOAT),
    ]
    for each in reversed(casts):
        model.graph.node.insert(at, each)
    onnx.checker.check_model(model)
    with pytest.raises(CalibrationError, match="was not folded") as caught:
        check_folded(model, "the graph")
    assert caught.value.found.endswith("behind model.stem.weight and a Cast")
    assert caught.value.do.endswith("so do it in float32, before types are changed")
    folded = folded_by_onnxruntime(model, tmp_path / "folded.onnx")
    assert len(unfolded_norms(folded)) == 1, "so it has to be done before"


def test_a_bundle_with_one_is_refused_before_any_work(tiny, tmp_path) -> None:
    """In either precision; as small as the bundle is, its weights need not be read."""
    plain = small_bundle(tmp_path / "plain", tiny.tiny_manifest())
    check_floats(plain)
    for name in ("fp32/localizer", "fp16/reference_encoder"):
        model = onnx.load(str(plain.path / "graphs" / f"{name}.onnx"))
        first = next(node for node in model.graph.node if node.op_type == "Conv")
        kind = np.float16 if name.startswith("fp16") else np.float32
        for index in range(4):
            ones = numpy_helper.from_array(np.ones(16, kind), f"norm{index}")
            model.graph.initializer.append(ones)
        given = [first.output[0], *(f"norm{index}" for index in range(4))]
        for node in model.graph.node:
            node.input[:] = ["normed" if x == first.output[0] else x for x in node.input]
        at = list(model.graph.node).index(first) + 1
        model.graph.node.insert(at, helper.make_node("BatchNormalization", given, ["normed"]))
        made = {name: model.SerializeToString()}
        bundle = small_bundle(tmp_path / name.replace("/", "-"), tiny.tiny_manifest(), made)
        with pytest.raises(CalibrationError, match="was not folded") as caught:
            open_float(bundle.path)
        assert f"graphs/{name}.onnx" in caught.value.what and caught.value.exit_code == 15


def folded_by_onnxruntime(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """What the error advises."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return onnx.load(str(path))


@pytest.mark.parametrize("made", [NORM, [SCALE, SHIFT]])
def test_the_advice_folds_it_and_then_nothing_float_is_left_between(made, tmp_path) -> None:
    model = with_nodes("expanded", made)
    folded = folded_by_onnxruntime(model, tmp_path / "folded.onnx")
    assert len(unfolded_norms(model)) == 1 and unfolded_norms(folded) == ()
    answers = [
        onnxruntime.InferenceSession(each.SerializeToString()).run(["map"], small_inputs())[0]
        for each in (model, folded)
    ]
    assert np.allclose(*answers, atol=1e-4 * np.abs(answers[0]).max())
    chosen = [each.name for each in sort_convolutions(folded).eligible]
    assert len(chosen) == 5
    ranges = {**observed_amax(), **dict.fromkeys(_made(folded), 9.0)}
    int8 = quantize_graph(folded, ranges, chosen, Form.TENSORRT)
    float_ops = {node.op_type for node in int8.graph.node}
    assert "BatchNormalization" not in float_ops
    assert sum(node.op_type == "Mul" for node in int8.graph.node) == 2, "the gain and the gate"


def _made(model: onnx.ModelProto) -> list[str]:
    return [name for node in model.graph.node for name in node.output]
