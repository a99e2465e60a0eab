"""nvidia-ml-py without a driver: the functions that are called, and the errors that it raises."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any


class FakeNvml(ModuleType):
    """One module with its GPUs; every fact of them may be changed, or be an error."""

    NVML_TEMPERATURE_GPU, NVML_CLOCK_SM, NVML_CLOCK_MEM = 0, 1, 2

    class NVMLError(Exception):
        """Base of all that NVML answers with."""

    def __init__(self, gpus: int = 1, *, no_driver: bool = False) -> None:
        super().__init__("pynvml")
        self.no_driver = no_driver
        self.gpus = [
            SimpleNamespace(
                uuid=f"GPU-{index}", index=index, milliwatts=70_000, deg_c=41, reasons=0
            )
            for index in range(gpus)
        ]

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's own names, here and below
        if self.no_driver:
            raise self.NVMLError("NVML Shared Library Not Found")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:  # noqa: N802
        return self.gpus[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Any:  # noqa: N802
        for gpu in self.gpus:
            if gpu.uuid == uuid:
                return gpu
        raise self.NVMLError("Not Found")

    def nvmlDeviceGetIndex(self, gpu: Any) -> int:  # noqa: N802
        return gpu.index

    def nvmlDeviceGetPowerUsage(self, gpu: Any) -> int:  # noqa: N802
        return self._known(gpu.milliwatts)

    def nvmlDeviceGetTemperature(self, gpu: Any, sensor: int) -> int:  # noqa: N802
        assert sensor == self.NVML_TEMPERATURE_GPU
        return self._known(gpu.deg_c)

    def nvmlDeviceGetClockInfo(self, gpu: Any, kind: int) -> int:  # noqa: N802
        return {self.NVML_CLOCK_SM: 1980, self.NVML_CLOCK_MEM: 2619}[kind]

    def nvmlDeviceGetEnforcedPowerLimit(self, gpu: Any) -> int:  # noqa: N802
        return 350_000

    def nvmlDeviceGetCurrentClocksEventReasons(self, gpu: Any) -> int:  # noqa: N802
        return self._known(gpu.reasons)

    def _known(self, value: int | None) -> int:
        if value is None:
            raise self.NVMLError("Not Supported")
        return value
