"""Whose time a layer's is, by layers and milliseconds made by hand."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from calibration.judging.block_latency import block_times, convolved, shares_of
from calibration.judging.graph_blocks import GraphBlocks, graph_blocks
from calibration.quantization.blocks import Block
from calibration.quantization.convolutions import convolutions
from calibration.quantization.qdq import Form, quantize_graph
from edge.errors import CalibrationError
from export.engines.layer_table import Layer, LayerTensor
from export.engines.layer_times import EngineTimes, LayerTime

KIND = "localizer"
A, B, C = (f"{KIND}/{name}" for name in "abc")
BLOCKS = [Block(A, KIND, ("a.weight",), 30), Block(B, KIND, ("b.weight",), 10)]
BLOCKS += [Block(C, KIND, ("c.weight",), 0)]


def graph() -> onnx.ModelProto:
    """image -> a -> Relu -> b and c; b -> d, which is in no block."""
    draw = np.random.default_rng(3)
    shapes = {"a": (6, 3, 1, 1), "b": (4, 6, 1, 1), "c": (4, 6, 1, 1), "d": (1, 4, 1, 1)}
    links = [("image", "a"), ("relu", "b"), ("relu", "c"), ("b_out", "d")]
    nodes = [
        helper.make_node("Conv", [source, f"{name}.weight"], [f"{name}_out"], name=f"conv_{name}")
        for source, name in links
    ]
    nodes.insert(1, helper.make_node("Relu", ["a_out"], ["relu"], name="relu"))
    weights = [
        numpy_helper.from_array(draw.normal(size=shape).astype(np.float32), f"{name}.weight")
        for name, shape in shapes.items()
    ]
    made = helper.make_graph(
        nodes,
        "four",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, side, 8, 8])
            for name, side in (("c_out", 4), ("d_out", 1))
        ],
        weights,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


@pytest.fixture(scope="module")
def float_blocks() -> GraphBlocks:
    return graph_blocks(graph(), BLOCKS, convolutions(graph()))


@pytest.fixture(scope="module")
def int8_blocks() -> GraphBlocks:
    names = ("a.weight", "b.weight", "c.weight")
    model = quantize_graph(graph(), {"image": 1.0, "relu": 1.0}, names, Form.TENSORRT)
    return graph_blocks(model, BLOCKS, convolutions(graph()))


def layer(name: str, *nodes: str, kind: str = "CaskConvolution", reads: str = "x") -> Layer:
    return Layer(name, kind, (LayerTensor("Half", (1,), reads),), (), nodes)


def times(*told: tuple[Layer, float], unlisted_ms: float = 0.0) -> EngineTimes:
    names = ("who knows",) if unlisted_ms else ()
    return EngineTimes(tuple(LayerTime(each, ms) for each, ms in told), unlisted_ms, names)


def shares(graph: GraphBlocks, asked: Layer, *others: Layer) -> dict[str, float]:
    """Of a layer among others."""
    return shares_of(asked, graph, convolved((asked, *others), graph))


def test_nodes_are_known_by_their_weights_in_both_graphs(float_blocks, int8_blocks):
    macs = {each.name: each.macs for each in convolutions(graph())}
    assert macs["a.weight"] == 6 * 3 * 64
    for found in (float_blocks, int8_blocks):
        assert found.blocks == (A, B, C)
        assert found.owners == {
            "conv_a": (A, macs["a.weight"]),
            "conv_b": (B, macs["b.weight"]),
            "conv_c": (C, macs["c.weight"]),
            "conv_d": ("", macs["d.weight"]),
        }
        assert found.others["relu"] == (A,)
    assert float_blocks.others.keys() == {"relu"} and not float_blocks.constant
    assert int8_blocks.others["QuantizeLinear_relu"] == (B, C)
    assert int8_blocks.others["DequantizeLinear_image"] == (A,)
    assert int8_blocks.constant == {f"DequantizeLinear_{name}.weight" for name in "abc"}
    assert float_blocks.readers["relu"] == ("conv_b", "conv_c")
    assert int8_blocks.readers["relu.quantized"] == ("conv_b", "conv_c")


def test_a_kernel_is_its_convolutions_with_all_that_is_fused_into_it(int8_blocks):
    fused = layer("conv_a + relu + q", "conv_a", "relu", "QuantizeLinear_relu", "whatever")
    assert shares(int8_blocks, fused) == {A: 1.0}
    # known by its name alone, as where the metadata were left out
    assert shares(int8_blocks, layer("conv_b + relu")) == {B: 1.0}
    assert shares(int8_blocks, layer("conv_b || conv_c")) == {B: 0.5, C: 0.5}


def test_convolutions_of_several_blocks_share_a_kernel_by_their_macs(float_blocks):
    """a has 18 weights, b and c have 24, d has 4; each is read at 64 places."""
    assert shares(float_blocks, layer("ab", "conv_a", "conv_b")) == {A: 18 / 42, B: 24 / 42}
    with_head = shares(float_blocks, layer("bd", "conv_b", "conv_d"))
    assert with_head == {B: 24 / 28}  # the rest is in no block
    assert shares(float_blocks, layer("d", "conv_d")) == {}
    # a region that was not taken apart convolves, where no other layer says so
    region = layer("{ForeignNode[conv_a...conv_b]}", "conv_a", "relu", "conv_b", kind="Myelin")
    assert shares(float_blocks, region) == {A: 18 / 42, B: 24 / 42}


def test_without_shapes_the_convolutions_of_a_kernel_count_alike():
    owners = {"conv_a": (A, 0), "conv_b": (B, 0), "d": ("", 0)}
    blind = GraphBlocks((A, B), owners, {}, frozenset(), {})
    found = shares(blind, layer("all", "conv_a", "conv_b", "d", "d"))
    assert found == {A: pytest.approx(1 / 3), B: pytest.approx(1 / 3)}


def test_a_kernel_that_only_quantises_is_a_cost_of_those_who_read_it(int8_blocks):
    only = layer("quantise", "QuantizeLinear_relu", kind="kgen")
    assert shares(int8_blocks, only) == {B: 0.5, C: 0.5}
    assert shares(int8_blocks, layer("QuantizeLinear_image", kind="Reformat")) == {A: 1.0}


def test_what_scales_and_quantises_between_two_convolutions_is_shared_by_nodes(int8_blocks):
    """As TensorRT-RTX has it: the sums of one convolution become what the next one reads."""
    names = ("relu", "conv_a", "QuantizeLinear_relu", "conv_b", "DequantizeLinear_relu")
    between = layer("__myl_MulAddMaxRoun", *names, "DequantizeLinear_b.weight", kind="kgen")
    own = (layer("conv_a", "conv_a"), layer("conv_b", "conv_b"))
    # of five nodes two are of a, one of b, two of both its readers; weights take no time
    assert shares(int8_blocks, between, *own) == pytest.approx({A: 2 / 5, B: 2 / 5, C: 1 / 5})
    # what else such a kernel does is in no block: float16 has a kernel of its own for it
    mixed = layer("__myl_AddSlicSlic", "conv_a", "slice_1", "slice_2", "add_7", kind="kgen")
    assert shares(int8_blocks, mixed, *own) == {A: 0.25}


def test_a_product_without_a_name_is_the_convolution_that_reads_what_it_reads(float_blocks):
    product = layer("__myl_Fc_myl0_3", kind="gemm", reads="relu")
    assert shares(float_blocks, product) == {B: 0.5, C: 0.5}
    assert shares(float_blocks, product, layer("conv_b")) == {C: 1.0}
    assert shares(float_blocks, layer("__myl_Fc", kind="gemm", reads="other")) == {}
    assert shares(float_blocks, layer("__myl_Add", kind="kgen", reads="relu")) == {}
    named = layer("__myl_Fc", "matmul", kind="gemm", reads="relu")  # of attention
    assert shares(float_blocks, named) == {}


def test_a_product_without_a_name_keeps_its_time_where_a_kernel_scales_beside_it(int8_blocks):
    """As in INT8: what scales a product's sums names its convolution, and does not convolve."""
    found = block_times(
        times(
            (layer("conv_a", "conv_a"), 1.0),
            (layer("conv_b", "conv_b"), 2.0),
            (layer("__myl_Fc_myl0_3", kind="gemm", reads="relu.quantized"), 5.0),
            (layer("__myl_CastMul", "conv_c", kind="kgen", reads="__myl_sums"), 0.1),
        ),
        int8_blocks,
    )
    assert found.by_block_ms == pytest.approx({A: 1.0, B: 2.0, C: 5.1})
    assert found.elsewhere_ms == pytest.approx(0.0)


