"""Events around the engine and its copies, also within a captured CUDA graph."""

from __future__ import annotations

from typing import Any

from edge.devices.base import DeviceBackend

# Where the events lie: before the copies in, before the engine, after it, after the copies out.
START, ENGINE, ENGINE_END, END = range(4)


class EngineMarks:
    """Four events in one stream. The device must be current in every call."""

    def __init__(self, device: DeviceBackend, stream: int) -> None:
        self._device = device
        self._stream = stream
        self._events: list[Any] = [device.create_event() for _ in range(4)]

    def record(self, index: int, *, capturing: bool) -> None:
        """Enqueue one of them; `capturing`: into a graph, which records it in every launch."""
        self._device.record(self._events[index], self._stream, capturing=capturing)

    def times_ns(self) -> tuple[int, int]:
        """Copies and engine of the last run, nanoseconds; the stream must be synchronised."""
        between = [
            round(1e6 * self._device.elapsed_ms(self._events[index], self._events[index + 1]))
            for index in (START, ENGINE, ENGINE_END)
        ]
        return between[0] + between[2], between[1]

    def destroy(self) -> None:
        """Give them back, after the graphs that record them."""
        while self._events:
            self._device.destroy_event(self._events.pop())
