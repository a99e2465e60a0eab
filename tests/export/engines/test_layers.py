"""The layer table as TensorRT writes it, and the rules that an engine is held to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edge.errors import ExecutorError
from export.engines.graph_facts import GraphFacts
from export.engines.layer_checks import check_layers, engine_types, summarise
from export.engines.layer_table import (
    Layer,
    LayerTensor,
    layers_of_inspector,
    layers_of_log,
)


def tensor_text(name: str, shape: str, dtype: str) -> str:
    return (
        f"{{ Name: {name}, Dimensions: [{shape}], Strides: [1], StrideOrder: [0], "
        f"Datatype: {dtype}, Format: (Linear) Row major linear format }}"
    )


def row(name: str, kind: str, dtype: str, nodes: str, tensor: str = "x") -> str:
    made = tensor_text(tensor, "1,4,64,64", dtype)
    return (
        f"Name: {name}, LayerType: {kind}, Inputs: [ {made}], Constants: [ "
        f"{tensor_text('c', '1', 'Int32')}], Outputs: [ {made}], TacticName: t, StreamId: 0, "
        f"Metadata: {nodes}"
    )


LOG = [
    "Parsing node: conv1 [Conv]",
    "[E] Name: no, LayerType: a complaint",
    "Layers:",
    row(
        "conv1_myl0_1",
        "correlation",
        "Half",
        "[ONNX Layer: conv1]__gemm_from_conv[ONNX Layer: /relu.1]",
    ),
    row("__myl_Cast_myl0_2", "kgen", "Float", "[ONNX Layer: decode]"),
    "Name: __mye1_myl0_3, LayerType: signal, Inputs: [], Outputs: [], StreamId: 0",
    row("attend_myl0_4", "custom_layer", "Half", "[ONNX Layer: attend]"),
    row("conv1 [profile 1]_myl1_1", "correlation", "Half", "[ONNX Layer: conv1]"),
    row("__myl_Cast_myl1_2", "kgen", "Float", "[ONNX Layer: decode]", "x [profile 1]"),
    row("attend [profile 1]_myl1_4", "custom_layer", "Half", "[ONNX Layer: attend]"),
    "",
    "I/O Tensors:",
    " Name: frame, IOMode: Input, DataType: UInt8, Dimensions: [64,64,3]",
]
FACTS = GraphFacts(
    path=Path("graph.onnx"),
    size_bytes=1,
    custom_nodes=("TileAttention attend",),
    operators={"conv1": "Conv", "attend": "TileAttention", "decode": "Exp", "product": "MatMul"},
    convolutions={"conv1": "Half"},
    products={},
    reads={"conv1": "x"},
)


def layer(name: str, kind: str, dtype: str, *nodes: str, profile: int = 0) -> Layer:
    tensor = (LayerTensor(dtype, (1, 2)),)
    return Layer(name, kind, tensor, tensor, nodes, profile)


def test_the_table_of_a_log():
    layers = layers_of_log(LOG)
    assert [each.profile for each in layers] == [0, 0, 0, 0, 1, 1, 1]
    assert layers[0] == Layer(
        "conv1_myl0_1",
        "correlation",
        (LayerTensor("Half", (1, 4, 64, 64), "x"),),
        (LayerTensor("Half", (1, 4, 64, 64), "x"),),
        ("conv1", "/relu.1"),
    )
    summary = summarise(layers, FACTS, "builder log")
    assert (summary.layers, summary.plugin_layers) == (3, 1)
    assert summary.convolutions == {"Half": 1}
    assert summary.float32_layers == ("__myl_Cast_myl0_2",)
    check_layers(layers, FACTS, "fp16", 2, "build it")


def test_a_log_without_a_table():
    with pytest.raises(ExecutorError) as error:
        layers_of_log(LOG[:3])
    assert error.value.what == "the engine was built, and its layer table cannot be read"
    assert error.value.do.endswith("an engine that was not checked is not kept")


@pytest.mark.parametrize(
    "words",
    [
        {"Format/Datatype": "Channel major FP16 format where channel % 8 == 0"},
        {"Datatype": "Half", "Format": "(NHWC) Channel major format"},
        {"Format": "Row major linear FP16 format"},
    ],
)
def test_the_table_of_the_inspector(words):
    tensor = {"Name": "x", "Dimensions": [1, 4], **words}
    rows = [
        {
            "Name": "conv1 + relu",
            "LayerType": "CaskConvolution",
            "Inputs": [tensor],
            "Outputs": [tensor],
            "Metadata": "[ONNX Layer: conv1]\x1e[ONNX Layer: relu]",
        },
        {"Name": "attend", "LayerType": "PluginV3", "Inputs": [], "Outputs": []},
    ]
    layers = layers_of_inspector([json.dumps({"Layers": rows})])
    assert layers[0].nodes == ("conv1", "relu")
    assert layers[0].inputs == layers[0].outputs == (LayerTensor("Half", (1, 4), "x"),)
    check_layers(layers, FACTS, "fp16", 1, "build it")


@pytest.mark.parametrize(
    "text", ["", "{}", '{"Layers": []}', '{"Layers": ["conv1", "attend"]}', '{"Layers": [{}]}']
)
def test_an_inspector_that_says_too_little(text):
    """Without detailed profiling verbosity rows are names alone."""
    with pytest.raises(ExecutorError) as error:
        layers_of_inspector([text])
    assert error.value.what == "the engine was built, and its layer table cannot be read"


def conv_row(name: str, told: str, **more: object) -> dict:
    tensor = {"Name": "x", "Dimensions": [-1, 4], "Format/Datatype": told}
    kind = {"Name": name, "LayerType": "CaskConvolution", "Inputs": [tensor], "Outputs": [tensor]}
    return {**kind, "Metadata": "[ONNX Layer: conv1]", **more}


def test_a_type_that_is_not_said_is_that_of_the_weights():
    """Of an engine with open sizes, as TensorRT 10 writes it."""
    said = "N/A due to dynamic shapes"
    weights = {"Type": "Half", "Count": 9408}
    rows = [conv_row("conv1", said, Weights=weights)]
    (layer,) = layers_of_inspector([json.dumps({"Layers": rows})])
    assert layer.inputs[0].dtype == "Half" and layer.outputs[0].dtype == "not said"
    rows = [conv_row("conv1", "Row major FP32 format", Weights=weights)]
    (layer,) = layers_of_inspector([json.dumps({"Layers": rows})])
    assert layer.inputs[0].dtype == "Float", "what is said comes first"


def test_layers_of_each_profile_however_they_are_listed():
    half = "Row major FP16 format"
    both = json.dumps({"Layers": [conv_row("c", half), conv_row("c [profile 1]", half)]})
    one = json.dumps({"Layers": [conv_row("c", half)]})
    for texts in ([both, both], [one, one]):
        assert [each.profile for each in layers_of_inspector(texts)] == [0, 1]
    with pytest.raises(ExecutorError) as error:
        layers_of_inspector([both, '{"Layers": []}'])
    assert error.value.expected == "at least one layer of profile 1"


@pytest.mark.parametrize("profile", [0, 1])
def test_a_wrong_type_is_found_in_every_profile(profile):
    facts = replace(FACTS, custom_nodes=())
    kinds = ["Half", "Half"]
    kinds[profile] = "Int8"
    layers = [layer("a", "correlation", kinds[k], "conv1", profile=k) for k in range(2)]
    with pytest.raises(ExecutorError) as error:
        check_layers(tuple(layers), facts, "fp16", 2, "")
    where = " in profile 1" if profile else ""
    assert error.value.what.endswith(f"another type than the graph's{where}")


def refused(layers: list[Layer], facts: GraphFacts, precision: str = "fp16") -> ExecutorError:
    with pytest.raises(ExecutorError) as error:
        check_layers(tuple(layers), facts, precision, 1, "build the plugin")
    return error.value


def test_every_custom_node_is_a_plugin_layer():
    inlined = [layer("conv1", "correlation", "Half", "conv1"), layer("mm", "gemm", "Float")]
    error = refused(inlined, FACTS)
    assert error.what.startswith("the engine does not use the plugin")
    assert error.expected == "1 plugin layers for TileAttention attend in profile 0"
    assert error.do == "build the plugin"
    twice = [layer(name, "custom_layer", "Half", "attend") for name in ("a", "b")]
    assert "a, b" in refused(twice, FACTS).found


def test_a_profile_without_the_plugin():
    layers = layers_of_log(LOG[:-4])  # the second profile lost its plugin layer
    with pytest.raises(ExecutorError) as error:
        check_layers(layers, FACTS, "fp16", 2, "build it")
    assert error.value.expected.endswith("in profile 1")


@pytest.mark.parametrize(("wrong", "kept"), [(1, True), (2, False)])
def test_nineteen_of_twenty_convolutions_are_enough(wrong, kept):
    names = [f"conv{i}" for i in range(20)]
    facts = replace(FACTS, custom_nodes=(), convolutions=dict.fromkeys(names, "Half"))
    # Int8 where Half was promised: no island, so that the share alone decides
    layers = [
        layer(name, "correlation", "Int8" if i < wrong else "Half", name)
        for i, name in enumerate(names)
    ]
    if kept:
        check_layers(tuple(layers), facts, "fp16", 1, "")
    else:
        error = refused(layers, facts)
        assert error.what.startswith("the engine is not fp16")
        assert error.expected == "at least 95% of 20 Half"
        assert error.found == "18 Half, 2 Int8; conv0 in Int8, conv1 in Int8"


@pytest.mark.parametrize(("unread", "kept"), [(1, True), (2, False)])
def test_types_that_cannot_be_read(unread, kept):
    names = [f"conv{i}" for i in range(20)]
    facts = replace(FACTS, custom_nodes=(), convolutions=dict.fromkeys(names, "Half"))
    layers = [layer(name, "correlation", "Half", name) for name in names[unread:]]
    if kept:
        (note,) = check_layers(tuple(layers), facts, "fp16", 1, "")
        assert note == "the types of 1 convolutions are unknown: conv0"
        return
    error = refused(layers, facts)
    assert error.what == "it cannot be read whether the engine is fp16"
    assert error.found == "18 Half, 2 unknown; conv0 in unknown, conv1 in unknown"
    assert "--logs FOLDER, which keeps the layer table" in error.do


def test_a_layer_of_convolutions_speaks_before_one_that_pads_for_it():
    layers = (
        layer("__myl_Pad", "kgen", "Float", "cast", "conv1"),
        layer("conv1_myl0_1", "correlation", "Half", "conv1"),
    )
    assert engine_types(layers, FACTS.convolutions, {}) == {"conv1": "Half"}


def test_a_convolution_that_became_a_nameless_product_is_known_by_what_it_reads():
    lines = [row("__mye32_myl0_49", "gemm", "Half", "", "relu6_31 [profile 2].1_12_myl0")]
    layers = layers_of_log(lines)
    assert layers[0].inputs[0].name == "relu6_31" and layers[0].nodes == ()
    reads = {"conv1": "relu6_31", "conv2": "relu6_32"}
    found = engine_types(layers, {"conv1": "Half", "conv2": "Half"}, reads)
    assert found == {"conv1": "Half", "conv2": "unknown"}


def test_no_float32_island():
    facts = replace(
        FACTS,
        custom_nodes=(),
        convolutions={f"conv{i}": "Half" for i in range(20)},
        products={"product": "Half", "geometry": "Float"},
        operators={**FACTS.operators, "geometry": "MatMul"},
    )
    layers = [layer(name, "correlation", "Half", name) for name in facts.convolutions]
    layers += [layer("g", "gemm", "Float", "geometry"), layer("d", "kgen", "Float", "decode")]
    check_layers(tuple(layers), facts, "fp16", 1, "")
    error = refused([*layers, layer("island", "gemm", "Float", "product")], facts)
    assert error.what == "the fp16 engine computes in float32 where its graph does not"
    assert error.found == "1: MatMul product in layer island, Half in the graph"


@pytest.mark.parametrize(
    ("types", "precision", "fits"),
    [
        (("Float", "Float"), "fp32", True),
        (("Half", "Half"), "fp32", False),
        (("Half", "Float"), "fp16", False),
        (("Int8", "Half"), "int8+fp16", True),
        (("Half", "Half"), "int8+fp16", False),
    ],
)
def test_a_graph_is_of_its_folders_precision(types, precision, fits):
    convolutions = {f"conv{i}": kind for i, kind in enumerate(types)}
    facts = replace(FACTS, custom_nodes=(), convolutions=convolutions)
    layers = [layer(name, "correlation", kind, name) for name, kind in convolutions.items()]
    if fits:
        check_layers(tuple(layers), facts, precision, 1, "")
    else:
        assert refused(layers, facts, precision).what == f"the graph graph.onnx is not {precision}"
