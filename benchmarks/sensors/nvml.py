"""What NVML says of a desktop GPU, through nvidia-ml-py; loaded only when asked."""

from __future__ import annotations

import importlib
import os
from typing import Any

from benchmarks.record.lines import Unknown

INSTALL = "pip install 'tilefix[nvml]'"
# Bits of nvmlClocksEventReasons that mean: slower than asked, for power or heat (nvml.h).
REASONS = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
MILLI = 1e-3


class NvmlGpu:
    """One GPU. What it does not tell is None, not an error."""

    def __init__(self, nvml: Any, handle: Any, index: int) -> None:
        """Use `open_nvml`."""
        self._nvml, self._handle = nvml, handle
        self.name = f"GPU{index} (NVML)"

    def watts(self) -> float | None:
        """Power of the card now, over the last fraction of a second as its sensor averages."""
        value = self._ask("nvmlDeviceGetPowerUsage")
        return None if value is None else MILLI * value

    def deg_c(self) -> float | None:
        """Temperature of the chip."""
        value = self._ask("nvmlDeviceGetTemperature", self._nvml.NVML_TEMPERATURE_GPU)
        return None if value is None else float(value)

    def clocks_mhz(self) -> dict[str, float]:
        """Of the multiprocessors and the memory."""
        kinds = {"gpu": self._nvml.NVML_CLOCK_SM, "gpu memory": self._nvml.NVML_CLOCK_MEM}
        values = {name: self._ask("nvmlDeviceGetClockInfo", kind) for name, kind in kinds.items()}
        return {name: float(value) for name, value in values.items() if value is not None}

    def power_limit_w(self) -> float | None:
        """The limit that is enforced."""
        value = self._ask("nvmlDeviceGetEnforcedPowerLimit")
        return None if value is None else MILLI * value

    def slowdowns(self) -> tuple[str, ...] | None:
        """Why it runs slower than asked, if it does; None: it does not say."""
        asked = "nvmlDeviceGetCurrentClocksEventReasons"
        if not hasattr(self._nvml, asked):  # its name before driver 535
            asked = "nvmlDeviceGetCurrentClocksThrottleReasons"
        bits = self._ask(asked)
        return None if bits is None else tuple(v for bit, v in REASONS.items() if bits & bit)

    def _ask(self, function: str, *arguments: Any) -> Any:
        try:
            return getattr(self._nvml, function)(self._handle, *arguments)
        except self._nvml.NVMLError:
            return None


def open_nvml() -> NvmlGpu | Unknown:
    """The GPU that CUDA takes first; Unknown with the reason where that cannot be told."""
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ImportError:
        return Unknown(f"NVML is not installed for Python: {INSTALL}")
    try:
        nvml.nvmlInit()  # counted by the library; given back with the process
        count = nvml.nvmlDeviceGetCount()
        chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
        if chosen.startswith("GPU-"):
            handle = nvml.nvmlDeviceGetHandleByUUID(chosen)
            index = nvml.nvmlDeviceGetIndex(handle)
        elif count == 1:
            index, handle = 0, nvml.nvmlDeviceGetHandleByIndex(0)
        elif chosen.isdecimal() and os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID":
            index, handle = int(chosen), nvml.nvmlDeviceGetHandleByIndex(int(chosen))
        elif count == 0:
            return Unknown("NVML sees no GPU")
        else:  # CUDA counts by speed, NVML by slot
            which = "export CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=0"
            return Unknown(f"{count} GPUs, and nothing says which one runs: {which}")
    except nvml.NVMLError as error:
        return Unknown(f"NVML does not answer: {error}")
    return NvmlGpu(nvml, handle, index)
