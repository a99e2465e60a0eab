"""Stored windows read before they are needed, in a thread of low priority beside the frame path.

Reading one takes milliseconds: its pages come from the disk, and its checksum is counted. A flight
comes to new windows at its own pace, and the next ones lie around those of the frame at hand. A
window that was not read in time, as those of the first frame, is read by the frame that needs it.
The nearest of them are prepared too (`edge.localizer.Localizer.prepare`), for a first look into a
window costs the frame path more than a later one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from edge.cores import give_way
from edge.errors import TilefixError
from edge.types import ReferenceFeature

PREPARED = 4  # of the windows expected, the first ones


class Stored(Protocol):
    """The part of a `FeatureStore` that is needed here; read by two threads."""

    def __contains__(self, window_id: str) -> bool: ...

    def read(self, window_id: str) -> ReferenceFeature:
        """A stored window."""
        ...


class ReadAhead:
    """Stands before a store and reads what is expected to be asked for. Close it after use."""

    def __init__(
        self,
        store: Stored,
        prepare: Callable[[ReferenceFeature], None] | None = None,
    ) -> None:
        """Read ahead of a frame path.

        Args:
            store: of windows.
            prepare: is called, in the thread beside, with the nearest ones; None: nobody is.
        """
        self._store = store
        self._prepare = prepare
        self._changed = threading.Condition()
        self._expected: tuple[str, ...] = ()
        self._read: dict[str, ReferenceFeature] = {}
        self._refused: set[str] = set()
        self._prepared: set[str] = set()  # of those read and not yet taken
        self._busy = self._closing = False
        self._failure: Exception | None = None  # no window's fault, but this program's
        self._thread = threading.Thread(target=self._run, name="read ahead", daemon=True)
        self._thread.start()

    def __contains__(self, window_id: str) -> bool:
        return window_id in self._store

    def read(self, window_id: str) -> ReferenceFeature:
        """A stored window: the one read ahead, which is let go of, else read at once.

        Raises:
            FeatureStoreError: see `FeatureStore.read`.
        """
        with self._changed:
            ready = self._read.pop(window_id, None)
            self._prepared.discard(window_id)
            self._expected = tuple(name for name in self._expected if name != window_id)
        return ready if ready is not None else self._store.read(window_id)

    def expect(self, window_ids: Iterable[str]) -> None:
        """Windows that may be asked for soon, in place of those expected before. At once.

        Raises:
            Exception: whatever ended the thread beside.
        """
        wanted = tuple(name for name in window_ids if name in self._store)
        with self._changed:
            if self._failure is not None:
                raise self._failure
            if wanted != self._expected:
                if set(wanted[:PREPARED]) != set(self._expected[:PREPARED]):
                    self._prepared.clear()  # ask for all again: what is ready is then kept longer
                self._expected = wanted
                self._read = {name: self._read[name] for name in wanted if name in self._read}
                self._prepared &= self._read.keys()
                self._changed.notify_all()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until all that is expected was read and prepared; for tests. False: timed out."""
        with self._changed:
            return self._changed.wait_for(self._idle, timeout_s)

    def close(self) -> None:
        """Let the window at work finish, end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _idle(self) -> bool:
        return self._failure is not None or (not self._busy and self._next() is None)

    def _next(self) -> str | None:
        """The nearest window that is to be read, or to be prepared."""
        for place, name in enumerate(self._expected):
            if name in self._refused:
                continue
            if name not in self._read:
                return name
            if self._prepare is not None and place < PREPARED and name not in self._prepared:
                return name
        return None

    def _run(self) -> None:
        give_way()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._next() is not None)
                name = self._next()
                if self._closing or name is None:
                    return
                found = self._read.get(name)
                self._busy = True
            failure = None
            try:
                if found is None:
                    found = self._store.read(name)
                elif self._prepare is not None:
                    self._prepare(found)
            except TilefixError:
                pass  # the frame that needs the window meets what is wrong with it too: it says so
            except Exception as error:  # handed to the frame path, which raises it
                failure = error
            with self._changed:
                self._busy = False
                if failure is not None:
                    self._failure = failure
                    self._changed.notify_all()
                    return
                if found is None:
                    self._refused.add(name)
                elif name in self._read:
                    self._prepared.add(name)
                elif name in self._expected:
                    self._read[name] = found
                self._changed.notify_all()
