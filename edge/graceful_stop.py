"""Ctrl-C and SIGTERM as a request: the frame at work is finished and the results are written.

A second signal ends the program at once. What is said at the first one is written past Python's
streams, which may be at work when the signal comes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, TypeVar

Item = TypeVar("Item")
SIGNALS = (signal.SIGINT, signal.SIGTERM)
NOTICE = "\nstopping after the {} at work; once more stops at once\n"
_STDERR = 2


class _StopError(Exception):
    """Raised by the handler into a wait for the next item."""


class GracefulStop:
    """A context in which signals ask instead of kill."""

    def __init__(self, work: str = "frame") -> None:
        """`work`: what is finished after a signal, in the words that are said then."""
        self._notice = NOTICE.format(work).encode()
        self.requested = False
        self._waiting = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> GracefulStop:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def next_of(self, items: Iterator[Item]) -> Item | None:
        """The next item; None at the end, or as soon as a stop is requested, even while waiting."""
        self._waiting = True
        try:
            if self.requested:
                return None
            return next(items, None)
        except _StopError:
            return None
        finally:
            self._waiting = False

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        if self._waiting:
            raise _StopError
        with contextlib.suppress(OSError):  # nobody reads it
            os.write(_STDERR, self._notice)
