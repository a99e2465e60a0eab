"""Products of 8-bit numbers in ONNX Runtime are exact, on a processor with VNNI and without."""

from __future__ import annotations

import platform

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.executors import onnxruntime as executors
from edge.executors.onnxruntime import (
    EXACT_PRODUCTS,
    UNFUSED,
    OnnxRuntimeExecutor,
    int8_settings,
)
from edge.machine import dot_flag

CHANNELS = 64
STEP = np.float32(CHANNELS * 255 * 127 / 200)  # of the sums, so that they fit in eight bits


@pytest.fixture
def graph(tmp_path):
    """A 1x1 convolution with Q/DQ around it, whose pairs of products do not fit in int16."""
    random = np.random.default_rng(0)
    weight = random.integers(96, 128, (32, CHANNELS, 1, 1), np.int8)
    constants = {
        "one": np.float32(1.0),
        "zero": np.uint8(0),
        "weight": weight,
        "weight_zero": np.int8(0),
        "step": STEP,
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "one", "zero"], ["x_q"]),
        helper.make_node("DequantizeLinear", ["x_q", "one", "zero"], ["x_f"]),
        helper.make_node("DequantizeLinear", ["weight", "one", "weight_zero"], ["weight_f"]),
        helper.make_node("Conv", ["x_f", "weight_f"], ["sums"], kernel_shape=[1, 1]),
        helper.make_node("QuantizeLinear", ["sums", "step", "zero"], ["y_q"]),
        helper.make_node("DequantizeLinear", ["y_q", "step", "zero"], ["y"]),
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "products",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, CHANNELS, 8, 8])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 32, 8, 8])],
            [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=9,
    )
    path = tmp_path / "products.onnx"
    onnx.save(model, path)
    x = random.integers(192, 256, (1, CHANNELS, 8, 8)).astype(np.float32)
    sums = np.einsum("oc,bchw->bohw", weight[..., 0, 0].astype(np.int64), x.astype(np.int64))
    return path, x, np.rint(sums / STEP).astype(np.float32) * STEP


def test_the_products_are_of_8_bit_numbers(graph, tmp_path):
    path, _, _ = graph
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    fused = {node.op_type for node in onnx.load(tmp_path / "fused.onnx").graph.node}
    assert "QLinearConv" in fused and "Conv" not in fused


@pytest.mark.skipif(
    dot_flag() is not None or platform.machine() != "x86_64", reason="products are exact unasked"
)
def test_sums_saturate_where_nobody_asks(graph, monkeypatch):
    path, x, wanted = graph
    monkeypatch.setattr(executors, "int8_settings", lambda precision, vnni: ())
    found = OnnxRuntimeExecutor(path, "int8+fp32", threads=1).run({"x": x})["y"]
    assert (found < wanted).all()


@pytest.mark.parametrize("vnni", ["as here", None])
def test_sums_that_saturate_in_int16_are_exact(graph, monkeypatch, vnni):
    path, x, wanted = graph
    if vnni is None:
        monkeypatch.setattr(executors, "dot_flag", lambda: None)
    found = OnnxRuntimeExecutor(path, "int8+fp32", threads=1).run({"x": x})["y"]
    assert wanted.min() > CHANNELS / 2 * 32767  # what pairs reach that end at int16's largest
    np.testing.assert_array_equal(found, wanted)


def test_a_processor_with_vnni_is_not_told_to_be_exact():
    assert int8_settings("int8+fp32", None) == (EXACT_PRODUCTS,)
    assert int8_settings("int8+fp32", "avx512_vnni") == ()
    assert int8_settings("int8+fp16", None) == int8_settings("int8+fp16", "avx_vnni") == (UNFUSED,)
    assert int8_settings("fp32", None) == ()


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ("fpu avx2 avx512_vnni avx_vnni", "avx512_vnni"),
        ("avx2 avx_vnni", "avx_vnni"),
        ("avx2 avx512f my_avx_vnni2", None),
        ("avx2 avx_vnni avx512f avx512bw avx512vl", None),  # kernels of AVX-512 go before it
    ],
)
def test_the_flag_is_read(tmp_path, flags, found):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t: none\n")
    assert dot_flag(tmp_path) == found


def test_who_does_not_say_has_none(tmp_path):
    assert dot_flag(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor\t: 0\nFeatures\t: fp asimd asimddp\n")
    assert dot_flag(tmp_path) is None
