"""Equalisation leaves the function as it is; bias correction takes off what rounding added."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from calibration.quantization.bias_correction import bias_shifts, channel_means, shift_biases
from calibration.quantization.convolutions import convolutions
from calibration.quantization.equalization import Pair, equalise, equalising_scales, pairs_of
from calibration.quantization.qdq import Form, quantize_graph
from calibration.quantization.weights import quantize_weights
from calibration.ranges.observing import Feed
from edge.errors import CalibrationError
from tests.support.small_networks import small_network


def chain(activation: str | None, depthwise: bool = False, half: bool = False) -> onnx.ModelProto:
    """frame [1, 3, 6, 6] -> conv to 8 of very different channels -> activation -> conv."""
    rng = np.random.default_rng(4)
    kind = np.float16 if half else np.float32
    suffix = "_float16" if half else ""
    spread = np.logspace(-2, 1, 8).reshape(8, 1, 1, 1)
    second = (8, 1, 3, 3) if depthwise else (5, 8, 1, 1)
    values = {
        "model.a.weight": rng.normal(0, 1, (8, 3, 1, 1)) * spread,
        "model.a.bias": rng.normal(0, 1, 8) * spread.ravel(),
        "model.b.weight": rng.normal(0, 1, second),
    }
    names = {name: name + suffix for name in values}
    attributes = {"group": 8, "pads": [1, 1, 1, 1]} if depthwise else {}
    given = [names["model.a.weight"], names["model.a.bias"]]
    nodes = [helper.make_node("Conv", ["frame", *given], ["first"])]
    source = "first"
    if activation:
        nodes.append(helper.make_node(activation, ["first"], ["active"]))
        source = "active"
    nodes.append(helper.make_node("Conv", [source, names["model.b.weight"]], ["map"], **attributes))
    element = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("frame", element, [1, 3, 6, 6])],
        [helper.make_tensor_value_info("map", element, [1, second[0], 6, 6])],
        [numpy_helper.from_array(v.astype(kind), names[k]) for k, v in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


FRAME = np.random.default_rng(5).normal(1, 1, (1, 3, 6, 6)).astype(np.float32)


@pytest.mark.parametrize("activation", [None, "Relu", "LeakyRelu"])
@pytest.mark.parametrize("depthwise", [False, True])
def test_equalising_changes_no_answer(activation, depthwise) -> None:
    model = chain(activation, depthwise)
    pair = Pair("model.a.weight", "model.b.weight")
    assert pairs_of(model) == (pair,)
    scales = equalising_scales(model)
    changed = equalise(model, scales)
    before, after = (ReferenceEvaluator(m).run(None, {"frame": FRAME})[0] for m in (model, changed))
    assert np.allclose(before, after, rtol=1e-4, atol=1e-4 * np.abs(before).max())
    weights = {t.name: numpy_helper.to_array(t) for t in changed.graph.initializer}
    first = np.abs(weights["model.a.weight"]).max((1, 2, 3))
    second = weights["model.b.weight"]
    second = np.abs(second).max((1, 2, 3)) if depthwise else np.abs(second).max((0, 2, 3))
    free = (scales[pair] < 31.9) & (scales[pair] > 1 / 31.9)
    assert free.sum() >= 6 and np.allclose(first[free], second[free], rtol=1e-4)


def test_the_float16_graph_takes_the_scales_of_the_float32_one() -> None:
    scales = equalising_scales(chain("Relu"))
    half = equalise(chain("Relu", half=True), scales)
    kinds = {numpy_helper.to_array(t).dtype for t in half.graph.initializer}
    assert kinds == {np.dtype(np.float16)}
    before = ReferenceEvaluator(chain("Relu")).run(None, {"frame": FRAME})[0]
    after = ReferenceEvaluator(half).run(None, {"frame": FRAME.astype(np.float16)})[0]
    assert np.linalg.norm(after - before) < 0.01 * np.linalg.norm(before)


def test_relu6_residuals_and_outputs_are_left_alone() -> None:
    """Of the small network: a Clip, a sum that is read twice, a map that leaves the graph."""
    assert pairs_of(small_network()) == ()
    model = chain(None)
    model.graph.output.append(helper.make_empty_tensor_value_info("first"))
    assert pairs_of(model) == ()


def test_a_bias_that_another_convolution_reads_is_left_alone() -> None:
    model = chain("Relu")
    assert len(pairs_of(model)) == 1
    third = np.ones((8, 3, 1, 1), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(third, "model.c.weight"))
    given = ["frame", "model.c.weight", "model.a.bias"]
    model.graph.node.append(helper.make_node("Conv", given, ["other"]))
    model.graph.output.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, None))
    assert pairs_of(model) == ()


def test_equalising_helps_where_channels_differ() -> None:
    model = chain("Relu")
    changed = equalise(model, equalising_scales(model))
    plain = ReferenceEvaluator(model).run(None, {"frame": FRAME})[0]
    errors = []
    for each in (model, changed):
        run = ReferenceEvaluator(each)
        amax = dict(
            zip(
                ("first", "active", "frame", "map"),
                (
                    float(np.abs(x).max())
                    for x in run.run(["first", "active", "frame", "map"], {"frame": FRAME})
                ),
                strict=True,
            )
        )
        names = [c.name for c in convolutions(each)]
        graph = quantize_graph(each, amax, names, Form.TENSORRT)
        answer = ReferenceEvaluator(graph).run(["map"], {"frame": FRAME})[0]
        errors.append(np.linalg.norm(answer - plain) / np.linalg.norm(plain))
    assert errors[1] < 0.7 * errors[0], errors


@pytest.mark.parametrize("depthwise", [False, True])
def test_bias_correction_takes_off_the_mean_error(depthwise) -> None:
    model = chain("Relu", depthwise)
    rng = np.random.default_rng(6)
    frames = [rng.normal(1, 1, (1, 3, 6, 6)).astype(np.float32) for _ in range(40)]
    feeds = [
        Feed(str(n), str(n), lambda x=x: {"frame": x, "unused": x}) for n, x in enumerate(frames)
    ]
    chosen = [c for c in convolutions(model) if c.name == "model.a.weight"]
    means = channel_means(model, chosen, feeds)
    stacked = np.concatenate(frames)
    assert np.allclose(means["model.a.weight"], stacked.mean((0, 2, 3)), atol=1e-5)
    shifts = bias_shifts(model, means)
    rounded = onnx.ModelProto()
    rounded.CopyFrom(model)
    weights = next(t for t in rounded.graph.initializer if t.name == "model.a.weight")
    values = quantize_weights(numpy_helper.to_array(weights)).dequantized
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))

    def mean(graph: onnx.ModelProto) -> np.ndarray:
        run = ReferenceEvaluator(graph)
        return np.mean([run.run(["first"], {"frame": x})[0].mean((0, 2, 3)) for x in frames], 0)

    exact = mean(model)
    off = np.abs(mean(rounded) - exact)
    corrected = np.abs(mean(shift_biases(rounded, shifts)) - exact)
    assert off.max() > 1e-3 and corrected.max() < off.max() / 100


def test_a_convolution_without_a_bias_gets_one() -> None:
    model = chain(None)
    shifted = shift_biases(model, {"model.b.weight": np.arange(5, dtype=np.float32)})
    before, after = (ReferenceEvaluator(m).run(None, {"frame": FRAME})[0] for m in (model, shifted))
    assert np.allclose((after - before)[0, :, 0, 0], np.arange(5), atol=1e-4)
    onnx.checker.check_model(shifted)


def test_a_bias_that_two_convolutions_read_is_shifted_for_one_of_them() -> None:
    model = chain(None)
    b = next(node for node in model.graph.node if node.input[1] == "model.b.weight")
    shared = numpy_helper.from_array(np.zeros(5, np.float32), "zeros")
    model.graph.initializer.append(shared)
    b.input.append("zeros")
    twin = helper.make_node("Conv", [b.input[0], "model.c.weight", "zeros"], ["other"])
    weights = next(t for t in model.graph.initializer if t.name == "model.b.weight")
    third = numpy_helper.from_array(numpy_helper.to_array(weights), "model.c.weight")
    model.graph.initializer.append(third)
    model.graph.node.append(twin)
    model.graph.output.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, None))
    shifted = shift_biases(model, {"model.b.weight": np.ones(5, np.float32)})
    one, other = ReferenceEvaluator(shifted).run(["map", "other"], {"frame": FRAME})
    assert np.allclose(one - other, 1, atol=1e-4)


def test_grouped_convolutions_take_the_means_of_their_groups() -> None:
    weights = np.random.default_rng(7).normal(0, 1, (4, 3, 1, 1)).astype(np.float32)
    node = helper.make_node("Conv", ["frame", "model.g.weight"], ["map"], group=2)
    graph = helper.make_graph(
        [node],
        "grouped",
        [helper.make_tensor_value_info("frame", TensorProto.FLOAT, [1, 6, 2, 2])],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, [1, 4, 2, 2])],
        [numpy_helper.from_array(weights, "model.g.weight")],
    )
    model = helper.make_model(graph)
    mean = np.arange(1.0, 7.0, dtype=np.float32)
    error = (quantize_weights(weights).dequantized - weights)[:, :, 0, 0]
    wanted = [-(error[o] * mean[3 * (o // 2) : 3 * (o // 2) + 3]).sum() for o in range(4)]
    assert np.allclose(bias_shifts(model, {"model.g.weight": mean})["model.g.weight"], wanted)


def test_no_images_are_an_error() -> None:
    model = chain(None)
    with pytest.raises(CalibrationError, match="without images"):
        channel_means(model, convolutions(model), [])