def test_reformats_and_the_like_are_in_no_block(float_blocks):
    name = "Reformatting CopyNode for Input Tensor 0 to conv_a"
    assert shares(float_blocks, layer(name, kind="Reformat")) == {}


def test_an_addition_is_of_the_branch_that_ends_in_it():
    """a -> Relu -> b -> Add with what went past it -> Relu; and x * sigmoid(x) after c."""
    links = [
        ("Conv", ["image", "a.weight"], "a_out"),
        ("Relu", ["a_out"], "past"),
        ("Conv", ["past", "b.weight"], "b_out"),
        ("Add", ["b_out", "past"], "sum"),
        ("Relu", ["sum"], "block"),
        ("Conv", ["block", "c.weight"], "c_out"),
        ("Sigmoid", ["c_out"], "gate"),
        ("Mul", ["c_out", "gate"], "swish"),
        ("Add", ["swish", "sum"], "longer"),  # as in a Darknet: activated, then added
        ("Mul", ["image", "image"], "square"),
    ]
    nodes = [helper.make_node(op, read, [made], name=made) for op, read, made in links]
    weights = [numpy_helper.from_array(np.ones((3, 3, 1, 1)), f"{x}.weight") for x in "abc"]
    model = helper.make_model(helper.make_graph(nodes, "g", [], [], weights))
    found = graph_blocks(model, BLOCKS, ()).others
    ends = {"past": (A,), "sum": (B,), "block": (B,), "gate": (C,), "swish": (C,), "longer": (C,)}
    assert found == {**ends, "square": ()}


