"""Exports with CrossAttention in place of the models' own attentions between the views."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from exported_once import small_published

from edge.bundle import ENCODER, LOCALIZER
from edge.errors import UsageError
from edge.scoring import iou
from export.graph_types import element_types
from export.graphs import export_graphs, export_precisions
from export.type_report import report_types
from training.models import build


def run(path, fed):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, fed), strict=True))


@pytest.mark.slow
def test_every_attention_is_a_node_and_the_answers_stay(once, tmp_path):
    """The encoder has none."""
    model, paths = small_published(once, "ocgnet", fold_head=False)
    plain, count = paths["fp16", LOCALIZER], 1
    written = export_precisions(model, {"fp16": tmp_path}, True, kinds=(LOCALIZER,))
    nodes = written["fp16"][LOCALIZER]
    assert report_types(plain).custom_nodes == report_types(nodes).custom_nodes - count
    graph = onnx.load(nodes)
    types = element_types(graph)
    found = [node for node in graph.graph.node if node.op_type == "CrossAttention"]
    assert len(found) == count
    assert {types[x] for node in found for x in node.input} == {onnx.TensorProto.FLOAT16}
    assert not [n for n in graph.graph.node if n.op_type == "Softmax"]

    random = np.random.default_rng(1)
    window = random.integers(0, 255, (32, 32, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    frame = random.integers(0, 255, (8, 16, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    fed = {
        "frame": frame,
        "frame_affine": np.eye(2, 3, dtype=np.float32),
        "click_xy_px": np.float32([[20, 30], [100, 50]]),
        "prior_xy_px": np.float32([[60, 90], [180, 40]]),
        "prior_inv_var": np.float32([1 / 64, 1 / 64]),
        **run(paths["fp16", ENCODER], {"image": window}),
    }
    ours, theirs = run(nodes, fed), run(plain, fed)
    boxes = zip(ours["box_xyxy_px"].tolist(), theirs["box_xyxy_px"].tolist(), strict=True)
    assert min(iou(tuple(a), tuple(b)) for a, b in boxes) > 0.98
    np.testing.assert_allclose(ours["query_vector"], theirs["query_vector"], atol=0.02)


def test_a_model_without_such_an_attention_is_refused(tmp_path):
    small = build("lite", frame_px=64, window_px=128, width=16, embedding=16, hidden=16)
    with pytest.raises(UsageError, match="lite has no attention") as error:
        export_graphs(small, tmp_path, "fp16", attention_plugin=True)
    assert "without --attention-plugin" in error.value.do
