"""A GPU in host memory that forgives nothing: the core of the fake CUDA libraries and TensorRT.

Work in a stream waits until somebody synchronises, so a forgotten synchronisation reads old
memory. An address is looked up in the live allocations when the work is done, not when it is
enqueued. What a program must never do raises `BrokenRuleError`; what the driver would answer with a
status raises `RefusedError`.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from fake_kernels import FakeKernels
from fake_statuses import (
    CAPTURE_INVALID,
    CAPTURE_UNSUPPORTED,
    NO_CONTEXT,
    OUT_OF_MEMORY,
    BrokenRuleError,
    RefusedError,
)

PAGE = 4096
FREED = 0xDD  # what freed page-locked memory is overwritten with


@dataclass
class Memory:
    """One allocation."""

    address: int  # for the device
    data: np.ndarray  # [size] uint8
    host: bool = False
    mapped: bool = False


@dataclass
class Work:
    """One piece of enqueued work, and the device addresses that it touches."""

    run: Callable[[], None]
    touches: tuple[int, ...]
    check: Callable[[], None] = lambda: None  # before every replay out of a graph
    module: int = 0  # of the kernel that it launches


@dataclass
class Stream:
    """Enqueued work, or work that is being captured."""

    queue: list[Work] = field(default_factory=list)
    capture: list[Work] | None = None
    thread: int = 0
    broken: bool = False
    events: list[float] = field(default_factory=list)


class FakeGpu:
    """One device with its driver."""

    def __init__(
        self,
        name: str = "Fake GPU",
        capability: tuple[int, int] = (8, 7),
        *,
        integrated: bool = False,
        total_bytes: int = 1 << 30,
    ) -> None:
        self.name, self.capability = name, capability
        self.integrated, self.total_bytes = integrated, total_bytes
        self.memory: dict[int, Memory] = {}
        self.streams: dict[int, Stream] = {}
        self.graphs: dict[int, list[Work]] = {}
        self.events: dict[int, float] = {}
        self.kernels = FakeKernels(self)
        self.retained = 0
        self.users: dict[int, set[int]] = {}  # a live execution context -> addresses it may use
        self.violations: list[str] = []  # of finalisers, which cannot raise
        self.counts: dict[str, int] = {}
        self.fail: dict[str, int] = {}  # call -> status that it shall answer with
        self.clock_ms = 0.0
        self._current = threading.local()
        self._numbers = itertools.count(1)
        self._freed: list[np.ndarray] = []

    # --- contexts --------------------------------------------------------------------------------

    def push(self) -> None:
        if not self.retained:
            raise RefusedError(NO_CONTEXT)
        self._current.depth = self.depth + 1

    def pop(self) -> None:
        if not self.depth:
            raise RefusedError(NO_CONTEXT)
        self._current.depth = self.depth - 1

    @property
    def depth(self) -> int:
        """How often the context was pushed in this thread."""
        return getattr(self._current, "depth", 0)

    def enter(self, call: str) -> None:
        """Every call of the driver: is it to fail, and is there a context?"""
        self.counts[call] = self.counts.get(call, 0) + 1
        if call in self.fail:
            raise RefusedError(self.fail[call])
        if not self.depth:
            raise RefusedError(NO_CONTEXT)

    # --- memory ----------------------------------------------------------------------------------

    @property
    def used_bytes(self) -> int:
        """Of the device."""
        return sum(each.data.size for each in self.memory.values() if not each.host)

    def allocate(self, size: int, *, host: bool = False, mapped: bool = False) -> Memory:
        self._forbid_in_capture()
        if size <= 0 or (not host and self.used_bytes + size > self.total_bytes):
            raise RefusedError(OUT_OF_MEMORY)
        raw = np.random.default_rng(1).integers(0, 256, size + PAGE, dtype=np.uint8)  # not zeros
        data = raw[-raw.ctypes.data % PAGE :][:size]
        number = next(self._numbers)
        address = (0x7F << 40) + (number << 28)
        self.memory[address] = Memory(address, data, host, mapped)
        return self.memory[address]

    def free(self, address: int, *, host: bool = False) -> None:
        self._forbid_in_capture()
        memory = self.memory.get(address)
        if memory is None or memory.host != host:
            raise BrokenRuleError(f"{address:#x} was freed twice, or was never allocated")
        for stream in self.streams.values():
            if any(self._inside(memory, each) for work in stream.queue for each in work.touches):
                raise BrokenRuleError(f"{address:#x} is freed while enqueued work uses it")
        for addresses in self.users.values():
            if any(self._inside(memory, each) for each in addresses):
                raise BrokenRuleError(f"{address:#x} is freed while a context may use it")
        if host:
            memory.data[:] = FREED
        self._freed.append(memory.data)  # a program that still reads it shall not crash the test
        del self.memory[address]

    def view(self, address: int, size: int, *, by_device: bool = True) -> np.ndarray:
        """The bytes at an address; they must lie in one live allocation."""
        for memory in self.memory.values():
            if self._inside(memory, address):
                start = address - memory.address
                if start + size > memory.data.size:
                    raise BrokenRuleError(f"{address:#x}: {size} bytes do not fit its allocation")
                if by_device and memory.host and not memory.mapped:
                    raise BrokenRuleError(f"{address:#x} is host memory that the device cannot see")
                return memory.data[start : start + size]
        raise BrokenRuleError(f"{address:#x} lies in no live allocation")

    def host_memory(self, pointer: int) -> Memory | None:
        """Page-locked memory by its address on the host."""
        for memory in self.memory.values():
            start = memory.data.ctypes.data
            if memory.host and start <= pointer < start + memory.data.size:
                return memory
        return None

    # --- streams ---------------------------------------------------------------------------------

    def create_stream(self) -> int:
        handle = 0x1000 + next(self._numbers)
        self.streams[handle] = Stream()
        return handle

    def destroy_stream(self, handle: int) -> None:
        if self._stream(handle).queue:
            raise BrokenRuleError("a stream is destroyed with work in it")
        del self.streams[handle]

    def enqueue(self, handle: int, work: Work) -> None:
        stream = self._stream(handle)
        target = stream.queue if stream.capture is None else stream.capture
        target.append(work)

    def synchronise(self, handle: int) -> None:
        self._forbid_in_capture()
        queue = self._stream(handle).queue
        while queue:
            queue.pop(0).run()
            self.clock_ms += 1.0

    def copy_in(self, address: int, pointer: int, size: int, stream: int) -> None:
        """From page-locked memory later, out of any other at once, as the driver does."""
        source = self.host_memory(pointer)
        staged = None if source is not None else ctypes.string_at(pointer, size)

        def run() -> None:
            if staged is not None:
                data = np.frombuffer(staged, np.uint8)
            else:
                if source.address not in self.memory:
                    raise BrokenRuleError("page-locked memory was freed before its copy")
                start = pointer - source.data.ctypes.data
                data = source.data[start : start + size]
            self.view(address, size)[:] = data

        self.enqueue(stream, Work(run, (address, *([source.address] if source else []))))

    def copy_out(self, pointer: int, address: int, size: int, stream: int) -> None:
        target = self.host_memory(pointer)
        touches = (address, *([target.address] if target else []))
        self.enqueue(
            stream,
            Work(
                lambda: ctypes.memmove(pointer, self.view(address, size).tobytes(), size), touches
            ),
        )

    # --- graphs ----------------------------------------------------------------------------------

    def begin_capture(self, handle: int, mode: int) -> None:
        if int(mode) != 1:
            raise BrokenRuleError(f"capture mode {mode}: other threads would disturb it")
        stream = self._stream(handle)
        if stream.capture is not None:
            raise BrokenRuleError("a capture begins within a capture")
        stream.capture, stream.thread, stream.broken = [], threading.get_ident(), False

    def end_capture(self, handle: int) -> list[Work]:
        stream = self._stream(handle)
        if stream.capture is None:
            raise BrokenRuleError("there is no capture to end")
        captured, stream.capture = stream.capture, None
        if stream.broken:
            raise RefusedError(CAPTURE_INVALID)
        return captured

    def instantiate(self, captured: Iterable[Work]) -> int:
        handle = 0x9000 + next(self._numbers)
        self.graphs[handle] = list(captured)
        return handle

    def launch(self, graph: int, handle: int) -> None:
        for work in self.graphs[graph]:

            def replay(work: Work = work) -> None:
                work.check()
                work.run()

            self.enqueue(handle, Work(replay, work.touches))

    @property
    def capturing(self) -> bool:
        """Whether this thread captures."""
        own = threading.get_ident()
        return any(s.capture is not None and s.thread == own for s in self.streams.values())

    def assert_all_is_given_back(self) -> None:
        """At the end of a test: nothing leaked, and nothing ended in the wrong order."""
        left = {
            "memory": len(self.memory),
            "streams": len(self.streams),
            "graphs": len(self.graphs),
            "events": len(self.events),
            "modules": len(self.kernels.modules),
            "contexts in use": len(self.users),
            "pushed": self.depth,
        }
        assert not any(left.values()), left
        assert not self.violations, self.violations

    def _stream(self, handle: int) -> Stream:
        if handle not in self.streams:
            raise BrokenRuleError(f"no stream {handle:#x}; the default one is slow, and no use")
        return self.streams[handle]

    def _forbid_in_capture(self) -> None:
        """Allocating and synchronising break a capture of this thread, and are refused."""
        if self.capturing:
            for stream in self.streams.values():
                stream.broken = stream.broken or stream.capture is not None
            raise RefusedError(CAPTURE_UNSUPPORTED)

    @staticmethod
    def _inside(memory: Memory, address: int) -> bool:
        return memory.address <= address < memory.address + memory.data.size
