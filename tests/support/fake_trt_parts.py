"""What the halves of the fake TensorRT share: enumerations, the logger, owners, and knobs."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


@dataclass
class Knobs:
    """What goes wrong on purpose."""

    refuse_enqueue: bool = False
    refuse_address: str = ""  # of this tensor
    refuse_library: bool = False
    not_capturable: bool = False
    allocates_in_capture: bool = False
    cache_is_foreign: bool = False
    refuse_report: bool = False  # to the profiler
    fail_after_runs: int | None = None  # of one context
    log: list[str] = field(default_factory=list)  # calls that matter, in their order


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def log(self, severity: int, msg: str) -> None:
        raise NotImplementedError


class IProfiler:
    def report_layer_time(self, layer_name: str, ms: float) -> None:
        raise NotImplementedError


DataType = IntEnum("DataType", ["FLOAT", "HALF", "INT8", "INT32", "BOOL", "UINT8", "INT64"])
TensorIOMode = IntEnum("TensorIOMode", ["NONE", "INPUT", "OUTPUT"])
ExecutionContextAllocationStrategy = IntEnum(
    "ExecutionContextAllocationStrategy", ["STATIC", "ON_PROFILE_CHANGE", "USER_MANAGED"]
)
LayerInformationFormat = IntEnum("LayerInformationFormat", ["ONELINE", "JSON"])
CudaGraphStrategy = IntEnum("CudaGraphStrategy", ["DISABLED", "WHOLE_GRAPH_CAPTURE"])
DynamicShapesKernelSpecializationStrategy = IntEnum(
    "DynamicShapesKernelSpecializationStrategy", ["LAZY", "EAGER", "NONE"]
)


class Owned:
    """An object of TensorRT: must end before its owner, and with the device current."""

    def __init__(self, module: Any, owner: Owned | None) -> None:
        self._module, self._owner = module, owner and weakref.ref(owner)
        self._alive = 0
        if owner is not None:
            owner._alive += 1
        module.gpu.enter("TensorRT")  # needs a current context

    def __del__(self) -> None:
        name, gpu = type(self).__name__, self._module.gpu
        owner = self._owner() if self._owner is not None else None
        if self._owner is not None and owner is None:
            gpu.violations.append(f"{name} outlived its owner")
        if owner is not None:
            owner._alive -= 1
        if self._alive:
            gpu.violations.append(f"{name} ended while {self._alive} of its own are alive")
        if not gpu.depth:
            gpu.violations.append(f"{name} ended without a current device")
