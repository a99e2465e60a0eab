"""Counts of exported graphs against what runs, against torch's own counter, and as published."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from cross_view import giga_macs
from exported_once import full_ocgnet, small_published
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.roofline.counts import count_graph
from edge.bundle import ENCODER, LOCALIZER, Bundle, shipped_bundle_path
from export.graphs import graph_modules
from training.models import build

CLICKS = 3  # of the examples that graphs are traced with
GIGA = 1e9


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle.open(shipped_bundle_path())


def as_run(path: Path, clicks: int, folder: Path) -> int:
    """Multiply-accumulates of the nodes that ONNX Runtime really ran, by the shapes it met.

    Bodies of functions are inlined, nothing is fused; shapes come from its profile.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_profiling, options.profile_file_prefix = True, str(folder / "profile")
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    types = {"tensor(uint8)": np.uint8, "tensor(float16)": np.float16, "tensor(float)": np.float32}
    fed = {
        each.name: np.ones(
            [clicks if isinstance(d, str) else d for d in each.shape], types[each.type]
        )
        for each in session.get_inputs()
    }
    session.run(None, fed)
    events = json.loads(Path(session.end_profiling()).read_text())
    total = 0
    for event in events:
        shapes = event.get("args", {})
        if "output_type_shape" not in shapes:
            continue
        (made,) = shapes["output_type_shape"][0].values()
        read = [next(iter(each.values())) for each in shapes["input_type_shape"]]
        if shapes["op_name"] == "Conv":
            total += math.prod(made) * math.prod(read[1][1:])
        elif shapes["op_name"] in ("MatMul", "Gemm"):
            total += math.prod(made) * read[0][-1]
    return total


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(("kind", "clicks"), [(ENCODER, 1), (LOCALIZER, 1), (LOCALIZER, 8)])
def test_the_shipped_graphs_do_what_is_counted(shipped, tmp_path, precision, kind, clicks):
    path = shipped.graph(kind, precision)
    assert count_graph(path, clicks).macs == as_run(path, clicks, tmp_path)


def test_clicks_of_the_shipped_localizer_cost_little_beside_its_frame(shipped):
    one, nine = (count_graph(shipped.graph(LOCALIZER, "fp16"), n) for n in (1, 9))
    assert 0 < nine.macs - one.macs < 0.06 * one.macs
    assert nine.weight_bytes == one.weight_bytes and nine.input_bytes > one.input_bytes


def test_float16_graphs_have_half_the_bytes(shipped):
    for kind in (ENCODER, LOCALIZER):
        single, half = (count_graph(shipped.graph(kind, p), 1) for p in ("fp32", "fp16"))
        assert half.weight_bytes / single.weight_bytes == pytest.approx(0.5, abs=0.03)
        assert half.between_bytes / single.between_bytes == pytest.approx(0.5, abs=0.06)


def macs_in_torch(module: Callable[..., object], example) -> int:
    """By torch's counter, which does not see the fused attention of a processor."""
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(*example)
    return counter.get_total_flops() // 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"), [("ocgnet", {"fold_head": False}), ("attengeo", {"iterations": 1})]
)
def test_exported_models_count_as_torch_counts(once, name, options):
    """A cosine with an attention in front, and a joint attention."""
    model, paths = small_published(once, name, **options)
    for kind, graph in graph_modules(model, "fp32").items():
        wanted = macs_in_torch(graph.module, graph.example)
        assert count_graph(paths["fp32", kind], CLICKS).macs == wanted, kind


@pytest.mark.full_size
def test_ocgnet_counts_as_published(once):
    """203.658 GMAC as published, 28.581 of them in layers that nothing reads and we leave out.

    The head is folded: u, the head's first layer over the window, moves into the encoder, and 36 of
    its 45 channels are those of one anchor at one cell. Torch counts both parts to the last digit.
    """
    paths = full_ocgnet(once)
    encoder, localizer = (count_graph(paths["fp16", kind], 1).macs for kind in (ENCODER, LOCALIZER))
    with torch.device("meta"):
        model = build("ocgnet").eval()
        assert encoder == macs_in_torch(model.encode_reference, (torch.empty(1, 3, 1024, 1024),))
    assert localizer / GIGA == pytest.approx(giga_macs(model)[1], rel=1e-12)
    assert (encoder + localizer) / GIGA == pytest.approx(203.658 - 28.581, abs=0.05)
