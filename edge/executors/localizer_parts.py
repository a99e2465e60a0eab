"""A localizer in three graphs on the CPU: what depends on the window or the frame alone runs once.

A bundle may hold its localizer a second time, cut (`export.localizer_parts`): one graph from a
window's stored features to what the head works with, a fifth of a frame's time; one from the frame
to its map of queries, nearly all the rest; one from both and the clicks to the answers. So a frame
that looks into several windows, or is asked twice about one, costs little more than one look. The
part of a window can be run before a frame comes to it, by another thread (`prepare`).

Where the graphs have threads apart from the one that asks (`edge.executors.host_threads`), the
frame's part begins as soon as the frame is there (`keep_frame`), beside the search for its place on
the map, and of many clicks each thread takes its share. On two cores, each staying on its own
(`edge.cores`), a frame of 192 px in INT8 takes 24 to 43 % less than with both for the graphs (flown
in turns, without a record); one of 320 px takes as long, and a larger one longer: its own part is
too much for one. With more cores it was not measured.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from edge.bundle import CLICKS_PART, FRAME_PART, PARTS, WINDOW_PART, Bundle
from edge.click_parts import joined, rows_of
from edge.errors import BundleError
from edge.executors.base import check_tensors
from edge.executors.begun_run import BegunRun
from edge.executors.host_threads import ALONE, HostThreads
from edge.executors.int8_features import merged
from edge.executors.onnxruntime import OnnxRuntimeExecutor
from edge.feature_quantization import SCALE
from edge.own_memory import in_own_memory
from edge.types import Array

WHOLE_SHA256 = "tilefix.localizer_sha256"  # metadata of the parts: the graph they were cut of
KEPT_WINDOWS = 4  # whose values at the cut stay in memory: 14 MB each for the shipped bundle
READY_WINDOWS = 4  # prepared and not yet looked into, of the same size
LEAST_SHARED = 4  # clicks: of fewer, halves take as long as the whole
Window = tuple[list[Array], dict[str, Array]]  # features, held to keep their identity; at the cut


class LocalizerInParts:
    """An executor that takes and gives what the whole localizer does, with its answers.

    A window is known again by its arrays, which are held and must not be written to; a frame only
    by being the array that was told to `keep_frame`.
    """

    name = OnnxRuntimeExecutor.name
    click_limit: int | None = None
    notes: tuple[str, ...] = ()

    def __init__(
        self,
        window: OnnxRuntimeExecutor,
        frame: OnnxRuntimeExecutor,
        clicks: OnnxRuntimeExecutor,
        open_beside: Callable[[], OnnxRuntimeExecutor] | None = None,
        clicks_apart: OnnxRuntimeExecutor | None = None,
        threads_apart: int = 1,
    ) -> None:
        """Join the parts.

        Args:
            window: from a window's features to the cut.
            frame: from a frame to the cut.
            clicks: from there to the answers.
            open_beside: opens the window's once more, for another thread.
            clicks_apart: that of the clicks once more, on threads apart, as then is `frame`.
            threads_apart: how many.
        """
        self.precision = clicks.precision
        # All parts count in the run that waits for them.
        self.clock = window.clock = frame.clock = clicks.clock
        if clicks_apart is not None:
            clicks_apart.clock = clicks.clock
        self._window, self._frame, self._clicks = window, frame, clicks
        cut = {spec.name for part in (window, frame) for spec in part.outputs}
        own = (spec for spec in clicks.inputs if spec.name not in cut)
        self.inputs = (*frame.inputs, *own, *window.inputs)
        self.outputs = clicks.outputs
        self._bound: dict[str, Array] = {}
        self._windows: OrderedDict[tuple[int, ...], Window] = OrderedDict()
        self._ready: OrderedDict[tuple[int, ...], Window] = OrderedDict()
        self._open_beside = open_beside
        self._beside: OnnxRuntimeExecutor | None = None  # of the thread that prepares
        self._lock = threading.Lock()  # of what is kept and ready
        self._clicks_apart = clicks_apart
        self._threads_apart = threads_apart
        self._begun: BegunRun | None = None  # of the frame that is kept
        self._kept_frame: Array | None = None
        self._of_kept_frame: dict[str, Array] = {}

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        kind: str,
        precision: str,
        threads: int,
        host: HostThreads = ALONE,
    ) -> LocalizerInParts:
        """Load the parts of the graph `kind`, the localizer, of a bundle that has them.

        Raises:
            BundleError: they were cut of another graph than the bundle's localizer.
            ExecutorError: see `OnnxRuntimeExecutor`.
        """
        parts = {}
        whole = f"graphs/{precision}/{kind}.onnx"
        for name in PARTS:
            own = replace(host, apart=host.apart and name == FRAME_PART)
            # Beside the clicks that run apart, the thread that asks has its own core and no more.
            count = 1 if host.apart and name == CLICKS_PART else threads
            part = OnnxRuntimeExecutor(bundle.graph(name, precision), precision, count, own)
            if part.metadata.get(WHOLE_SHA256) != bundle.manifest.files[whole]:
                raise BundleError(
                    f"{name}.onnx of the bundle {bundle.manifest.name} is of another localizer",
                    expected=f"cut of {whole}, sha256 {bundle.manifest.files[whole]}",
                    found=f"sha256 {part.metadata.get(WHOLE_SHA256)}",
                    do="export or calibrate the bundle again with this version of tilefix",
                )
            parts[name] = part

        def open_beside() -> OnnxRuntimeExecutor:  # a thread that gives way has no others
            graph = bundle.graph(WINDOW_PART, precision)
            return OnnxRuntimeExecutor(graph, precision, 1, HostThreads(spinning=False))

        apart = None
        if host.apart:
            graph = bundle.graph(CLICKS_PART, precision)
            apart = OnnxRuntimeExecutor(graph, precision, threads, host)
        known = parts[WINDOW_PART], parts[FRAME_PART], parts[CLICKS_PART]
        return cls(*known, open_beside, apart, threads)

    @property
    def apart(self) -> bool:
        """Whether a frame's part runs beside the thread that keeps the frame."""
        return self._clicks_apart is not None

    def bind(self, tensors: Mapping[str, Array]) -> None:
        """Hold these inputs for all following runs (see `Executor.bind`)."""
        check_tensors(self.name, self.inputs, tensors, complete=False)
        self._bound = {name: np.ascontiguousarray(value) for name, value in tensors.items()}

    def keep_frame(self, image: Array) -> None:
        """This very array will be given again as `frame`, unaltered: run its part once.

        Where threads are apart they begin with it now. The frame that was kept before is forgotten.
        """
        if self._begun is not None:
            self._begun.wait()  # nobody asked for its answers; long over, unless frames pile up
        self._kept_frame, self._of_kept_frame, self._begun = image, {}, None
        if self.apart:
            (spec,) = self._frame.inputs
            self._begun = self._frame.begin({spec.name: image})

    def prepare(self, tensors: Mapping[str, Array]) -> None:
        """Run the part of a window that may be bound soon; for one thread beside that of `run`.

        Its time counts nowhere. Without effect for a window that is known.
        """
        if self._open_beside is None:
            return
        check_tensors(self.name, self.inputs, tensors, complete=False)
        features = self._features({k: np.ascontiguousarray(v) for k, v in tensors.items()})
        key = _identity(features)
        with self._lock:
            if key in self._ready:
                self._ready.move_to_end(key)  # still wanted: others are forgotten before it
            if key in self._windows or key in self._ready:
                return
        if self._beside is None:
            self._beside = self._open_beside()
        made = _kept(self._beside.run(features))
        with self._lock:
            if key not in self._windows:  # a frame may have come to it meanwhile
                self._ready[key] = list(features.values()), made
            if len(self._ready) > READY_WINDOWS:
                self._ready.popitem(last=False)

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """Run once with the bound tensors and `inputs` (see `Executor.run`)."""
        feed = merged(self._bound, inputs)
        check_tensors(self.name, self.inputs, feed, complete=True)
        features = self._features(feed)
        for name in features:
            del feed[name]
        frame = {spec.name: feed.pop(spec.name) for spec in self._frame.inputs}
        at_the_cut = {**self._of_window(features), **self._of_frame(frame)}
        return self._of_clicks(feed, at_the_cut, outputs)

    def _of_clicks(
        self, feed: Mapping[str, Array], at_the_cut: dict[str, Array], names: Sequence[str] | None
    ) -> dict[str, Array]:
        """All clicks in one run, or the share of the threads apart on those."""
        count = len(feed["click_xy_px"])
        if self._clicks_apart is None or count < LEAST_SHARED:
            return self._clicks.run({**feed, **at_the_cut}, names)
        cut = count - count // (1 + self._threads_apart)
        first, rest = slice(cut), slice(cut, None)
        specs = self._clicks.inputs
        begun = self._clicks_apart.begin({**rows_of(specs, feed, first), **at_the_cut}, names)
        own = self._clicks.run({**rows_of(specs, feed, rest), **at_the_cut}, names)
        return joined([self._clicks_apart.end(begun), own])

    def _features(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """What the window's part takes of a feed; in int8 with the scales."""
        names = (each for spec in self._window.inputs for each in (spec.name, spec.name + SCALE))
        return {name: feed[name] for name in names if name in feed}

    def _of_window(self, features: Mapping[str, Array]) -> dict[str, Array]:
        key = _identity(features)
        with self._lock:
            known = self._windows.get(key) or self._ready.get(key)
            if known is not None:
                return self._keep(key, known)
        # The arrays are kept too: as long as they live, no other has their identity.
        made = list(features.values()), _kept(self._window.run(features))
        with self._lock:
            return self._keep(key, made)

    def _keep(self, key: tuple[int, ...], window: Window) -> dict[str, Array]:
        self._ready.pop(key, None)
        self._windows[key] = window
        self._windows.move_to_end(key)
        if len(self._windows) > KEPT_WINDOWS:
            self._windows.popitem(last=False)
        return window[1]

    def _of_frame(self, frame: Mapping[str, Array]) -> dict[str, Array]:
        (image,) = frame.values()
        if image is not self._kept_frame:
            return self._frame.run(frame)
        if not self._of_kept_frame:
            begun, self._begun = self._begun, None
            known = self._frame.run(frame) if begun is None else self._frame.end(begun)
            self._of_kept_frame = known
        return self._of_kept_frame


def _kept(window: Mapping[str, Array]) -> dict[str, Array]:
    """Values at the cut, to be kept: what they were made in is free for those of the next window.

    Held where they were made, those of several windows would have ONNX Runtime ask for more, which
    it never gives back.
    """
    return {name: in_own_memory(each) for name, each in window.items()}


def _identity(features: Mapping[str, Array]) -> tuple[int, ...]:
    return tuple(map(id, features.values()))
