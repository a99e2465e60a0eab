"""TensorRT's runtime half, or that of TensorRT-RTX: library, logger, plugins, deserialisation.

Nothing here builds: neither the builder nor the parser of ONNX is touched. A missing engine is an
error that says how to build one, not a build that takes minutes in the air.
"""

from __future__ import annotations

import importlib
import mmap
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from edge.engine_manifest import ENGINE_FILE, PLUGIN_FILE, EngineManifest
from edge.errors import ExecutorError
from edge.executors.base import CLICK_COUNT, TensorSpec

FULL, RTX = "tensorrt", "tensorrt_rtx"
INSTALL = {
    FULL: "on a Jetson: sudo apt install python3-libnvinfer, in a venv made with "
    "--system-site-packages; on a PC: pip install tensorrt",
    RTX: "pip install tensorrt-rtx",
}
KEPT_MESSAGES = 4
_DTYPES: dict[str, type[np.generic]] = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "UINT8": np.uint8,
    "INT8": np.int8,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}


@dataclass(slots=True)
class TensorRt:
    """One installed TensorRT, and what this process loaded into it."""

    name: str  # FULL or RTX
    version: str  # "10.3.0"
    module: Any
    messages: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_MESSAGES))  # errors
    logger: Any = None
    plugin_sha256: str = ""  # of the plugin library that is registered; empty: none
    plugin: Any = None  # its handle

    def last_message(self, otherwise: str) -> str:
        """What TensorRT logged as errors since the last call, on one line."""
        text = " | ".join(" ".join(message.split()) for message in self.messages)
        self.messages.clear()
        return text or otherwise

    def start(self) -> Any:
        """A runtime. It comes before all else: from here on errors reach our logger."""
        self.messages.clear()
        return self.module.Runtime(self.logger)

    def load_plugin(self, folder: Path, manifest: EngineManifest, rebuild: str) -> None:
        """Register the plugin library that an engine calls; its sha256 was checked before.

        Loaded by absolute path, once in a process, since the registry refuses a second time; and
        never unloaded, since engines of other executors may call it.

        Args:
            folder: of the engine.
            manifest: of the engine.
            rebuild: the command that builds both again, for the error.

        Raises:
            ExecutorError: it cannot be loaded, or another one is there already.
        """
        wanted = manifest.key.plugin_sha256
        if wanted in ("", self.plugin_sha256):
            return
        path = (folder / PLUGIN_FILE).resolve()
        if self.plugin_sha256:
            raise ExecutorError(
                "two engines of this process need two different plugin libraries",
                expected=f"{PLUGIN_FILE} of sha256 {self.plugin_sha256}, which is loaded",
                found=f"sha256 {wanted}, {path}",
                do=f"build both engines with the same plugin: {rebuild}",
            )
        self.messages.clear()
        handle = self.module.get_plugin_registry().load_library(str(path))
        if handle is None:
            raise ExecutorError(
                f"{self.name} cannot load the plugin library {path}",
                expected="a library of V3 plugins for this machine's architecture and CUDA",
                found=self.last_message("no reason was given"),
                do=f"build plugin and engine on this device: {rebuild}",
            )
        self.plugin_sha256, self.plugin = wanted, handle

    def deserialise(self, runtime: Any, folder: Path, rebuild: str) -> Any:
        """The engine in a folder whose manifest was checked, read through a mapped file.

        Args:
            runtime: of `start`.
            folder: of the engine.
            rebuild: the command that builds it again, for the error.

        Raises:
            ExecutorError: TensorRT refuses the engine.
        """
        self.messages.clear()
        path = folder / ENGINE_FILE
        with (
            path.open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as plan,
        ):
            engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise ExecutorError(
                f"{self.name} {self.version} refuses the engine {path}",
                expected="an engine of this version, for this GPU, with memory to load it",
                found=self.last_message("no reason was given"),
                do=f"build it again on this device: {rebuild}",
            )
        return engine

    def signature(self, engine: Any) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """Inputs and outputs of an engine.

        Raises:
            ExecutorError: a type that tilefix does not use, or clicks that are not the first axis.
        """
        sides: dict[bool, list[TensorSpec]] = {True: [], False: []}
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            dtype = engine.get_tensor_dtype(name).name
            shape = tuple(engine.get_tensor_shape(name))
            if dtype not in _DTYPES or any(size < 0 for size in shape[1:]):
                raise ExecutorError(
                    f"the engine has a tensor {name!r} that tilefix does not use",
                    expected=f"one of {', '.join(_DTYPES)}; at most the first size open",
                    found=f"{dtype} {list(shape)}",
                    do="export the bundle again with this version of tilefix, and build it",
                )
            dims = tuple(CLICK_COUNT if size < 0 else int(size) for size in shape)
            is_input = engine.get_tensor_mode(name) == self.module.TensorIOMode.INPUT
            sides[is_input].append(TensorSpec(name, np.dtype(_DTYPES[dtype]), dims))
        return tuple(sides[True]), tuple(sides[False])


_LOADED: dict[ModuleType, TensorRt] = {}  # one logger and one registry for the whole process


def load_tensorrt(name: str, executor: str) -> TensorRt:
    """Import TensorRT or TensorRT-RTX, once in a process.

    Raises:
        ExecutorError: it is not installed, or one of its libraries is missing.
    """
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError) as error:  # OSError: its wheel loads libraries by hand
        raise ExecutorError(
            f"the executor {executor} is not available",
            expected=f"the library {name}",
            found=str(error),
            do=INSTALL[name],
        ) from error
    if module not in _LOADED:
        loaded = TensorRt(name, str(module.__version__), module)
        loaded.logger = _logger(module, loaded.messages)
        _LOADED[module] = loaded
    return _LOADED[module]


def _logger(module: Any, messages: deque[str]) -> Any:
    """A logger that keeps errors for our own error texts, and prints nothing."""
    kept = (module.ILogger.ERROR, module.ILogger.INTERNAL_ERROR)

    class Kept(module.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            module.ILogger.__init__(self)  # pybind11 wants it by name

        def log(self, severity: Any, msg: str) -> None:
            if severity in kept:
                messages.append(msg)

    return Kept()