def test_all_of_an_engines_time_is_somewhere(float_blocks):
    found = block_times(
        times(
            (layer("conv_a + relu", "conv_a", "relu"), 2.0),
            (layer("pad", "conv_a", kind="kgen"), 0.25),
            (layer("bd", "conv_b", "conv_d"), 0.7),
            (layer("conv_c", "conv_c"), 0.5),
            (layer("Reformatting CopyNode", kind="Reformat"), 0.3),
            unlisted_ms=0.05,
        ),
        float_blocks,
    )
    assert found.by_block_ms == pytest.approx({A: 2.25, B: 0.6, C: 0.5})
    assert found.elsewhere_ms == pytest.approx(0.1 + 0.3 + 0.05)
    assert found.total_ms == pytest.approx(2.0 + 0.25 + 0.7 + 0.5 + 0.3 + 0.05)


def test_a_block_that_is_in_no_layer_is_no_block_without_cost(float_blocks):
    known = times((layer("conv_a", "conv_a"), 1.0), (layer("conv_c", "conv_c"), 1.0))
    with pytest.raises(CalibrationError) as error:
        block_times(known, float_blocks)
    assert error.value.found == f"none for {B}"


def test_an_engine_that_hides_its_layers_says_nothing(float_blocks):
    shown = [(layer(name, name), 1.0) for name in ("conv_a", "conv_b", "conv_c")]
    assert block_times(times(*shown, unlisted_ms=0.3), float_blocks).elsewhere_ms == 0.3
    with pytest.raises(CalibrationError) as error:
        block_times(times(*shown, unlisted_ms=1.0), float_blocks)
    assert error.value.found == "25%: who knows"
    with pytest.raises(CalibrationError):  # nothing at all was told
        block_times(times(), float_blocks)
