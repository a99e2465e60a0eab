"""The runtime cache of TensorRT-RTX: kernels compiled on this device, kept beside the engine.

TensorRT-RTX compiles its kernels when an execution context is made, which takes seconds; with the
cache of an earlier start it does not. The cache checks for itself that it was made by this version,
driver and GPU, and is made anew where not.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

CACHE_FILE = "runtime.cache"


class RuntimeCache:
    """One engine's cache, on the disk and in the runtime."""

    def __init__(self, folder: Path, config: Any) -> None:
        """Read it, if it is there, into a runtime configuration."""
        self.notes: tuple[str, ...] = ()
        self._path = folder / CACHE_FILE
        self._cache = config.create_runtime_cache()
        self._stored = b""
        try:
            self._stored = self._path.read_bytes()
        except FileNotFoundError:
            pass  # the first start on this device
        except OSError as error:
            self.notes = (f"the runtime cache {self._path} cannot be read: {error.strerror}",)
        if self._stored and not self._cache.deserialize(self._stored):
            self.notes = (
                f"the runtime cache {self._path} is of another driver, GPU or version: made anew",
            )
            self._stored = b""
        config.set_runtime_cache(self._cache)

    def save(self) -> None:
        """Write it back if anything was compiled. A folder that cannot be written is a note."""
        content = bytes(memoryview(self._cache.serialize()))
        if content == self._stored:
            return
        try:
            descriptor, name = tempfile.mkstemp(prefix=f".{CACHE_FILE}.", dir=self._path.parent)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
            Path(name).replace(self._path)
        except OSError as error:
            self.notes += (
                f"the runtime cache {self._path} cannot be written, so every start compiles anew: "
                f"{error.strerror}",
            )
            return
        self._stored = content
