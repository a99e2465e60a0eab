"""Opening the plugin's library: `export.plugin.launcher` and its siblings call into it."""

from __future__ import annotations

import ctypes
from pathlib import Path

from edge.errors import ExecutorError

REFUSALS = {  # csrc/interface.h; -1 is each kernel's own
    -2: "a null pointer",
    -3: "a library built from other headers",
}


def open_library(path: Path, *symbols: str) -> ctypes.CDLL:
    """Load `tilefix plugin build`'s library, or the host's imitation of it.

    Raises:
        ExecutorError: the file is missing, or lacks one of the symbols.
    """
    try:
        library = ctypes.CDLL(str(path.resolve()))
        for symbol in symbols:
            getattr(library, symbol)
    except (OSError, AttributeError) as error:
        raise ExecutorError(
            f"the plugin library {path} cannot be used",
            expected=f"a shared library with {symbols[0]}, for this machine",
            found=str(error),
            do="build it here: tilefix plugin build --out DIR",
        ) from error
    return library


def refused(
    name: str, where: str, code: int, known: dict[int, str], reason: bytes
) -> ExecutorError:
    """What to raise for a launch that answered otherwise than 0.

    Args:
        name: of the operation.
        where: it was refused.
        code: negative: the library's own; positive: a cudaError_t.
        known: the kernel's own codes.
        reason: what the plugin complained of.
    """
    text = (known | REFUSALS).get(code, "a CUDA error of that number" if code > 0 else "")
    return ExecutorError(
        f"a {name} was refused by {where}",
        expected="0",
        found=f"{code}: {text}{reason.decode()}",
        do=f"check the sizes against csrc/{name.replace(' ', '_')}.h, and the GPU with nvidia-smi",
    )


def no_plugin(path: Path, symbol: str) -> ExecutorError:
    """What to raise where kernels are there and TensorRT's shell is not."""
    return ExecutorError(
        f"the library {path} has no TensorRT plugin in it",
        expected=symbol,
        found="kernels only",
        do="build it with TensorRT's headers: tilefix plugin build --out DIR",
    )
