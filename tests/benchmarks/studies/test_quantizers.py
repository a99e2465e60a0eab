"""The comparison of quantisers: what is counted, and that a tool that fails is said to fail."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest

from benchmarks.studies import quantizers as comparison
from calibration.quantization.policy import sort_convolutions
from calibration.quantization.qdq import Form, quantize_graph
from tests.support.small_networks import observed_amax, small_network


def test_cosine_is_that_of_vectors() -> None:
    one = np.array([[3.0, 0.0], [0.0, 4.0]], np.float16)
    assert comparison.cosine(one, 2 * one) == pytest.approx(1)
    assert comparison.cosine(one, np.array([[4.0, 0], [0, -3.0]])) == pytest.approx(0)


def test_a_tool_that_makes_nothing_has_failed(tmp_path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such operator')"]
    found = comparison.judge("tool", "max", command, tmp_path / "none.onnx", [], [])
    assert found.failed == "no such operator" and found.convolutions == 0
    assert "failed: no such operator" in comparison.line_of(found)


def test_quantised_convolutions_are_counted(tmp_path, monkeypatch) -> None:
    model = small_network()
    chosen = {each.name for each in sort_convolutions(model).eligible}
    made, target = tmp_path / "made.onnx", tmp_path / "target.onnx"
    onnx.save(quantize_graph(model, observed_amax(), chosen, Form.TENSORRT), str(made))
    monkeypatch.setattr(comparison, "answers", lambda graph, judged: [{"v": np.ones(4)}])
    copy = f"import shutil; shutil.copy({str(made)!r}, {str(target)!r})"
    before = [{"v": np.array([1.0, 1.0, 1.0, -1.0])}]
    found = comparison.judge("tool", "max", [sys.executable, "-c", copy], target, before, [])
    assert (found.quantised_convolutions, found.convolutions) == (5, 6)
    assert found.quantize_nodes == 5 and found.cosine == {"v": 0.5}
    assert found.peak_mb > 1 and found.file_bytes == target.stat().st_size
    assert "5/6 convolutions, 5 Q" in comparison.line_of(found)
