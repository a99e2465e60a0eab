"""Copies of bundles whose graphs put out their taps."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.bundle import LOCALIZER
from edge.errors import BundleError, ExecutorError, MissingLibraryError
from export.verification.tapped import tap_names, tapped_bundle, with_taps
from export.verification.tapped_engine import build_tapped

LOCALIZER_TAPS = ["tap.query_stem", "tap.query_unit", "tap.similarity_map", "tap.hidden"]


def test_an_old_bundle_without_taps_says_export_again(tiny_bundle, tmp_path):
    with pytest.raises(BundleError) as error:
        tapped_bundle(tiny_bundle, ("fp32",), tmp_path / "copy")
    assert "has no taps" in str(error.value) or "have no taps" in str(error.value)
    assert "tilefix export" in str(error.value)


def test_taps_keep_their_types_and_what_is_an_output_already(tapped_tiny):
    model = onnx.load(str(tapped_tiny.graph(LOCALIZER)))
    before = [each.name for each in model.graph.output]
    assert list(with_taps(model)) == LOCALIZER_TAPS == list(tap_names(model))
    assert [each.name for each in model.graph.output] == before + LOCALIZER_TAPS
    kinds = {each.type.tensor_type.elem_type for each in model.graph.output[len(before) :]}
    assert kinds == {onnx.TensorProto.FLOAT}
    assert list(with_taps(model)) == LOCALIZER_TAPS, "twice is as once"
    assert len(model.graph.output) == len(before) + len(LOCALIZER_TAPS)
    onnx.checker.check_model(model)


def test_the_copy_leaves_the_bundle_alone_and_has_another_name(tapped_tiny, tmp_path):
    copy = tapped_bundle(tapped_tiny, tapped_tiny.precisions, tmp_path / "copy")
    assert copy.manifest.name == "tiny-taps"
    assert tapped_tiny.manifest.name == "tiny"
    assert "graphs/fp32/head.npz" in copy.manifest.files
    assert copy.model_id != tapped_tiny.model_id


def test_engines_with_taps_need_the_device_that_they_are_for(tapped_tiny, monkeypatch):
    monkeypatch.setattr("export.engines.device.local_gpu", lambda: None)
    for executor in ("tensorrt", "tensorrt-rtx"):
        with pytest.raises((ExecutorError, MissingLibraryError)) as error:
            build_tapped(tapped_tiny, tapped_tiny, executor, "fp16", None, print)
        assert "do:" in str(error.value)


def test_what_quantisation_makes_of_a_tap_is_none():
    scale = numpy_helper.from_array(np.array(0.1, np.float32), "scale")
    zero = numpy_helper.from_array(np.array(0, np.int8), "zero")
    nodes = [
        helper.make_node("Relu", ["x"], ["tap.a"]),
        helper.make_node("QuantizeLinear", ["tap.a", "scale", "zero"], ["tap.a.quantized"]),
        helper.make_node(
            "DequantizeLinear", ["tap.a.quantized", "scale", "zero"], ["tap.a.dequantized"]
        ),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in ("x", "tap.a")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [scale, zero])
    assert tap_names(helper.make_model(graph)) == ("tap.a",)
