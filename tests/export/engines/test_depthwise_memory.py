"""What depthwise convolutions in INT8 cost a build of TensorRT-RTX, beyond the weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from rtx_builder import build

from edge.errors import ExecutorError
from edge.machine import MIB, build_need_bytes
from export.engines.graph_facts import read_graph
from export.engines.memory import limit_memory

CHANNELS, SIDE = 64, 128
ELEMENTS = CHANNELS * SIDE * SIDE


def chain(folder: Path, *steps: tuple[int, int], int8: bool = True) -> Path:
    """3 x 3 convolutions in a row, each (groups, stride), over [1, 64, 128, 128] float16."""
    node, stored, name = helper.make_node, {}, "x"
    stored |= {"scale": np.float16(0.1), "zero": np.int8(0)}
    stored |= {"scales": np.full(CHANNELS, 0.01, np.float16), "zeros": np.zeros(CHANNELS, np.int8)}
    nodes, side = [], SIDE
    for index, (groups, stride) in enumerate(steps):
        shape = (CHANNELS, CHANNELS // groups, 3, 3)
        weight, source = f"w{index}", name
        if int8:
            stored[f"w8_{index}"] = np.ones(shape, np.int8)
            nodes += [
                node("QuantizeLinear", [name, "scale", "zero"], [f"q{index}"]),
                node("DequantizeLinear", [f"q{index}", "scale", "zero"], [f"d{index}"]),
                node("DequantizeLinear", [f"w8_{index}", "scales", "zeros"], [weight], axis=0),
            ]
            source = f"d{index}"
        else:
            stored[weight] = np.ones(shape, np.float16)
        how = {"group": groups, "strides": [stride] * 2, "pads": [1] * 4}
        nodes.append(node("Conv", [source, weight], [f"c{index}"], name=f"conv{index}", **how))
        nodes.append(node("Relu", [f"c{index}"], [f"r{index}"]))
        name, side = f"r{index}", side // stride
    ends = [
        helper.make_tensor_value_info(end, TensorProto.FLOAT16, [1, CHANNELS, across, across])
        for end, across in (("x", SIDE), (name, side))
    ]
    tensors = [numpy_helper.from_array(np.array(value), key) for key, value in stored.items()]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    path = folder / f"chain_{len(steps)}_{steps[-1][0]}_{int8}.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("steps", "elements"),
    [
        ([(64, 1)], ELEMENTS),
        ([(64, 1), (64, 1), (64, 2)], ELEMENTS),  # inputs of one shape
        ([(64, 2), (64, 1), (1, 1)], ELEMENTS * 5 // 4),  # of two
        ([(1, 1)], 0),
        ([(16, 1)], 0),  # groups of four channels
    ],
)
def test_each_shape_of_a_depthwise_input_counts_once(tmp_path, steps, elements):
    _, facts = read_graph(chain(tmp_path, *steps))
    assert set(facts.convolutions.values()) == {"Int8"}
    assert facts.depthwise_elements == elements
    _, plain = read_graph(chain(tmp_path, *steps, int8=False))
    assert plain.depthwise_elements == 0


def test_the_builder_writes_three_bytes_for_each_element(tmp_path):
    """The rule against the builder that it was found on: INT8 behind a convolution that is."""
    plain = build(chain(tmp_path, (1, 1), (1, 1)), None, tmp_path)["bytes"]
    more = build(chain(tmp_path, (1, 1), (64, 1)), None, tmp_path)["bytes"] - plain
    assert more == pytest.approx(3 * ELEMENTS, rel=0.2)
    twice = build(chain(tmp_path, (1, 1), (64, 1), (64, 1)), None, tmp_path)["bytes"] - plain
    assert twice == pytest.approx(3 * ELEMENTS, rel=0.2), "one shape, one copy"
    half = build(chain(tmp_path, (1, 1), (64, 1), int8=False), None, tmp_path)["bytes"]
    assert half < plain + ELEMENTS


def test_the_measured_builds_of_lite_are_allowed_for():
    """MB: bytes of the graph, elements by its shapes, what the build took (TensorRT-RTX 1.7.1)."""
    measured = [
        (3.41, 57.02, 682),  # encoder, INT8
        (1.00, 13.96, 433),  # localizer, INT8
        (6.52, 0, 289),  # encoder, float16
        (13.01, 0, 317),  # encoder, float32
    ]
    for graph, elements, took in measured:
        need = build_need_bytes("tensorrt_rtx", int(graph * 1e6), int(elements * 1e6)) / 1e6
        assert took < need < 1.65 * took


def test_a_refusal_says_what_takes_it():
    limit_memory("tensorrt_rtx", 3_400_000, None, 500)
    with pytest.raises(ExecutorError) as error:
        limit_memory("tensorrt_rtx", 3_400_000, None, 500, 57_000_000)
    need = build_need_bytes("tensorrt_rtx", 3_400_000, 57_000_000) // MIB
    assert error.value.expected == (
        f"about {need} MB for a graph of 3 MB, 326 MB of it for depthwise convolutions in INT8"
    )


def test_full_tensorrt_was_not_measured_and_is_not_asked_for_more():
    assert build_need_bytes("tensorrt", 10, 10**9) == build_need_bytes("tensorrt", 10)
