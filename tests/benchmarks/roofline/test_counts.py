"""Multiply-accumulates and bytes against what operators really do, on graphs small enough to know.

An operator over ones adds up one for each multiply-accumulate: run by ONNX Runtime, the sum of its
answer is their number.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.roofline.counts import count_graph
from benchmarks.roofline.shapes import value_of
from edge.errors import BenchmarkError, BundleError
from export.plugin.tile_attention_onnx import tile_attention_body

FLOAT = TensorProto.FLOAT


def value(name: str, shape, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def written(path: Path, nodes, inputs, outputs, weights=None, functions=()) -> Path:
    tensors = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(nodes, "made", inputs, outputs, tensors)
    domains = [helper.make_opsetid("", 18), helper.make_opsetid("tilefix", 1)]
    model = helper.make_model(graph, opset_imports=domains, functions=list(functions), ir_version=9)
    onnx.save(model, str(path))
    return path


def summed(path: Path, **fed: np.ndarray) -> float:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return float(session.run(None, fed)[0].sum())


def node(op: str, inputs: int = 2, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, ["x", "w", "b"][:inputs], ["y"], **attributes)


@pytest.mark.parametrize(
    ("made", "x_shape", "w_shape"),
    [
        pytest.param(node("Conv"), (1, 3, 9, 11), (5, 3, 3, 3), id="plain"),
        pytest.param(node("Conv", group=6), (2, 6, 9, 9), (6, 1, 3, 3), id="depthwise"),
        pytest.param(node("Conv", group=2), (1, 6, 8, 8), (4, 3, 3, 1), id="grouped"),
        pytest.param(
            node("Conv", strides=[2, 3], dilations=[1, 2]), (1, 2, 9, 16), (4, 2, 3, 3), id="apart"
        ),
        pytest.param(
            node("ConvTranspose", strides=[2, 2]), (1, 4, 5, 6), (4, 3, 3, 3), id="transposed"
        ),
        pytest.param(
            node("ConvTranspose", group=2), (2, 4, 5, 6), (4, 3, 2, 2), id="transposed, grouped"
        ),
        pytest.param(node("MatMul"), (2, 7, 5), (5, 3), id="batch of products"),
        pytest.param(node("MatMul"), (4, 1, 7, 5), (3, 5, 2), id="broadcast"),
        pytest.param(node("MatMul"), (6,), (6, 4), id="vector"),
        pytest.param(node("Gemm", transB=1), (4, 6), (3, 6), id="gemm"),
        pytest.param(node("Gemm", transA=1), (6, 4), (6, 3), id="gemm, transposed"),
    ],
)
def test_an_operator_over_ones_adds_up_its_multiply_accumulates(tmp_path, made, x_shape, w_shape):
    path = written(
        tmp_path / "g.onnx",
        [made],
        [value("x", x_shape)],
        [value("y", None)],
        {"w": np.ones(w_shape, np.float32)},
    )
    shapes = onnx.shape_inference.infer_shapes(onnx.load(str(path))).graph.output
    graph = onnx.load(str(path))
    graph.graph.output[0].CopyFrom(shapes[0])
    onnx.save(graph, str(path))
    found = count_graph(path, 1)
    assert found.macs == summed(path, x=np.ones(x_shape, np.float32))
    assert found.weight_bytes == 4 * np.prod(w_shape)
    assert found.input_bytes == 4 * np.prod(x_shape)


def test_a_product_of_whole_numbers_counts_as_one_of_floats(tmp_path):
    path = written(
        tmp_path / "g.onnx",
        [node("MatMulInteger")],
        [value("x", (4, 6), TensorProto.UINT8)],
        [value("y", (4, 3), TensorProto.INT32)],
        {"w": np.ones((6, 3), np.int8)},
    )
    found = count_graph(path, 1)
    assert found.macs == summed(path, x=np.ones((4, 6), np.uint8)) == 72
    assert (found.weight_bytes, found.input_bytes, found.output_bytes) == (18, 24, 48)


def attention_graph(path: Path, depth=8, hidden=4, anchors=3, grid=(5, 7)) -> Path:
    shapes = {
        "query": ("clicks", depth),
        "v": (depth, *grid),
        "u": (hidden, *grid),
        "channels": (hidden, 3),
        "confidence": (anchors, hidden),
        "boxes": (anchors, 4, hidden),
        "anchors": (anchors, 8),
        "prior_xy_px": ("clicks", 2),
        "prior_inv_var": ("clicks",),
    }
    answers = ("box_xyxy_px", "confidence_logit", "peak", "second", "cell")
    settings = dict.fromkeys(
        ("gate_offset", "gate_slope", "click_var", "centre_var", "floor_var_px2"), 0.0
    )
    one = helper.make_node(
        "TileAttention",
        list(shapes),
        list(answers),
        domain="tilefix",
        **settings,
        stride_px=16.0,
        log_size_limit=4.0,
        min_max=0,
        attention=0,
    )
    return written(
        path,
        [one],
        [value(name, shape) for name, shape in shapes.items()],
        [value("box_xyxy_px", ("clicks", 4)), *(value(n, ("clicks",)) for n in answers[1:])],
        functions=[tile_attention_body(attention=False)],
    )


@pytest.mark.parametrize("clicks", [1, 6])
def test_a_tile_attention_counts_by_its_meaning(tmp_path, clicks):
    found = count_graph(attention_graph(tmp_path / "g.onnx"), clicks)
    cells = 5 * 7
    cosine, confidence, box = cells * 8, cells * 3 * 4, 4 * 4
    assert found.macs == clicks * (cosine + confidence + box)
    window = cells * (8 + 4)
    assert found.input_bytes == 4 * (window + 12 + 12 + 48 + 24 + clicks * (8 + 2 + 1))
    assert found.output_bytes == 4 * clicks * 8
    assert found.between_bytes == 0, "all that it reads enters the graph"


def test_weights_count_as_they_are_stored_and_each_once(tmp_path):
    """An int8 weight is a byte, whatever it is dequantised to; an unread one does not count."""
    scale = {"s": np.float32(0.1), "z": np.int8(0), "unread": np.ones(99, np.float32)}
    path = written(
        tmp_path / "g.onnx",
        [
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"]),
            helper.make_node("Conv", ["x", "w"], ["a"]),
            helper.make_node("Conv", ["x", "w"], ["b"]),
            helper.make_node("Add", ["a", "b"], ["y"]),
        ],
        [value("x", (1, 2, 8, 8))],
        [value("y", (1, 4, 8, 8))],
        {"q": np.ones((4, 2, 1, 1), np.int8), **scale},
    )
    assert count_graph(path, 1).weight_bytes == 8 + 4 + 1


def test_traffic_between_layers_is_after_activations_and_as_it_is_quantised(tmp_path):
    scale = {"s": np.float32(0.1), "z": np.int8(0)}
    path = written(
        tmp_path / "g.onnx",
        [
            helper.make_node("Conv", ["x", "w"], ["a"]),
            helper.make_node("Relu", ["a"], ["r"]),
            helper.make_node("QuantizeLinear", ["r", "s", "z"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
            helper.make_node("Conv", ["d", "w"], ["y"]),
        ],
        [value("x", (1, 2, 8, 8))],
        [value("y", (1, 2, 8, 8))],
        {"w": np.ones((2, 2, 1, 1), np.float32), **scale},
    )
    found = count_graph(path, 1)
    assert found.between_bytes == 2 * 128, "written and read once, a byte each"
    assert found.layer_bytes == found.compulsory_bytes + 256


def test_only_the_outputs_that_are_asked_for_must_be_written(tmp_path):
    path = attention_graph(tmp_path / "g.onnx")
    assert count_graph(path, 2, ("box_xyxy_px",)).output_bytes == 2 * 16


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("9*clicks", 72), ("clicks + 1", 9), ("(clicks - 2)//4", 1), ("2*other", None), ("?", None)],
)
def test_sizes_that_depend_on_the_clicks(text, wanted):
    assert value_of(text, 8) == wanted


def test_unknown_work_is_refused_not_left_out(tmp_path):
    made = helper.make_node("Secret", ["x"], ["y"], domain="tilefix", name="it")
    path = written(tmp_path / "g.onnx", [made], [value("x", (2,))], [value("y", (2,))])
    with pytest.raises(BenchmarkError, match=r"(?s)cannot be counted.*tilefix::Secret it"):
        count_graph(path, 1)
    einsum = helper.make_node("Einsum", ["x", "x"], ["y"], equation="i,i->")
    path = written(tmp_path / "h.onnx", [einsum], [value("x", (2,))], [value("y", ())])
    with pytest.raises(BenchmarkError, match="Einsum"):
        count_graph(path, 1)


def test_unknown_shapes_are_refused(tmp_path):
    path = written(
        tmp_path / "g.onnx",
        [node("MatMul")],
        [value("x", ("rows", 4))],
        [value("y", None)],
        {"w": np.ones((4, 2), np.float32)},
    )
    with pytest.raises(BenchmarkError, match=r"a known shape of x, at MatMul\n"):
        count_graph(path, 1)


def test_what_is_no_graph_is_refused(tmp_path):
    path = tmp_path / "g.onnx"
    path.write_bytes(b"\x08\x09not a graph")
    with pytest.raises(BundleError, match="no ONNX graph"):
        count_graph(path, 1)
    with pytest.raises(BenchmarkError, match="1 click or more"):
        count_graph(path, 0)
