"""CrossAttention in an engine of TensorRT-RTX, and inlined into TensorRT's own fused attention."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from made_once import MadeOnce
from rtx_builder import build
from torch import Tensor, nn

from export.plugin.attention_swap import SwappedTokenAttention, swap_cvcam
from export.plugin.cross_attention_onnx import OPSET, add_bodies
from training.models.cvcam import Cvcam, CvcamOptions
from training.models.cvopm import TokenAttention

pytestmark = pytest.mark.slow
FUSED = "_gemm_mha_v2"  # TensorRT's kernel for the pattern


def cvcam() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Three attentions with positions, 8 heads of 32."""
    part = Cvcam(CvcamOptions(256, ffn=64, iterations=1)).eval()
    assert swap_cvcam(part, (8, 8), (16, 16)) == 3
    return part, (torch.randn(3, 256, 8, 8), torch.randn(3, 256, 16, 16))


def tokens() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """One attention without positions, 2 heads of 64."""
    part = SwappedTokenAttention(TokenAttention(128, 128)).eval()
    return part, (torch.randn(3, 256, 128), torch.randn(3, 64, 128))


def exported(once: MadeOnce, kind: str, dtype: torch.dtype) -> tuple[Path, int]:
    """The graph's file, for 1 to 64 clicks, and its CrossAttention nodes."""
    path = once(f"{kind} in {dtype}", lambda home: export(home, kind, dtype)) / "graph.onnx"
    nodes = onnx.load(path).graph.node
    return path, sum(node.op_type == "CrossAttention" for node in nodes)


def export(folder: Path, kind: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    part, given = {"cvcam": cvcam, "tokens": tokens}[kind]()
    clicks = torch.export.Dim("clicks", min=1, max=64)
    model = torch.onnx.export(
        part.to(dtype),
        tuple(t.to(dtype) for t in given),
        dynamo=True,
        opset_version=OPSET,
        input_names=["one", "other"],
        dynamic_shapes=({0: clicks}, {0: clicks}),
        verbose=False,
    ).model_proto
    add_bodies(model)
    onnx.save(model, folder / "graph.onnx")


@pytest.mark.parametrize(
    ("kind", "dtype", "nodes"),
    [("cvcam", torch.float16, 3), ("tokens", torch.float16, 1), ("tokens", torch.float32, 1)],
)
def test_the_plugin_is_a_layer(built_plugin, once, tmp_path, kind, dtype, nodes):
    graph, found = exported(once, kind, dtype)
    made = build(graph, built_plugin, tmp_path)
    assert made["errors"] == [] and made["bytes"] > 0
    assert made["layers"].count("custom_layer") == nodes == found
    assert not any(FUSED in name for name in made["names"])


@pytest.mark.parametrize("kind", ["cvcam", "tokens"])
def test_without_the_plugin_the_body_becomes_tensorrts_own(once, tmp_path, kind):
    graph, nodes = exported(once, kind, torch.float16)
    made = build(graph, None, tmp_path)
    assert made["bytes"] > 0 and "custom_layer" not in made["layers"]
    assert sum(FUSED in name for name in made["names"]) == nodes
