"""What a graph promises, and the changes that leave its meaning."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from small_graphs import small_encoder, small_localizer

from edge.errors import BundleError, ExecutorError
from export.engines.graph_facts import DOMAIN, check_opset, read_graph
from export.engines.graph_fit import fit_graph
from export.engines.toolkit import Toolkit
from export.plugin.tile_attention_onnx import DOMAIN as EXPORTED_DOMAIN


def saved(folder, content: bytes):
    path = folder / "graph.onnx"
    path.write_bytes(content)
    return path


def one_node(op: str, opset: int = 18) -> bytes:
    value = helper.make_tensor_value_info
    sides = [[value(name, TensorProto.FLOAT, [4])] for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node(op, ["x"], ["y"])], "one", *sides)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


def test_custom_nodes_are_of_the_exporters_domain():
    assert DOMAIN == EXPORTED_DOMAIN


@pytest.mark.parametrize(("half", "dtype"), [(True, "Half"), (False, "Float")])
def test_what_the_small_graphs_promise(tmp_path, half, dtype):
    _, facts = read_graph(saved(tmp_path, small_localizer(half)))
    assert facts.custom_nodes == ("TileAttention attend",)
    assert facts.custom_operators == ("TileAttention",)
    assert list(facts.convolutions.values()) == [dtype] * 2
    assert list(facts.products.values()) == ["Float"], "the click's geometry stays float32"
    _, facts = read_graph(saved(tmp_path, small_encoder(half)))
    assert facts.custom_nodes == () and list(facts.convolutions.values()) == [dtype] * 4


def test_a_quantised_convolution_is_promised_in_int8(tmp_path):
    value, node = helper.make_tensor_value_info, helper.make_node
    weights = {
        "scale": np.float32(0.1),
        "zero": np.int8(0),
        "w8": np.ones((2, 2, 1, 1), np.int8),
        "w": np.ones((2, 2, 1, 1), np.float32),
    }
    nodes = [
        node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        node("DequantizeLinear", ["w8", "scale", "zero"], ["dw"]),
        node("Conv", ["d", "dw"], ["a"], name="both"),
        node("Conv", ["a", "dw"], ["b"], name="weights alone"),
        node("Conv", ["b", "w"], ["y"], name="neither"),
    ]
    maps = [[value(name, TensorProto.FLOAT, [1, 2, 4, 4])] for name in ("x", "y")]
    stored = [numpy_helper.from_array(np.array(array), name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "quantised", *maps, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    _, facts = read_graph(saved(tmp_path, model.SerializeToString()))
    assert facts.convolutions == {"both": "Int8", "weights alone": "Float", "neither": "Float"}


@pytest.mark.parametrize("content", [small_localizer(True)[:5000], b"hello" * 100])
def test_a_file_that_is_no_graph(tmp_path, content):
    with pytest.raises(BundleError) as error:
        read_graph(saved(tmp_path, content))
    assert error.value.what.endswith("is no ONNX graph, or a truncated one")
    assert error.value.do == "export the bundle again"


@pytest.mark.parametrize("content", [one_node("Relux"), b""])
def test_a_graph_that_breaks_the_rules(tmp_path, content):
    with pytest.raises(ExecutorError) as error:
        read_graph(saved(tmp_path, content))
    assert error.value.what.endswith("graph.onnx breaks the rules of ONNX")


def test_an_operator_set_of_the_future(tmp_path):
    path = saved(tmp_path, one_node("Relu", opset=22))
    model, _ = read_graph(path)
    check_opset(model, path, Toolkit("tensorrt", "10.7.0", None))
    with pytest.raises(ExecutorError) as error:
        check_opset(model, path, Toolkit("tensorrt", "10.3.0", None))
    assert error.value.what.endswith("is of an operator set that TensorRT 10.3.0 does not know")
    assert (error.value.expected, error.value.found) == (
        "operator set 20 or older",
        "operator set 22",
    )


@pytest.mark.parametrize("half", [True, False])
def test_the_cast_moves_before_what_only_moves_values(half):
    before = onnx.load_from_string(small_encoder(half))
    after = onnx.load_from_string(small_encoder(half))
    assert fit_graph(after, keep_functions=True) == (
        "the cast of image was moved before Transpose, Unsqueeze",
    )
    onnx.checker.check_model(after, full_check=True)
    assert after.graph.node[0].op_type == "Cast" and after.graph.node[0].input == ["image"]
    window = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    answers = [
        onnxruntime.InferenceSession(
            each.SerializeToString(), providers=["CPUExecutionProvider"]
        ).run(None, {"image": window})
        for each in (before, after)
    ]
    for ours, theirs in zip(*answers, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert fit_graph(after, keep_functions=True) == (), "nothing is left to move"


def test_bodies_go_where_they_would_win():
    model = onnx.load_from_string(small_localizer(True))
    notes = fit_graph(model, keep_functions=False)
    assert notes[-1] == "function bodies removed, so that the plugin is taken: TileAttention"
    assert len(model.functions) == 0
    assert [node.name for node in model.graph.node if node.domain == DOMAIN] == ["attend"]
