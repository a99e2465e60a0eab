"""CUDA graphs and statuses by the driver's own functions, for pycuda, which has none of them.

pycuda's streams are the driver's, so a stream of pycuda is captured and a graph launched into it as
with any other library.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from edge.devices.base import cuda_failure, no_driver

LIBRARY = "libcuda.so.1"
THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
_HANDLE, _OUT = ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)
# The names that cuda.h gives to the current versions of these functions.
SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuStreamBeginCapture_v2": (_HANDLE, ctypes.c_int),
    "cuStreamEndCapture": (_HANDLE, _OUT),
    "cuGraphInstantiateWithFlags": (_OUT, _HANDLE, ctypes.c_ulonglong),
    "cuGraphLaunch": (_HANDLE, _HANDLE),
    "cuGraphExecDestroy": (_HANDLE,),
    "cuGraphDestroy": (_HANDLE,),
    "cuGetErrorName": (ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)),
    "cuGetErrorString": (ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)),
}
STATUSES = range(1, 1000)  # CUDA_ERROR_UNKNOWN is the last


class DriverGraphs:
    """Capture, launch and destroy; and the number of a status that is known by its text."""

    def __init__(self, load: Callable[[str], Any] = ctypes.CDLL) -> None:
        """Load the driver's library.

        Raises:
            ExecutorError: it is not there.
        """
        try:
            self._library = load(LIBRARY)
        except OSError as error:
            raise no_driver("pycuda", error) from error
        for name, arguments in SIGNATURES.items():
            function = getattr(self._library, name)
            function.argtypes, function.restype = arguments, ctypes.c_int

    def capture(self, stream: int, work: Callable[[], None]) -> int:
        """See `DeviceBackend.capture`."""
        self._call("cuStreamBeginCapture_v2", stream, THREAD_LOCAL)
        captured, executable = ctypes.c_void_p(), ctypes.c_void_p()
        try:
            work()
        except BaseException:
            # Its own status does not count: a broken capture ends with an error, and `work` said
            # what broke it.
            self._library.cuStreamEndCapture(stream, ctypes.byref(captured))
            raise
        self._call("cuStreamEndCapture", stream, ctypes.byref(captured))
        try:
            self._call("cuGraphInstantiateWithFlags", ctypes.byref(executable), captured, 0)
        finally:
            self._call("cuGraphDestroy", captured)
        return int(executable.value or 0)

    def launch(self, graph: int, stream: int) -> None:
        """See `DeviceBackend.launch`."""
        self._call("cuGraphLaunch", graph, stream)

    def destroy(self, graph: int) -> None:
        """See `DeviceBackend.destroy_graph`."""
        self._call("cuGraphExecDestroy", graph)

    def status_of(self, failure: str) -> tuple[int, str] | None:
        """Number and name of the status in a failure of pycuda, which tells its text alone.

        Args:
            failure: "cuMemAlloc failed: out of memory", perhaps with " - " and more behind it.

        Returns:
            None where the driver knows no status of such a text, or several, as 200 and 300.
        """
        told = failure.partition(" failed: ")[2].encode()
        texts = ((code, self._text("cuGetErrorString", code)) for code in STATUSES)
        codes = [code for code, x in texts if x and (told == x or told.startswith(x + b" - "))]
        if len(codes) != 1:
            return None
        return codes[0], (self._text("cuGetErrorName", codes[0]) or b"unknown").decode()

    def _call(self, call: str, *arguments: Any) -> None:
        code = int(getattr(self._library, call)(*arguments))
        if code != 0:
            name = self._text("cuGetErrorName", code) or b"unknown"
            raise cuda_failure(call, code, name.decode())

    def _text(self, call: str, code: int) -> bytes | None:
        text = ctypes.c_char_p()  # stays empty where the driver does not know the code
        getattr(self._library, call)(code, ctypes.byref(text))
        return text.value
