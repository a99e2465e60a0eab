"""A localizer in two graphs on the CPU: what depends on the window alone runs once per window.

A fifth of a frame's time goes into turning a window's stored features into what the head works
with, the same for every frame that looks into that window. A bundle may hold its localizer a second
time, cut there (`export.window_part`): one graph from the features to the values at the cut, one
from these values, the frame and its clicks to the answers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np

from edge.bundle import FRAME_PART, WINDOW_PART, Bundle
from edge.errors import BundleError
from edge.executors.base import check_tensors
from edge.executors.onnxruntime import OnnxRuntimeExecutor
from edge.types import Array

WHOLE_SHA256 = "tilefix.localizer_sha256"  # metadata of both parts: the graph that they were cut of
KEPT_WINDOWS = 4  # whose values at the cut stay in memory: 14 MB each for the shipped bundle


class TwoPartLocalizer:
    """An executor that takes and gives what the whole localizer does, with its answers.

    A window is known again by its arrays, which are held: they must not be written to.
    """

    name = OnnxRuntimeExecutor.name
    click_limit: int | None = None
    notes: tuple[str, ...] = ()

    def __init__(self, window: OnnxRuntimeExecutor, frame: OnnxRuntimeExecutor) -> None:
        self.precision = frame.precision
        self.clock = window.clock = frame.clock  # a window's part counts in the frame it delays
        self._window, self._frame = window, frame
        cut = {spec.name for spec in window.outputs}
        self.inputs = (*(spec for spec in frame.inputs if spec.name not in cut), *window.inputs)
        self.outputs = frame.outputs
        self._bound: dict[str, Array] = {}
        self._kept: OrderedDict[tuple[int, ...], tuple[list[Array], dict[str, Array]]]
        self._kept = OrderedDict()

    @classmethod
    def open(
        cls, bundle: Bundle, kind: str, precision: str, threads: int, spinning: bool = True
    ) -> TwoPartLocalizer:
        """Load both parts of the graph `kind`, the localizer, of a bundle that has them.

        Raises:
            BundleError: they were cut of another graph than the bundle's localizer.
            ExecutorError: see `OnnxRuntimeExecutor`.
        """
        parts = []
        whole = f"graphs/{precision}/{kind}.onnx"
        for name in (WINDOW_PART, FRAME_PART):
            part = OnnxRuntimeExecutor(bundle.graph(name, precision), precision, threads, spinning)
            if part.metadata.get(WHOLE_SHA256) != bundle.manifest.files[whole]:
                raise BundleError(
                    f"{name}.onnx of the bundle {bundle.manifest.name} is of another localizer",
                    expected=f"cut of {whole}, sha256 {bundle.manifest.files[whole]}",
                    found=f"sha256 {part.metadata.get(WHOLE_SHA256)}",
                    do="export or calibrate the bundle again with this version of tilefix",
                )
            parts.append(part)
        return cls(*parts)

    def bind(self, tensors: Mapping[str, Array]) -> None:
        """Hold these inputs for all following runs (see `Executor.bind`)."""
        check_tensors(self.name, self.inputs, tensors, complete=False)
        self._bound = {name: np.ascontiguousarray(value) for name, value in tensors.items()}

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """Run once with the bound tensors and `inputs` (see `Executor.run`)."""
        feed = {**self._bound, **inputs}
        check_tensors(self.name, self.inputs, feed, complete=True)
        features = {spec.name: feed.pop(spec.name) for spec in self._window.inputs}
        return self._frame.run({**feed, **self._at_the_cut(features)}, outputs)

    def _at_the_cut(self, features: Mapping[str, Array]) -> dict[str, Array]:
        key = tuple(map(id, features.values()))
        if key in self._kept:
            self._kept.move_to_end(key)
        else:
            # The arrays are kept too: as long as they live, no other has their identity.
            self._kept[key] = list(features.values()), self._window.run(features)
            if len(self._kept) > KEPT_WINDOWS:
                self._kept.popitem(last=False)
        return self._kept[key][1]
