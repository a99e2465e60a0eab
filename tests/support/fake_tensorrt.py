"""`tensorrt` and `tensorrt_rtx` without a GPU: runs the ONNX graph, and enforces every rule.

An "engine" is a small JSON text that names an ONNX file. Its inputs are read from the memory of a
FakeGpu when the stream is synchronised, the graph runs in ONNX Runtime, and its outputs are written
to that memory. Enforced: the registry comes before deserialisation; a profile before shapes, shapes
and addresses before a run; addresses lie in live memory that is large enough; scratch memory is
set; a first run comes before a capture; a graph is replayed with the addresses that it was captured
with; contexts end before their engine, the engine before its runtime. Building is forbidden.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from fake_gpu import BrokenRuleError, FakeGpu
from fake_trt_context import IExecutionContext, IRuntimeConfig
from fake_trt_parts import (
    CudaGraphStrategy,
    DataType,
    DynamicShapesKernelSpecializationStrategy,
    ExecutionContextAllocationStrategy,
    ILogger,
    IProfiler,
    Knobs,
    LayerInformationFormat,
    Owned,
    TensorIOMode,
)

SCRATCH_BYTES = 4096  # of a profile, for each click
FORBIDDEN = ("Builder", "OnnxParser", "NetworkDefinitionCreationFlag", "IBuilderConfig")
DTYPES = {"uint8": "UINT8", "float16": "HALF", "float32": "FLOAT"}


def fake_plan(
    onnx: Path,
    buckets: tuple[int, ...] = (),
    plugin: bool = False,
    layers: Sequence[dict[str, Any]] = (),
    times_ms: Sequence[dict[str, float]] = (),
) -> bytes:
    """The content of an `engine.plan`.

    `layers`: rows of the inspector's table. `times_ms`: what a profiler is told after each run, by
    name, over and over.
    """
    text = {"onnx": str(onnx), "buckets": buckets, "plugin": plugin}
    return json.dumps({**text, "layers": list(layers), "times_ms": list(times_ms)}).encode()


def fake_tensorrt(gpu: FakeGpu, name: str = "tensorrt", version: str = "10.3.0") -> ModuleType:
    """A module to put at `name` in sys.modules; its `knobs` make things go wrong."""
    module = _Module(name)
    module.__version__ = version
    module.gpu, module.knobs = gpu, Knobs()
    module.libraries = []  # of the registry
    module.ILogger, module.DataType, module.TensorIOMode = ILogger, DataType, TensorIOMode
    module.ExecutionContextAllocationStrategy = ExecutionContextAllocationStrategy
    module.IProfiler, module.LayerInformationFormat = IProfiler, LayerInformationFormat
    registry = IPluginRegistry(module)
    module.get_plugin_registry = lambda: registry
    module.Runtime = lambda logger: Runtime(module, logger)
    if name == "tensorrt_rtx":
        module.CudaGraphStrategy = CudaGraphStrategy
        kinds = DynamicShapesKernelSpecializationStrategy
        module.DynamicShapesKernelSpecializationStrategy = kinds
    return module


class _Module(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name in FORBIDDEN:
            raise BrokenRuleError(f"the runtime touched {name}: it must never build")
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


class IPluginRegistry:
    def __init__(self, module: Any) -> None:
        self._module = module

    def load_library(self, plugin_path: str) -> object | None:
        self._module.knobs.log.append("load_library")
        if not Path(plugin_path).is_absolute() or not Path(plugin_path).is_file():
            raise BrokenRuleError(f"a plugin library is loaded by absolute path: {plugin_path}")
        if plugin_path in self._module.libraries:
            raise BrokenRuleError("the same library is loaded twice")
        if self._module.knobs.refuse_library:
            return None
        self._module.libraries.append(plugin_path)
        return object()


class Runtime(Owned):
    def __init__(self, module: Any, logger: ILogger) -> None:
        if not isinstance(logger, ILogger):
            raise BrokenRuleError("a runtime needs a logger")
        super().__init__(module, None)
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: Any) -> ICudaEngine | None:
        self._module.knobs.log.append("deserialize")
        try:
            plan = json.loads(bytes(memoryview(serialized_engine)))
        except ValueError:
            self._logger.log(ILogger.ERROR, "Error Code 1: Serialization (magicTag failed)")
            return None
        if plan["plugin"] and not self._module.libraries:
            self._logger.log(ILogger.ERROR, "getPluginCreator could not find TileAttention")
            return None
        return ICudaEngine(self._module, self, plan)


class EngineInspector(Owned):
    execution_context: IExecutionContext | None = None

    def __init__(self, module: Any, engine: ICudaEngine) -> None:
        super().__init__(module, engine)
        self._layers = engine._layers

    def get_engine_information(self, format: LayerInformationFormat) -> str:
        if self.execution_context is None or format != LayerInformationFormat.JSON:
            raise BrokenRuleError("types of open shapes are unknown without a context")
        return json.dumps({"Layers": self._layers})


class ICudaEngine(Owned):
    def __init__(self, module: Any, runtime: Runtime, plan: dict[str, Any]) -> None:
        import onnxruntime

        super().__init__(module, runtime)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            plan["onnx"], options, providers=["CPUExecutionProvider"]
        )
        self._buckets = tuple(plan["buckets"])
        self._layers, self._times_ms = plan["layers"], plan["times_ms"]
        self._tensors: dict[str, tuple[TensorIOMode, np.dtype, tuple[int, ...]]] = {}
        kinds = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}
        for mode, nodes in (
            (TensorIOMode.INPUT, self._session.get_inputs()),
            (TensorIOMode.OUTPUT, self._session.get_outputs()),
        ):
            for node in nodes:
                shape = tuple(-1 if isinstance(size, str) else size for size in node.shape)
                self._tensors[node.name] = mode, np.dtype(kinds[node.type]), shape

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    @property
    def num_optimization_profiles(self) -> int:
        return max(1, len(self._buckets))

    def get_tensor_name(self, index: int) -> str:
        return list(self._tensors)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return self._tensors[name][0]

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType[DTYPES[self._tensors[name][1].name]]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._tensors[name][2]

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        return [self._sized(name, profile_index)] * 3

    def get_device_memory_size_for_profile_v2(self, profile_index: int) -> int:
        return SCRATCH_BYTES * (self._buckets[profile_index] if self._buckets else 1)

    def create_engine_inspector(self) -> EngineInspector:
        return EngineInspector(self._module, self)

    def create_runtime_config(self) -> IRuntimeConfig:
        if self._module.__name__ != "tensorrt_rtx":
            raise AttributeError("create_runtime_config")  # not in 10.3
        return IRuntimeConfig(self._module, self)

    def create_execution_context(
        self,
        strategy: ExecutionContextAllocationStrategy | None = None,
        runtime_config: IRuntimeConfig | None = None,
    ) -> IExecutionContext:
        if runtime_config is not None:
            strategy = runtime_config.strategy
        if strategy != ExecutionContextAllocationStrategy.USER_MANAGED:
            raise BrokenRuleError("the contexts shall share scratch memory that is accounted")
        return IExecutionContext(self._module, self, runtime_config)

    def _sized(self, name: str, profile: int) -> tuple[int, ...]:
        count = self._buckets[profile] if self._buckets else 0
        return tuple(count if size < 0 else size for size in self._tensors[name][2])
