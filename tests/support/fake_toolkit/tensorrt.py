"""Stands in for full TensorRT in a build: takes the same calls, in the order that it demands.

The "engine" is JSON that says what was asked for; the inspector makes its layers of the graph, as
TensorRT would: a custom node becomes a plugin layer only where a creator is registered and, before
10.7, no function body is in its way. FAKE_VERSION and FAKE_FAULT are read from the environment.
"""

import json
import os
import signal
from types import SimpleNamespace

import numpy as np
import onnx

VERSION = os.environ.get("FAKE_VERSION", "10.3.0.30")
__version__ = VERSION
NUMBERS = tuple(map(int, VERSION.split(".")))
KERNELS = b"times of kernels"
FAULT = os.environ.get("FAKE_FAULT", "")
TYPES = {
    onnx.TensorProto.FLOAT: np.float32,
    onnx.TensorProto.FLOAT16: np.float16,
    onnx.TensorProto.UINT8: np.uint8,
}
ProfilingVerbosity = SimpleNamespace(DETAILED="detailed")
BuilderFlag = SimpleNamespace(TF32="tf32")
MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
LayerInformationFormat = SimpleNamespace(JSON="json")
TensorIOMode = SimpleNamespace(INPUT="input", OUTPUT="output")
ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="user managed")
NOT_SAID = "N/A due to dynamic shapes"
DEFAULT_STREAM = 0
if NUMBERS < (11,):
    NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
_creators = []


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


def nptype(dtype):
    return TYPES[dtype]


def get_plugin_registry():
    def load(path):
        if "altered" not in path:
            names = ["TileAttention"] if "older" in path else ["TileAttention", "CrossAttention"]
            _creators.extend(SimpleNamespace(name=name) for name in names)

    return SimpleNamespace(load_library=load, all_creators=_creators)


class Builder:
    def __init__(self, logger):
        self.logger = logger

    def create_network(self, flags):
        return Network(flags)

    def create_builder_config(self):
        return Config()

    def create_optimization_profile(self):
        return Profile()

    def build_serialized_network(self, network, config):
        if FAULT in ("SIGKILL", "SIGABRT"):
            os.kill(os.getpid(), getattr(signal, FAULT))
        if FAULT == "refuse":
            self.logger.log(ILogger.ERROR, "Error Code 10: could not find any implementation")
            return None
        if FAULT == "memory":
            self.logger.log(ILogger.ERROR, "Error Code 2: OutOfMemory (Requested 8 GiB)")
            return None
        assert "tf32" not in config.flags and config.profiling_verbosity == "detailed"
        assert network.model is not None, "build before parse"
        return json.dumps(
            {
                "flags": network.flags,
                "functions": [function.name for function in network.model.functions],
                "profiles": [profile.shapes for profile in config.profiles],
                "workspace": config.workspace,
                "started_from": config.cache.content.decode(),
                "inputs": {each.name: _tensor(each).shape for each in network.model.graph.input},
                "layers": list(_layers(network.model)),
            }
        ).encode()


class Network:
    def __init__(self, flags):
        self.flags = flags
        self.model = None

    def get_flag(self, flag):
        return bool(self.flags >> flag & 1) and FAULT != "untyped"

    @property
    def num_inputs(self):
        return len(self.model.graph.input)

    @property
    def num_outputs(self):
        return len(self.model.graph.output)

    def get_input(self, i):
        return _tensor(self.model.graph.input[i])

    def get_output(self, i):
        return _tensor(self.model.graph.output[i])


class OnnxParser:
    def __init__(self, network, logger):
        self.network = network
        self.num_errors = 0

    def parse(self, graph):
        self.network.model = onnx.load_from_string(graph)
        if FAULT == "operator":
            self.num_errors = 1
        return self.num_errors == 0

    def get_error(self, i):
        return "In node 0 with name: odd and operator: Det (checkDet): UNSUPPORTED_NODE: false"


class Config:
    def __init__(self):
        self.flags = {"tf32"}
        self.profiling_verbosity = ""
        self.profiles = []
        self.workspace = 0
        self.cache = None

    def clear_flag(self, flag):
        self.flags.discard(flag)

    def set_memory_pool_limit(self, pool, size):
        self.workspace = size

    def add_optimization_profile(self, profile):
        self.profiles.append(profile)

    def create_timing_cache(self, content):
        return SimpleNamespace(content=content, serialize=lambda: KERNELS)

    def set_timing_cache(self, cache, ignore_mismatch):
        assert not ignore_mismatch
        if cache.content and FAULT == "other device's cache":
            return False
        self.cache = cache
        return True

    def get_timing_cache(self):
        return self.cache


