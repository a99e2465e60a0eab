"""Modules of kernels on a FakeGpu, whose PTX is run as it stands, on the fake's memory."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from fake_statuses import BrokenRuleError, RefusedError
from ptx_machine import PtxHeader, PtxKernel, PtxMachine

if TYPE_CHECKING:
    from fake_gpu import FakeGpu

INVALID_VALUE, NO_BINARY, NEWER_PTX, INVALID_PTX, NOT_FOUND = 1, 209, 222, 218, 500
MOST_THREADS, MOST_ROWS = 1024, 65535  # of a block; of a grid
DRIVER_PTX = (7, 4)  # of CUDA 11.4, the oldest driver that a JetPack has


class FakeKernels:
    """What the driver has loaded."""

    def __init__(self, gpu: FakeGpu) -> None:
        self._gpu = gpu
        self.modules: dict[int, str] = {}
        self.functions: dict[int, tuple[int, PtxKernel]] = {}
        self.launches = 0
        self._numbers = itertools.count(0x5000)

    def load(self, text: bytes) -> int:
        """A module out of PTX; its text ends with a zero byte."""
        read = text.decode("ascii")
        if ".version" not in read:
            raise RefusedError(INVALID_PTX)
        major, minor = self._gpu.capability
        header = PtxHeader.parse(read)
        if header.version > DRIVER_PTX:
            raise RefusedError(NEWER_PTX)
        if header.target > 10 * major + minor:
            raise RefusedError(NO_BINARY)
        module = next(self._numbers)
        self.modules[module] = read
        return module

    def function(self, module: int, name: str) -> int:
        """A kernel of a module."""
        kernel = PtxKernel.parse(self.modules[module], name)
        if kernel is None:
            raise RefusedError(NOT_FOUND)
        handle = next(self._numbers)
        self.functions[handle] = module, kernel
        return handle

    def unload(self, module: int) -> None:
        """A module, which no enqueued launch may need."""
        if any(work.module == module for s in self._gpu.streams.values() for work in s.queue):
            raise BrokenRuleError("a module is unloaded while enqueued work launches its kernel")
        del self.modules[module]
        self.functions = {k: v for k, v in self.functions.items() if v[0] != module}

    def parameters(self, function: int) -> tuple[np.dtype, ...]:
        """Types of what a kernel takes."""
        return tuple(dtype for _, dtype in self.functions[function][1].parameters)

    def launch(
        self,
        function: int,
        blocks: Sequence[int],
        threads: Sequence[int],
        arguments: Sequence[bytes],
        stream: int,
    ) -> None:
        """Enqueue a kernel, [x, y, z] blocks and threads."""
        from fake_gpu import Work  # which holds one of these

        module, kernel = self.functions[function]
        whole = np.prod(threads) if threads[1:] == (1, 1) else 0  # as much as the machine knows
        if not 0 < whole <= MOST_THREADS or min(blocks) < 1 or max(blocks[1:]) > MOST_ROWS:
            raise RefusedError(INVALID_VALUE)
        types = [dtype for _, dtype in kernel.parameters]
        pointers = tuple(
            int(np.frombuffer(given, dtype)[0])
            for given, dtype in zip(arguments, types, strict=True)
            if dtype.itemsize == 8
        )
        kept = [bytes(each) for each in arguments]

        def run() -> None:
            PtxMachine(self._gpu.view).run(kernel, blocks[:2], threads[0], kept)

        self.launches += 1
        self._gpu.enqueue(stream, Work(run, pointers, module=module))
