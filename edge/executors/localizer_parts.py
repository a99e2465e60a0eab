"""A localizer in parts on the CPU: what depends on the window or the frame alone runs once.

A bundle may hold the way from a frame to its queries a second time, cut of the localizer
(`export.localizer_parts`): one graph from the frame to its map of queries, nearly all of the time;
one from there and the clicks to a vector for each click. The head is not in graphs but in numpy
(`edge.host_head`), with the answers of the whole localizer in half the time or less. So a frame
that looks into several windows, or is asked twice about one, costs little more than one look; and
what the head needs of a window can be made before a frame comes to it, by another thread
(`prepare`).

Where the graphs have threads apart from the one that asks (`edge.executors.host_threads`), the
frame's part begins as soon as the frame is there (`keep_frame`), beside the search for its place on
the map. On two cores, each staying on its own (`edge.cores`), a frame of 192 px in INT8 takes less
so than with both for the graphs; one of 320 px takes as long, and a larger one longer: its own part
is too much for one. With more cores it was not measured.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from edge.bundle import FRAME_PART, PARTS, QUERIES_PART, Bundle
from edge.decoding import DECODED, Head
from edge.errors import BundleError
from edge.executors.base import TensorSpec, check_tensors
from edge.executors.begun_run import BegunRun
from edge.executors.host_threads import ALONE, HostThreads
from edge.executors.int8_features import merged
from edge.executors.onnxruntime import OnnxRuntimeExecutor
from edge.feature_quantization import SCALE, dequantized
from edge.host_head import HostHead, WindowMaps
from edge.types import Array

WHOLE_SHA256 = "tilefix.localizer_sha256"  # metadata of the parts: the graph they were cut of
QUERY = "query_vector"
KEPT_WINDOWS = 4  # whose maps stay in memory: 12 MB each for the shipped bundle
READY_WINDOWS = 4  # prepared and not yet looked into, of the same size
Window = tuple[list[Array], WindowMaps]  # the features, held to keep their identity


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
        frame: OnnxRuntimeExecutor,
        queries: OnnxRuntimeExecutor,
        head: HostHead,
        features: Sequence[TensorSpec],
        *,
        apart: bool = False,
    ) -> None:
        """Join the parts.

        Args:
            frame: from a frame to its map of queries.
            queries: from there and the clicks to a vector for each click.
            head: from these, a window and the priors to the answers.
            features: of a window.
            apart: whether `frame` has threads apart from the one that asks.
        """
        self.precision = frame.precision
        self.clock = queries.clock = frame.clock  # all count in the run that waits for them
        self.apart = apart
        self._frame, self._queries, self._head = frame, queries, head
        cut = {spec.name for spec in frame.outputs}
        own = [spec for spec in queries.inputs if spec.name not in cut]
        self._own = tuple(spec.name for spec in own)
        self._features = tuple(features)
        (query,) = queries.outputs
        count = query.shape[0]
        self.inputs = (*frame.inputs, *own, *_prior_specs(count), *self._features)
        (grid,) = {spec.shape[1:] for spec in self._features}
        self.outputs = _answer_specs(query, grid)
        self._bound: dict[str, Array] = {}
        self._windows: OrderedDict[tuple[int, ...], Window] = OrderedDict()
        self._ready: OrderedDict[tuple[int, ...], Window] = OrderedDict()
        self._lock = threading.Lock()  # of what is kept and ready
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
            BundleError: they were cut of another graph than the bundle's localizer, or there is no
                head to them.
            ExecutorError: see `OnnxRuntimeExecutor`.
        """
        parts = {}
        whole = f"graphs/{precision}/{kind}.onnx"
        for name in PARTS:
            own = replace(host, apart=host.apart and name == FRAME_PART)
            count = threads if name == FRAME_PART else 1  # the other is too small to share
            part = OnnxRuntimeExecutor(bundle.graph(name, precision), precision, count, own)
            if part.metadata.get(WHOLE_SHA256) != bundle.manifest.files[whole]:
                raise BundleError(
                    f"{name}.onnx of the bundle {bundle.manifest.name} is of another localizer",
                    expected=f"cut of {whole}, sha256 {bundle.manifest.files[whole]}",
                    found=f"sha256 {part.metadata.get(WHOLE_SHA256)}",
                    do="export or calibrate the bundle again with this version of tilefix",
                )
            parts[name] = part
        head = Head.load(bundle.file(f"graphs/{precision}/head.npz"))
        features = [
            TensorSpec(each.name, np.dtype(each.dtype), each.shape)
            for each in bundle.manifest.features
        ]
        _check_features(bundle, features, parts[QUERIES_PART], head)
        opened = parts[FRAME_PART], parts[QUERIES_PART]
        return cls(*opened, HostHead(head), features, apart=host.apart)

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
        """Make what the head needs of a window that may be bound soon; by any thread.

        Its time counts nowhere. Without effect for a window that is known.
        """
        check_tensors(self.name, self.inputs, tensors, complete=False)
        features = self._features_of({k: np.ascontiguousarray(v) for k, v in tensors.items()})
        key = _identity(features)
        with self._lock:
            if key in self._ready:
                self._ready.move_to_end(key)  # still wanted: others are forgotten before it
            if key in self._windows or key in self._ready:
                return
        made = self._maps(features)
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
        frame = {spec.name: feed[spec.name] for spec in self._frame.inputs}
        maps = self._of_frame(frame)
        found = self._queries.run({name: feed[name] for name in self._own} | maps)
        start_ns = time.perf_counter_ns()
        window = self._of_window(self._features_of(feed))
        found |= self._head.answers(
            found[QUERY], window, feed["prior_xy_px"], feed["prior_inv_var"]
        )
        self.clock.add_host(time.perf_counter_ns() - start_ns)
        names = [spec.name for spec in self.outputs] if outputs is None else outputs
        return {name: found[name] for name in names}

    def _features_of(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """The features of a feed; in int8 with the scales."""
        names = (each for spec in self._features for each in (spec.name, spec.name + SCALE))
        return {name: feed[name] for name in names if name in feed}

    def _maps(self, features: Mapping[str, Array]) -> WindowMaps:
        floats = dequantized(features)
        return self._head.of_window(floats["v"], floats["u"])

    def _of_window(self, features: Mapping[str, Array]) -> WindowMaps:
        key = _identity(features)
        with self._lock:
            known = self._windows.get(key) or self._ready.get(key)
            if known is not None:
                return self._keep(key, known)
        # The arrays are kept too: as long as they live, no other has their identity.
        made = list(features.values()), self._maps(features)
        with self._lock:
            return self._keep(key, made)

    def _keep(self, key: tuple[int, ...], window: Window) -> WindowMaps:
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


def _check_features(
    bundle: Bundle, features: Sequence[TensorSpec], queries: OnnxRuntimeExecutor, head: Head
) -> None:
    """The features of the manifest must be what queries and head take."""
    grid = features[0].shape[1:]
    depth, channels = queries.outputs[0].shape[1], len(head.w_a)
    wanted = {"v": (depth, *grid), "u": (channels, *grid)}
    if {spec.name: spec.shape for spec in features} != wanted or len(grid) != 2:
        raise BundleError(
            f"the features of the bundle {bundle.manifest.name} do not fit its localizer in parts",
            expected=f"v [{depth}, rows, columns] and u [{channels}, rows, columns]",
            found="; ".join(map(str, features)),
            do="export the bundle again with this version of tilefix",
        )


def _prior_specs(count: int | str) -> tuple[TensorSpec, TensorSpec]:
    kind = np.dtype(np.float32)
    return TensorSpec("prior_xy_px", kind, (count, 2)), TensorSpec("prior_inv_var", kind, (count,))


def _answer_specs(query: TensorSpec, grid: tuple[int | str, ...]) -> tuple[TensorSpec, ...]:
    """What the head answers, and the query vectors, as the whole localizer gives them."""
    count = query.shape[0]
    shapes: dict[str, tuple[int | str, ...]]
    shapes = {"box_xyxy_px": (count, 4), "attention": (count, *grid)}
    answers = [TensorSpec(name, query.dtype, shapes.get(name, (count,))) for name in DECODED]
    return (*answers, query)


def _identity(features: Mapping[str, Array]) -> tuple[int, ...]:
    return tuple(map(id, features.values()))