class Profile:
    def __init__(self):
        self.shapes = {}

    def set_shape(self, name, least, best, most):
        assert least == best == most
        self.shapes[name] = most


class Runtime:
    def __init__(self, logger):
        pass

    def deserialize_cuda_engine(self, plan):
        if FAULT == "unloadable":
            return None
        return Engine(json.loads(plan))


class Engine:
    """Inputs alone; outputs are of no interest to anybody here."""

    device_memory_size_v2 = 12345

    def __init__(self, plan):
        self.plan = plan
        self.names = list(plan["inputs"])
        self.num_optimization_profiles = max(1, len(plan["profiles"]))
        self.num_io_tensors = len(self.names)

    def get_tensor_name(self, index):
        return self.names[index]

    def get_tensor_mode(self, name):
        return TensorIOMode.INPUT

    def get_tensor_shape(self, name):
        return self.plan["inputs"][name]

    def get_tensor_profile_shape(self, name, profile):
        return [self.plan["profiles"][profile][name]] * 3

    def create_execution_context(self, strategy):
        assert strategy == "user managed", "a look takes no memory"
        return None if FAULT == "no context" else Context(self)

    def create_engine_inspector(self):
        return Inspector(self)


class Context:
    def __init__(self, engine):
        self.engine = engine
        self.profile = 0
        self.open = {name for name in engine.names if -1 in engine.get_tensor_shape(name)}

    def set_optimization_profile_async(self, profile, stream):
        assert stream == DEFAULT_STREAM, "no other stream was made"
        self.profile = profile
        return 0 <= profile < self.engine.num_optimization_profiles

    def set_input_shape(self, name, shape):
        self.open.discard(name)
        wanted = self.engine.get_tensor_profile_shape(name, self.profile)[0]
        return list(shape) == list(wanted)


class Inspector:
    """Types only where a context has all its shapes; layers of the context's profile."""

    execution_context = None

    def __init__(self, engine):
        self.engine = engine

    def get_engine_information(self, form):
        context = self.execution_context
        told = not self.engine.plan["profiles"] or (context is not None and not context.open)
        rows = []
        for row in self.engine.plan["layers"]:
            profile = context.profile if context is not None else 0
            if FAULT == "lost in profile 2" and profile == 2 and row["LayerType"] == "PluginV3":
                continue
            row = dict(row)
            if not told or FAULT in ("types not said", "nothing said"):
                row["Inputs"] = row["Outputs"] = [{**row["Inputs"][0], "Format/Datatype": NOT_SAID}]
            if FAULT == "nothing said":
                row.pop("Weights", None)
            if profile:
                row["Name"] += f" [profile {profile}]"
            rows.append(row)
        return json.dumps({"Layers": rows, "Bindings": []})


def _tensor(value):
    tensor = value.type.tensor_type
    shape = [side.dim_value if side.HasField("dim_value") else -1 for side in tensor.shape.dim]
    return SimpleNamespace(name=value.name, dtype=tensor.elem_type, shape=tuple(shape))


def _layers(model):
    known = {creator.name for creator in _creators}
    bodies = {function.name for function in model.functions}
    weights = {each.name: each.data_type for each in model.graph.initializer}
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        dtype = "Half" if weights.get(node.input[-1]) == onnx.TensorProto.FLOAT16 else "Float"
        if node.op_type == "Conv" and makers.get(node.input[1]) == "DequantizeLinear":
            dtype = "Half" if FAULT == "not quantised" else "Int8"
        kind = {"Conv": "CaskConvolution", "MatMul": "MatrixMultiply"}.get(node.op_type, "kgen")
        if FAULT == "slipped" and node.op_type == "Conv":
            dtype = "Float"
        if node.op_type in known and FAULT != "inlines":
            kind = "PluginV3" if NUMBERS >= (10, 7) or node.op_type not in bodies else "kgen"
        tensor = {"Name": "t", "Dimensions": [1, 2], "Format/Datatype": f"Row major {dtype} format"}
        own = {"Weights": {"Type": dtype, "Count": 1}} if node.op_type == "Conv" else {}
        yield {
            **own,
            "Name": node.name,
            "LayerType": kind,
            "Inputs": [tensor],
            "Outputs": [tensor],
            "Metadata": f"[ONNX Layer: {node.name}]",
        }
