"""What builders say, in words that help: for both of the plugin's operators."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_graphs import small_bundle, small_localizer

from edge.bundle import LOCALIZER
from edge.errors import ExecutorError
from export.engines.build import build_engine
from export.engines.builder_errors import explain
from export.engines.job import BuildJob

BOTH = ("CrossAttention", "TileAttention")


def job(*operators: str) -> BuildJob:
    return BuildJob(
        folder="/tmp",
        toolkit="tensorrt",
        graph="graph.onnx",
        kind=LOCALIZER,
        capabilities=(87,),
        click_buckets=(1,),
        custom_operators=operators,
        advice="build it",
    )


@pytest.mark.parametrize("name", BOTH)
def test_an_operator_without_a_plugin(name):
    error = explain([f"No importer registered for op: {name}. Attempting"], "TensorRT", job(*BOTH))
    assert error.what == "TensorRT does not know a custom operator of graph.onnx"
    assert error.expected == "a plugin with creators for CrossAttention, TileAttention"
    assert error.do == "build it"


def test_an_operator_that_is_nobodys():
    error = explain(["No importer registered for op: Det"], "TensorRT", job(*BOTH))
    assert error.what == "TensorRT does not support an operator of graph.onnx"


@pytest.mark.parametrize(
    ("operators", "expected"),
    [
        (("TileAttention",), "TileAttention: 1 to 64 clicks, channels in multiples of 8"),
        (("CrossAttention",), "CrossAttention: channels that are a multiple of the heads, "),
        (("Another",), "Another: what its kernel takes"),
    ],
)
def test_shapes_that_the_plugin_refuses(operators, expected):
    error = explain(["configurePlugin failed"], "TensorRT", job(*operators))
    assert error.what == "the plugin refuses the shapes or types of graph.onnx"
    assert error.expected.startswith(expected)


@pytest.mark.parametrize("name", ["plugin", "older"])
def test_a_plugin_with_and_without_the_second_operator(tiny, tmp_path, settings, make_plugin, name):
    graph = small_localizer(True, body=False, name="CrossAttention")
    bundle = small_bundle(tmp_path / "cross", tiny.tiny_manifest(), {"fp16/localizer": graph})
    given = replace(settings(), plugin=make_plugin(name))
    if name == "plugin":
        made = build_engine(bundle, LOCALIZER, "fp16", given)
        assert made.manifest.layers.plugin_layers == 1
        return
    with pytest.raises(ExecutorError) as error:
        build_engine(bundle, LOCALIZER, "fp16", given)
    assert error.value.what.endswith("has no creator for CrossAttention")
    assert error.value.found == "TileAttention"
