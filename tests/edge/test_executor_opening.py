"""What opening an executor refuses, and in which words."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from edge.bundle import LOCALIZER
from edge.decoding import Head
from edge.errors import BundleError, ExecutorError
from edge.executors.base import open_executor
from edge.executors.onnxruntime import OnnxRuntimeExecutor


def test_an_unknown_executor_lists_the_known(tiny_bundle):
    with pytest.raises(ExecutorError, match="no executor 'tensorrrt'") as caught:
        open_executor("tensorrrt", tiny_bundle, LOCALIZER)
    assert caught.value.expected == "one of: onnxruntime, reference, tensorrt, tensorrt-rtx"
    assert "--executor" in caught.value.do


def test_a_missing_library_is_named(tiny_bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ExecutorError, match="onnxruntime is not available") as caught:
        open_executor("onnxruntime", tiny_bundle, LOCALIZER)
    assert caught.value.do == "pip install onnxruntime"


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x08garbage"])
def test_a_graph_that_is_none(tmp_path, content):
    graph = tmp_path / "broken.onnx"
    graph.write_bytes(content)
    with pytest.raises(ExecutorError, match="refuses the graph") as caught:
        OnnxRuntimeExecutor(graph, "fp32")
    assert "broken.onnx" in caught.value.what
    assert "export the bundle again" in caught.value.do


def test_threads_are_those_asked_for(tiny_bundle):
    executor = OnnxRuntimeExecutor(tiny_bundle.graph(LOCALIZER), "fp32", threads=1)
    options = executor._session.get_session_options()
    assert options.intra_op_num_threads == 1
    assert executor._session.get_providers() == ["CPUExecutionProvider"]


def test_head_weights_that_do_not_fit_are_refused(tmp_path, tiny):
    weights = tiny.tiny_head()
    np.savez(tmp_path / "short.npz", **{**weights, "b_box": np.zeros((1, 4))})
    with pytest.raises(BundleError, match=r"short\.npz cannot be used") as caught:
        Head.load(tmp_path / "short.npz")
    assert caught.value.expected == "b_box [2, 4]"
    assert caught.value.found == "[1, 4]"
    del weights["tau"]
    np.savez(tmp_path / "less.npz", **weights)
    with pytest.raises(BundleError, match="tau"):
        Head.load(tmp_path / "less.npz")
    (tmp_path / "none.npz").write_bytes(b"nothing")
    with pytest.raises(BundleError, match=r"none\.npz cannot be used"):
        Head.load(tmp_path / "none.npz")
