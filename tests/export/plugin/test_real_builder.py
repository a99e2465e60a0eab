"""The plugin in an engine of TensorRT-RTX, which builds without a GPU; where it is installed.

Each build runs in a process of its own: the parser aborts the process when it cannot load itself,
which the wheel's missing `libtensorrt_rtx.so` would bring about.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import torch

from export.plugin.random_cases import VARIANTS, random_case
from export.plugin.tile_attention import OUTPUTS
from export.plugin.tile_attention_onnx import OPSET, add_bodies
from export.plugin.tile_attention_op import TileAttention

pytestmark = pytest.mark.slow
INPUTS = ("query", "v", "u", "prior_xy_px", "prior_inv_var")
BUILD = """
import json, re, sys
import tensorrt_rtx as trt

class Log(trt.ILogger):
    def __init__(self):
        trt.ILogger.__init__(self)
        self.lines = []
    def log(self, severity, text):
        self.lines.append((severity, text))

graph, library, most = sys.argv[1], sys.argv[2], int(sys.argv[3])
if library:
    trt.get_plugin_registry().load_library(library)
log = Log()
builder = trt.Builder(log)
network = builder.create_network(0)
parser = trt.OnnxParser(network, log)
assert parser.parse_from_file(graph), [str(parser.get_error(i)) for i in range(parser.num_errors)]
config = builder.create_builder_config()
config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
config.num_compute_capabilities = 1
config.set_compute_capability(trt.ComputeCapability.SM86, 0)
profile = builder.create_optimization_profile()
for i in range(network.num_inputs):
    tensor = network.get_input(i)
    if -1 in tuple(tensor.shape):
        shapes = [[n if x == -1 else x for x in tensor.shape] for n in (1, 8, most)]
        profile.set_shape(tensor.name, *shapes)
config.add_optimization_profile(profile)
plan = builder.build_serialized_network(network, config)
table = "\\n".join(text for _, text in log.lines if "LayerType" in text)
errors = [t for s, t in log.lines if s in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR)]
print(json.dumps({
    "bytes": plan.nbytes if plan is not None else 0,
    "layers": re.findall(r"LayerType: (\\w+)", table),
    "errors": errors,
}))
"""


def build(graph: Path, library: Path | None, folder: Path, most_clicks: int = 64) -> dict:
    if importlib.util.find_spec("tensorrt_rtx") is None:
        pytest.skip("tensorrt_rtx is not installed: pip install tensorrt-rtx")
    spec = importlib.util.find_spec("tensorrt_rtx_libs")
    assert spec is not None and spec.submodule_search_locations
    link = folder / "libtensorrt_rtx.so"
    if not link.exists():
        link.symlink_to(Path(spec.submodule_search_locations[0]) / "libtensorrt_rtx.so.1")
    script = [sys.executable, "-c", BUILD, graph, str(library or ""), str(most_clicks)]
    env = {**os.environ, "LD_LIBRARY_PATH": str(folder)}
    done = subprocess.run(script, capture_output=True, text=True, env=env, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


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
