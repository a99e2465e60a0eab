"""The plugin's library and the kernels in it: what `launcher.py` and its siblings call."""

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


class Kernel:
    """One kernel of a library: launched by itself, or the way that TensorRT goes.

    Args:
        path: of the library.
        name: of the operation, "tile attention"; it makes the names of the symbols.
        arguments: the struct of its header.
        refusals: its own codes.
        others: symbols that it needs beside its launch and the size of its scratch memory.

    Raises:
        ExecutorError: the file is missing, or is not such a library.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        arguments: type[ctypes.Structure],
        refusals: dict[int, str],
        *others: str,
    ) -> None:
        self._path, self._name, self._refusals = path, name, refusals
        symbol = f"tilefix_{name.replace(' ', '_')}"
        self._self_test_name = f"{symbol}_self_test"
        sizes = f"{symbol}_workspace_bytes"
        self.library = open_library(path, symbol, sizes, *others)
        self._launch = getattr(self.library, symbol)
        self._launch.argtypes = (ctypes.POINTER(arguments), ctypes.c_void_p)
        self._launch.restype = ctypes.c_int32
        self.workspace_bytes = getattr(self.library, sizes)
        self.workspace_bytes.restype = ctypes.c_size_t
        self._self_test = getattr(self.library, self._self_test_name, None)
        if self._self_test is not None:
            text = ctypes.POINTER(ctypes.c_char_p)
            self._self_test.argtypes = (*self._launch.argtypes, text, text)
            self._self_test.restype = ctypes.c_int32

    @property
    def has_plugin(self) -> bool:
        """Whether TensorRT's plugin is in the library, and its self-test."""
        return self._self_test is not None

    def launch(self, arguments: ctypes.Structure, stream: int, through_plugin: bool) -> None:
        """Enqueue one call.

        Args:
            arguments: filled.
            stream: a CUDA stream's handle.
            through_plugin: go the way of TensorRT, through the plugin's V3 interface, and check
                that on the way: the self-test.

        Raises:
            ExecutorError: the library refused, a launch failed, or the library has no plugin.
        """
        where, reason = "the kernel", b""
        if not through_plugin:
            code = self._launch(ctypes.byref(arguments), stream)
        elif self._self_test is None:
            raise no_plugin(self._path, self._self_test_name)
        else:
            stage, said = ctypes.c_char_p(), ctypes.c_char_p()
            code = self._self_test(
                ctypes.byref(arguments), stream, ctypes.byref(stage), ctypes.byref(said)
            )
            where, reason = f"the plugin, at {(stage.value or b'').decode()}", said.value or b""
        if code:
            raise refused(self._name, where, code, self._refusals, reason)
