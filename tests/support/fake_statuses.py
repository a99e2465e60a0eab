"""What the fake driver answers with, and what it never forgives."""

from __future__ import annotations

OUT_OF_MEMORY, NO_CONTEXT, CAPTURE_UNSUPPORTED, CAPTURE_INVALID = 2, 201, 900, 901
NAMES = {
    1: "CUDA_ERROR_INVALID_VALUE",
    2: "CUDA_ERROR_OUT_OF_MEMORY",
    100: "CUDA_ERROR_NO_DEVICE",
    201: "CUDA_ERROR_INVALID_CONTEXT",
    209: "CUDA_ERROR_NO_BINARY_FOR_GPU",
    218: "CUDA_ERROR_INVALID_PTX",
    221: "CUDA_ERROR_JIT_COMPILER_NOT_FOUND",
    222: "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
    400: "CUDA_ERROR_INVALID_HANDLE",
    500: "CUDA_ERROR_NOT_FOUND",
    700: "CUDA_ERROR_ILLEGAL_ADDRESS",
    900: "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
    901: "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
}
# As the driver's cuGetErrorString has them; the others stand for themselves.
TEXTS = NAMES | {
    2: "out of memory",
    100: "no CUDA-capable device is detected",
    200: "device kernel image is invalid",
    300: "device kernel image is invalid",
    218: "a PTX JIT compilation failed",
    221: "PTX JIT compiler library not found",
    222: "the provided PTX was compiled with an unsupported toolchain.",
}


class BrokenRuleError(AssertionError):
    """A program did what it must never do."""


class RefusedError(Exception):
    """The driver answers with a status other than success."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(NAMES.get(code, f"status {code}"))
