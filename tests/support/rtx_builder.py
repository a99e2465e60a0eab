"""An engine of TensorRT-RTX from an ONNX file, in a process of its own; without a GPU.

The parser aborts its process when it cannot load itself, which the wheel's missing
`libtensorrt_rtx.so` would bring about.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
    "names": re.findall(r"Name: ([^,]+), LayerType", table),
    "layers": re.findall(r"LayerType: (\\w+)", table),
    "errors": errors,
}))
"""


def build(graph: Path, library: Path | None, folder: Path, most_clicks: int = 64) -> dict:
    """Bytes, layer types and names, and errors of the build; `folder` is for scratch."""
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
