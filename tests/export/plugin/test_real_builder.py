"""TileAttention in an engine of TensorRT-RTX, which builds without a GPU; where it is installed."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from rtx_builder import build

from export.plugin.random_cases import VARIANTS, random_case
from export.plugin.tile_attention import OUTPUTS
from export.plugin.tile_attention_onnx import OPSET, add_bodies
from export.plugin.tile_attention_op import TileAttention

pytestmark = pytest.mark.slow
INPUTS = ("query", "v", "u", "prior_xy_px", "prior_inv_var")


def exported(folder: Path, variant: str, dtype: torch.dtype, attention: bool) -> Path:
    case = random_case(0, 3, 64, 32, (16, 16), settings=VARIANTS[variant])
    given = [torch.from_numpy(getattr(case, name)) for name in INPUTS]
    given[:3] = [t.to(dtype) for t in given[:3]]
    clicks = torch.export.Dim("clicks", min=1, max=64)
    model = torch.onnx.export(
        TileAttention(case.head, case.settings, attention).eval(),
        tuple(given),
        dynamo=True,
        opset_version=OPSET,
        input_names=list(INPUTS),
        output_names=list(OUTPUTS[: 6 if attention else 5]),
        dynamic_shapes=({0: clicks}, None, None, {0: clicks}, {0: clicks}),
        verbose=False,
    ).model_proto
    assert add_bodies(model) == 1
    path = folder / "graph.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("variant", "dtype", "attention"),
    [
        ("detgeo", torch.float16, True),
        ("mogeo", torch.float32, True),
        ("lite", torch.float16, False),
    ],
)
def test_the_plugin_is_a_layer(built_plugin, tmp_path, variant, dtype, attention):
    graph = exported(tmp_path, variant, dtype, attention)
    made = build(graph, built_plugin, tmp_path)
    assert made["errors"] == [] and made["bytes"] > 0
    assert made["layers"].count("custom_layer") == 1


def test_without_the_plugin_the_body_is_inlined(tmp_path):
    made = build(exported(tmp_path, "lite", torch.float16, True), None, tmp_path)
    assert made["bytes"] > 0 and made["layers"]
    assert "custom_layer" not in made["layers"]


def test_a_profile_of_too_many_clicks_is_refused(built_plugin, tmp_path):
    graph = exported(tmp_path, "lite", torch.float16, True)
    made = build(graph, built_plugin, tmp_path, most_clicks=65)
    assert made["bytes"] == 0
    assert "configurePlugin" in "".join(made["errors"])
