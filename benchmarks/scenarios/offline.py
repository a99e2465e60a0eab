"""Offline: windows to encode, all at hand; how many a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from benchmarks.scenarios.recorder import ABSENT, Row, row
from edge.feature_cache import Encoder, WindowReader
from edge.tiles.lattice import WindowPlace
from edge.types import Array, ReferenceWindow

Describe = Callable[[ReferenceWindow], Mapping[str, Array]]


class OfflineLoop:
    """Reads a window, encodes it, and describes it for alignment, as `tilefix tiles encode`.

    Writing to the store is left out: it is a matter of the disk.
    """

    def __init__(
        self,
        places: Sequence[WindowPlace],
        pictures: WindowReader,
        encoder: Encoder,
        describe: Describe | None,
    ) -> None:
        self._places = places
        self._pictures = pictures
        self._encoder = encoder
        self._describe = describe

    def step(self, index: int) -> Row:
        """One window.

        Raises:
            ExecutorError: the device failed.
        """
        place = self._places[index % len(self._places)]
        start_ns = time.perf_counter_ns()
        size = place.width_px, place.height_px
        window = self._pictures.read(place.left_px, place.top_px, *size)
        read_ns = time.perf_counter_ns()
        self._encoder.encode(window)
        encoded_ns = time.perf_counter_ns()
        align_ns = ABSENT
        if self._describe is not None:
            self._describe(window)
            align_ns = time.perf_counter_ns() - encoded_ns
        return row(
            time.perf_counter_ns() - start_ns,
            window=read_ns - start_ns,
            encode=encoded_ns - read_ns,
            align=align_ns,
        )
