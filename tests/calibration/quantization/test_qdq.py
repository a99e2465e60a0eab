"""Quantised graphs against plain numpy arithmetic and the reference evaluator of ONNX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from calibration.quantization.policy import sort_convolutions
from calibration.quantization.qdq import Form, quantize_graph
from calibration.quantization.weights import (
    SMALLEST_SCALE,
    quantize_weights,
    scale_up,
)
from edge.errors import CalibrationError
from edge.executors.onnxruntime import OnnxRuntimeExecutor
from tests.support.small_networks import observed_amax, small_inputs, small_network

AMAX = observed_amax()
CHOSEN = [each.name for each in sort_convolutions(small_network()).eligible]


def rounded(values: np.ndarray, amax: float) -> np.ndarray:
    """Symmetric INT8 and back, as TensorRT does it."""
    scale = float(np.float16(amax / 127))
    scale = scale if scale >= amax / 127 else float(np.nextafter(np.float16(scale), np.float16(9)))
    return np.clip(np.rint(values / scale), -128, 127) * scale


def by_hand(inputs: dict[str, np.ndarray], model: onnx.ModelProto) -> np.ndarray:
    """`map` of the TensorRT form in float64, from the definition of each layer."""
    weights = {
        t.name.removeprefix("model."): numpy_helper.to_array(t).astype(np.float64)
        for t in model.graph.initializer
    }

    def conv(x: np.ndarray, name: str, amax: float, groups: int = 1) -> np.ndarray:
        w = weights[f"{name}.weight"]
        w = np.stack([rounded(each, np.abs(each).max()) for each in w])
        x = rounded(x, amax)[0]
        size = w.shape[-1]
        padded = np.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2))
        made = np.zeros((len(w), *x.shape[1:]))
        for row in range(size):
            for column in range(size):
                part = padded[:, row : row + x.shape[1], column : column + x.shape[2]]
                if groups == 1:
                    made += np.einsum("oi,ihw->ohw", w[:, :, row, column], part)
                else:
                    made += w[:, 0, row, column, None, None] * part
        return (made + weights[f"{name}.bias"][:, None, None])[None]

    scaled = inputs["frame"] * 0.5
    stem = conv(scaled, "stem", AMAX["scaled"]).clip(0, 6)
    deep = conv(stem, "blocks.0.depthwise", AMAX["relu6"], 32).clip(0, 6)
    narrow = conv(deep, "blocks.0.project", AMAX["relu6_1"])
    total = narrow + rounded(stem, AMAX["relu6"])
    leaky = np.where(total < 0, 0.1 * total, total)
    side = conv(leaky, "blocks.1.side", AMAX["leaky"])
    return conv(np.concatenate([side, leaky], 1), "embedding", AMAX["joined"])


def run(model: onnx.ModelProto, inputs: dict[str, np.ndarray], form: Form, folder: Path):
    path = folder / f"{form.name}.onnx"
    onnx.save(model, str(path))
    return OnnxRuntimeExecutor(path, form.value, 1).run(inputs)


def test_the_form_of_tensorrt_is_what_numpy_says(tmp_path) -> None:
    """In float32, where nothing else rounds, all is equal but ties at the border of a level."""
    model, inputs = small_network(), small_inputs()
    wanted = by_hand(inputs, model)
    single = quantize_graph(model, AMAX, CHOSEN, Form.TENSORRT)
    found = run(single, inputs, Form.TENSORRT, tmp_path)["map"]
    assert (np.abs(found - wanted) < 1e-4).mean() > 0.95
    half = quantize_graph(small_network(half=True), AMAX, CHOSEN, Form.TENSORRT)
    close = run(half, small_inputs(half=True), Form.TENSORRT, tmp_path)["out_map"]
    plain = ReferenceEvaluator(model).run(["map"], inputs)[0]
    # float16 moves values near a border to the other level: nearer to `wanted` than to no levels
    assert np.abs(close - wanted).mean() < np.abs(close - plain).mean() * 0.75


def test_both_forms_lie_near_the_float_graph(tmp_path) -> None:
    inputs = small_inputs()
    plain = ReferenceEvaluator(small_network()).run(["map", "head"], inputs)
    for form in Form:
        half = form is Form.TENSORRT
        graph = quantize_graph(small_network(half=half), AMAX, CHOSEN, form)
        onnx.checker.check_model(graph, full_check=True)
        found = run(graph, small_inputs(half=half), form, tmp_path)
        for wanted, got in zip(plain, found.values(), strict=True):
            error = np.linalg.norm(got - wanted) / np.linalg.norm(wanted)
            assert 1e-4 < error < 0.06, (form, error)


def test_onnxruntime_computes_every_chosen_convolution_in_integers(tmp_path) -> None:
    import onnxruntime

    graph = quantize_graph(small_network(), AMAX, CHOSEN, Form.ONNXRUNTIME)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 3
    onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    kinds = [n.op_type for n in onnx.load(str(tmp_path / "optimised.onnx")).graph.node]
    # the map that leaves the graph stays float: nothing quantises it
    assert kinds.count("QLinearConv") == len(CHOSEN) - 1
    assert "Clip" not in kinds, "ReLU6 is the range of its result"


def test_a_value_is_quantised_once_for_all_its_readers() -> None:
    """The residual's skip and the depthwise convolution read one copy, so do both of `leaky`."""
    for form, quantised in ((Form.TENSORRT, 5), (Form.ONNXRUNTIME, 7)):
        model = small_network(half=form is Form.TENSORRT)
        graph = quantize_graph(model, AMAX, CHOSEN, form).graph
        made = [n.output[0] for n in graph.node if n.op_type == "QuantizeLinear"]
        assert len(set(made)) == len(made) == quantised, made
        residual = next(n for n in graph.node if n.name == "residual")
        skip = {Form.TENSORRT: "narrow", Form.ONNXRUNTIME: "narrow.dequantized"}[form]
        assert list(residual.input) == [skip, "relu6.dequantized"]
        head = next(n for n in graph.node if n.name == "conv_head")
        assert head.input[1].startswith("model.head.weight"), "the head keeps its float weights"


