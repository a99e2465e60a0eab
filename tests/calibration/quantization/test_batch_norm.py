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
