"""The peaks of a graph against numpy, and what of a graph is left out."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.selection.peaks import peak_features, peak_probe
from edge.bundle import LOCALIZER, Bundle, shipped_bundle_path
from edge.errors import CalibrationError

onnx = pytest.importorskip("onnx")


def small_graph(path, joined: bool = False):
    """Two 1 x 1 convolutions of the picture; `joined` needs another input before them."""
    make, kind = onnx.helper, onnx.TensorProto
    first = np.array([[1, 0, 0], [0, -2, 0]], np.float32).reshape(2, 3, 1, 1)
    second = np.array([[3, 1]], np.float32).reshape(1, 2, 1, 1)
    start = "shifted" if joined else "floats"
    nodes = [
        make.make_node("Cast", ["picture"], ["numbers"], to=kind.FLOAT),
        make.make_node("Transpose", ["numbers"], ["planes"], perm=[2, 0, 1]),
        make.make_node("Unsqueeze", ["planes", "axes"], ["floats"]),
        make.make_node("Add", ["floats", "other"], ["shifted"]),
        make.make_node("Conv", [start, "first"], ["a"]),
        make.make_node("Conv", ["a", "second"], ["b"]),
        make.make_node("Conv", ["shifted", "first"], ["elsewhere"]),
    ]
    graph = make.make_graph(
        nodes,
        "small",
        [
            make.make_tensor_value_info("picture", kind.UINT8, [4, 5, 3]),
            make.make_tensor_value_info("other", kind.FLOAT, [1]),
        ],
        [make.make_tensor_value_info(x, kind.FLOAT, None) for x in ("b", "elsewhere")],
        [
            onnx.numpy_helper.from_array(first, "first"),
            onnx.numpy_helper.from_array(second, "second"),
            onnx.numpy_helper.from_array(np.array([0]), "axes"),
        ],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(path))
    return path


def test_peaks_are_those_of_numpy(tmp_path):
    probe = peak_probe(small_graph(tmp_path / "g.onnx"))
    picture = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    wide = picture.astype(np.float64)
    both = np.stack([wide[..., 0], -2 * wide[..., 1]])
    expected = [np.abs(both).max(), np.abs(3 * both[0] + both[1]).max()]
    assert probe(picture) == pytest.approx(expected)  # `elsewhere` needs more than the picture


def test_a_graph_that_never_sees_the_picture_alone(tmp_path):
    with pytest.raises(CalibrationError, match="no convolution that sees the picture alone"):
        peak_probe(small_graph(tmp_path / "g.onnx", joined=True))


def test_both_graphs_of_the_shipped_bundle():
    bundle = Bundle.open(shipped_bundle_path())
    maker = peak_features(bundle, threads=1)
    frame = np.random.default_rng(3).integers(0, 256, (512, 512, 3)).astype(np.uint8)
    found = maker.frame(frame)
    model = onnx.load(str(bundle.graph(LOCALIZER, "fp32")))
    assert len(found) == sum(node.op_type == "Conv" for node in model.graph.node)
    assert np.isfinite(found).all()
    assert (found > 0).all()
    window = maker.window(np.tile(frame, (2, 2, 1)))
    assert np.isfinite(window).all()
    assert len(window) > 10
    assert maker.name == peak_features(bundle).name
    alone = peak_features(bundle, windows=False)
    assert alone.window is None
    assert alone.name != maker.name