def test_only_chosen_convolutions_are_touched() -> None:
    graph = quantize_graph(small_network(), AMAX, CHOSEN[:1], Form.TENSORRT).graph
    assert sum(n.op_type == "QuantizeLinear" for n in graph.node) == 1
    names = {t.name for t in graph.initializer}
    assert "model.stem.weight" not in names and "model.stem.weight.quantized" in names
    assert "model.blocks.0.project.weight" in names


def test_scales_are_symmetric_and_hold_the_range() -> None:
    graph = quantize_graph(small_network(half=True), AMAX, CHOSEN, Form.TENSORRT).graph
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            scale, zero = (constants[name] for name in node.input[1:3])
            assert scale.dtype == np.float16 and zero.dtype == np.int8 and not zero.any()
    for name, amax in AMAX.items():
        if f"{name}.scale" in constants:
            assert 127 * np.float64(constants[f"{name}.scale"]) >= amax


def test_weights_and_scales_of_odd_channels() -> None:
    weights = np.zeros((4, 2, 1, 1), np.float32)
    weights[1, :, 0, 0] = 1e-9, -2e-9
    weights[2, :, 0, 0] = 3.0, -1.5
    weights[3, :, 0, 0] = -0.004, 0.001
    found = quantize_weights(weights)
    assert found.scale[0] == found.scale[1] == SMALLEST_SCALE and not found.values[:2].any()
    assert found.values[2].ravel().tolist() == [127, -64] or found.values[2, 0] == 127
    assert np.abs(found.dequantized - weights).max() <= found.scale.max() / 2
    assert np.array_equal(found.scale, found.scale.astype(np.float16).astype(np.float32))
    values = np.random.default_rng(0).uniform(1e-6, 60000, 1000)
    up = scale_up(values)
    assert (up >= values).all() and (up <= values * 1.001 + 2.0**-24).all()
    with pytest.raises(OverflowError, match="no float16"):
        scale_up(np.array(1e6))


def test_a_dead_channel_keeps_its_bias(tmp_path) -> None:
    """Weights of 1e-12 beside a bias of 2: the bias in int32 must not overflow."""
    model = small_network()
    for name, change in (("weight", lambda x: x * 1e-12), ("bias", lambda x: x * 0 + 2.0)):
        tensor = next(t for t in model.graph.initializer if t.name == f"model.stem.{name}")
        value = numpy_helper.to_array(tensor).copy()
        value[3] = change(value[3])
        tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info("relu6.dequantized"))
    graph = quantize_graph(model, {**AMAX, "scaled": 1e-4}, CHOSEN, Form.ONNXRUNTIME)
    bias = next(t for t in graph.graph.initializer if t.name == "model.stem.bias.quantized")
    assert np.abs(numpy_helper.to_array(bias).astype(np.int64)).max() <= 2**30
    found = run(graph, small_inputs(), Form.ONNXRUNTIME, tmp_path)["relu6.dequantized"]
    assert np.allclose(found[0, 3], 2.0, atol=6 / 255)


@pytest.mark.parametrize(
    ("amax", "chosen", "text"),
    [
        ({}, CHOSEN, "there is no range for scaled"),
        ({**AMAX, "scaled": 1e9}, CHOSEN, "range of scaled cannot be a scale"),
        (AMAX, ["model.other.weight"], "lacks convolutions"),
    ],
)
def test_refusals(amax, chosen, text) -> None:
    with pytest.raises(CalibrationError, match=text) as caught:
        quantize_graph(small_network(), amax, chosen, Form.ONNXRUNTIME)
    assert caught.value.do and caught.value.exit_code == 15


def test_a_function_body_follows_the_operator_set_of_its_graph() -> None:
    """A checker of ONNX refuses a body of another one, and TensorRT's graphs have one."""
    from export.plugin.tile_attention_onnx import DOMAIN, tile_attention_body

    model = small_network(half=True)
    model.functions.append(tile_attention_body(True))
    model.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
    onnx.checker.check_model(model)
    made = quantize_graph(model, AMAX, CHOSEN, Form.TENSORRT)
    onnx.checker.check_model(made)
    (body,) = made.functions
    assert {each.domain: each.version for each in body.opset_import}[""] == 19
    assert body.node == model.functions[0].node
