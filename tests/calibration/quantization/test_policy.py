"""What of a graph is quantised, in which blocks, and by which names."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from calibration.quantization.blocks import blocks_of, module_of
from calibration.quantization.convolutions import (
    GraphView,
    carried_over,
    convolutions,
    float32_name,
)
from calibration.quantization.policy import Reason, sort_convolutions, tensors_to_observe
from calibration.quantization.qdq import Form, quantize_graph
from edge.bundle import ENCODER, LOCALIZER, Bundle, shipped_bundle_path
from edge.errors import CalibrationError
from tests.support.small_networks import CHANNELS, SIZE, observed_amax, small_network

ELIGIBLE = ["stem", "blocks.0.depthwise", "blocks.0.project", "blocks.1.side", "embedding"]


@pytest.mark.parametrize("half", [False, True])
def test_what_lies_behind_the_features_of_the_window_stays_float(half: bool) -> None:
    found = sort_convolutions(small_network(half=half))
    assert [each.name for each in found.eligible] == [f"model.{name}.weight" for name in ELIGIBLE]
    assert [(each.name, reason) for each, reason in found.refused] == [
        ("model.head.weight", Reason.HEAD)
    ]


def test_both_precisions_name_the_same_values() -> None:
    assert tensors_to_observe(sort_convolutions(small_network()).eligible) == tensors_to_observe(
        sort_convolutions(small_network(half=True)).eligible
    )
    assert float32_name("of_tap.neck_1_float16") == "tap.neck_1"
    assert float32_name("div_float16") == "div"


def test_facts_of_a_convolution() -> None:
    stem, depthwise, *_ = convolutions(small_network())
    assert (stem.source, stem.output, stem.result) == ("scaled", "expanded", "relu6")
    assert stem.macs == SIZE * SIZE * 2 * CHANNELS * 3 * 9
    assert (depthwise.depthwise, stem.depthwise) == (True, False)
    assert depthwise.macs == SIZE * SIZE * 2 * CHANNELS * 9


def test_share_of_the_work_counts_matrix_products() -> None:
    model = small_network()
    alone = sort_convolutions(model).int8_share_of_macs
    head = SIZE * SIZE * 5 * CHANNELS
    total = sum(each.macs for each in convolutions(model))
    assert alone == pytest.approx((total - head) / total)
    product = helper.make_node("MatMul", ["head", "head"], ["squared"])
    model.graph.node.append(product)
    products = 5 * SIZE * SIZE * SIZE
    assert sort_convolutions(model).int8_share_of_macs == pytest.approx(
        (total - head) / (total + products)
    )


def test_only_activations_that_end_at_zero_are_never_negative() -> None:
    view = GraphView(small_network())
    assert view.not_negative("relu6")
    for name in ("expanded", "sum", "leaky", "scaled", "frame"):
        assert not view.not_negative(name), name
    model = small_network()
    next(t for t in model.graph.initializer if t.name == "low").CopyFrom(
        onnx.numpy_helper.from_array(
            onnx.numpy_helper.to_array(model.graph.initializer[0]) * 0 - 1, "low"
        )
    )
    assert not GraphView(model).not_negative("relu6"), "a Clip from -1"


def test_a_graph_that_is_quantised_already_is_refused() -> None:
    model = small_network()
    chosen = [each.name for each in sort_convolutions(model).eligible]
    once = quantize_graph(model, observed_amax(), chosen, Form.ONNXRUNTIME)
    with pytest.raises(CalibrationError, match=r"quantised already.*\n.*\n.*QuantizeLinear"):
        sort_convolutions(once)


def test_blocks_are_the_modules_of_the_model() -> None:
    eligible = sort_convolutions(small_network()).eligible
    blocks = blocks_of(LOCALIZER, eligible)
    assert [each.name for each in blocks] == [
        "localizer/stem",
        "localizer/blocks.0",
        "localizer/blocks.1",
        "localizer/embedding",
    ]
    assert [name for each in blocks for name in each.convolutions] == [e.name for e in eligible]
    assert sum(each.macs for each in blocks) == sum(each.macs for each in eligible)
    few = blocks_of(LOCALIZER, eligible, most=2)
    assert len(few) == 2 and ".." in few[0].name + few[1].name
    assert [name for each in few for name in each.convolutions] == [e.name for e in eligible]


def test_a_module_that_is_left_and_entered_again_makes_two_names() -> None:
    first, second, *_ = sort_convolutions(small_network()).eligible
    names = [each.name for each in blocks_of(ENCODER, [first, second, first])]
    assert names == [
        "reference_encoder/stem",
        "reference_encoder/blocks.0",
        "reference_encoder/stem#2",
    ]


def test_modules_by_their_last_number() -> None:
    assert module_of("model.layer1.0.conv1.weight") == "layer1.0"
    assert module_of("model.module_list.37.conv_37.weight") == "module_list.37"
    assert module_of("model.reference_hidden.weight") == "reference_hidden"


@pytest.mark.parametrize(("kind", "count"), [(ENCODER, 60), (LOCALIZER, 41)])
def test_every_convolution_of_the_shipped_model_is_eligible(kind: str, count: int) -> None:
    bundle = Bundle.open(shipped_bundle_path())
    graphs = [onnx.load(str(bundle.graph(kind, precision))) for precision in ("fp32", "fp16")]
    single, half = map(sort_convolutions, graphs)
    # the two localizers are two traces: names differ, and are carried over
    numbers = {name: float(n) for n, name in enumerate(tensors_to_observe(single.eligible))}
    carried = carried_over(numbers, *graphs)
    assert list(carried) == list(tensors_to_observe(half.eligible))
    assert list(carried.values()) == list(numbers.values())
    assert len(single.eligible) == count and not single.refused
    assert [e.name for e in single.eligible] == [e.name for e in half.eligible]
    assert single.int8_share_of_macs > 0.98


def test_the_number_of_clicks_is_no_meeting_of_the_views() -> None:
    """DetGeo repeats the frame for every click, and counts clicks at whichever input."""
    model = small_network()
    nodes = list(model.graph.node)
    count = helper.make_node("Shape", ["v"], ["shape_of_v"])
    first = next(n for n in nodes if n.op_type == "Conv")
    shown = helper.make_node("Expand", [first.input[0], "one"], ["repeated"])
    one = helper.make_node("Gather", ["shape_of_v", "zero_index"], ["one"])
    first.input[0] = "repeated"
    at = nodes.index(first)
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:at], count, one, shown, *nodes[at:]])
    model.graph.initializer.append(
        onnx.helper.make_tensor("zero_index", onnx.TensorProto.INT64, [1], [0])
    )
    names = [each.name for each in sort_convolutions(model).eligible]
    assert names == [f"model.{name}.weight" for name in ELIGIBLE]


@pytest.mark.parametrize(("mode", "kept"), [("linear", True), ("nearest", True), ("cubic", False)])
def test_a_cubic_may_make_negative_numbers_of_none(mode: str, kept: bool) -> None:
    """At an edge it overshoots: from zero upwards is no range for it."""
    nodes = [
        helper.make_node("Relu", ["x"], ["positive"]),
        helper.make_node("Resize", ["positive", "", "scales"], ["larger"], mode=mode),
    ]
    scales = helper.make_tensor("scales", onnx.TensorProto.FLOAT, [4], [1.0, 1.0, 2.0, 2.0])
    shapes = [("x", [1, 1, 6, 6]), ("larger", [1, 1, 12, 12])]
    given, made = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes
    )
    graph = helper.make_graph(nodes, "resized", [given], [made], [scales])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    assert GraphView(model).not_negative("larger") == kept
    edge = np.zeros((1, 1, 6, 6), np.float32)
    edge[..., 3:] = 1
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert (session.run(None, {"x": edge})[0].min() >= 0) == kept
