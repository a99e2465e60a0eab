"""A run that goes on in the threads of its graph, beside the one that began it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from edge.types import Array

LONGEST_S = 10.0  # that the end of a program is put off for


class BegunRun:
    """The answers of a run, once it has ended. Asks nothing of Python until then."""

    def __init__(self, session: Any, names: Sequence[str], feed: Mapping[str, Array]) -> None:
        """Begin a run of an `onnxruntime.InferenceSession` that has threads of its own.

        Raises what the session does if it refuses to begin.
        """
        self.names = list(names)
        self._feed = feed  # the session reads these arrays where they lie
        self._ended = threading.Event()
        self._found: Sequence[Array] = ()
        self._failure = ""
        session.run_async(self.names, dict(feed), self._take, None)
        # A program that ends meanwhile would be met by a thread that asks for an interpreter which
        # is no more; it waits for the few milliseconds. A child of a fork has no such thread.
        weakref.finalize(self, self._ended.wait, LONGEST_S)

    def _take(self, found: Sequence[Array], _given: object, failure: str) -> None:
        """Called by a thread of the session."""
        self._found, self._failure = found, failure
        self._ended.set()

    @property
    def ended(self) -> bool:
        """Whether it has ended, well or not."""
        return self._ended.is_set()

    def wait(self) -> None:
        """Return once the run has ended, well or not."""
        self._ended.wait()

    def answers(self) -> dict[str, Array]:
        """Wait for the run; its answers by name.

        Raises:
            RuntimeError: ONNX Runtime failed; the text is its own.
        """
        self._ended.wait()
        if self._failure:
            raise RuntimeError(self._failure)
        return dict(zip(self.names, self._found, strict=True))
