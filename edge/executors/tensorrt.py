"""TensorRT and TensorRT-RTX on a GPU: an engine that was built before, at static addresses.

Opening finds the engine by its manifest, checks it, deserialises it, allocates all memory, warms up
and captures one CUDA graph for each click bucket. A run writes its inputs where that graph takes
them from, launches it, waits, and reads the answers.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from edge.bundle import LOCALIZER, Bundle
from edge.devices.base import DeviceBackend, DeviceOptions, open_device
from edge.errors import ExecutorError
from edge.executors.base import TensorSpec, check_tensors
from edge.executors.click_buckets import NO_CLICKS, is_per_click
from edge.executors.engine_choice import choose_engine
from edge.executors.int8_features import merged
from edge.executors.loaded_engine import LoadedEngine
from edge.executors.run_clock import RunClock
from edge.executors.trt_runtime import FULL, RTX, load_tensorrt
from edge.feature_quantization import SCALE
from edge.types import Array


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """What an executor holds of the GPU's memory, as far as it is known."""

    buffers_bytes: int  # inputs, outputs, features; room for one in int8 where such come
    scratch_bytes: int  # working memory of the engine, shared by all click buckets
    weights_bytes: int  # size of the engine's file, which is nearly all weights
    pinned_bytes: int  # page-locked memory of the host; on integrated GPUs it is the same memory

    @property
    def total_bytes(self) -> int:
        """On the device."""
        return self.buffers_bytes + self.scratch_bytes + self.weights_bytes


class TensorRtExecutor:
    """One engine on the GPU. One thread at a time; any thread.

    `bind` copies features to the device, unless they are those that lie there; arrays that were
    bound must not be written into.
    """

    name = "tensorrt"
    toolkit = FULL

    def __init__(
        self,
        bundle: Bundle,
        kind: str,
        precision: str,
        device: DeviceBackend,
        *,
        graphs: bool,
        timed: bool = False,
        int8_features: bool = False,
    ) -> None:
        """Use `open`."""
        trt = load_tensorrt(self.toolkit, self.name)
        chosen = choose_engine(bundle, kind, precision, self.toolkit, trt.version, device.facts)
        features = {each.name for each in bundle.manifest.features} if kind == LOCALIZER else set()
        self.precision = precision
        self._device = device
        self._lock = threading.Lock()
        how = {"graphs": graphs, "timed": timed, "int8_features": int8_features and bool(features)}
        self._engine = LoadedEngine(trt, chosen, device, features, **how)
        self.clock = RunClock(0, 0, 0) if timed else RunClock()
        self.inputs: tuple[TensorSpec, ...] = self._engine.inputs
        self.outputs: tuple[TensorSpec, ...] = self._engine.outputs
        self.notes = (*chosen.notes, *self._engine.notes)
        buckets = self._engine.contexts.buckets
        self.click_limit: int | None = buckets.largest or None  # NO_CLICKS: the encoder
        self._engine_bytes = chosen.manifest.engine_bytes
        self._features = tuple(spec.name for spec in self.inputs if spec.name in features)
        self._scales = {name + SCALE: name for name in self._features}
        self._bound: dict[str, Array] = {}
        # feature -> the array that lies on the device, and its scale where that is int8
        self._resident: dict[str, tuple[Array, Array | None]] = {}
        # At the latest when the process ends, and before the libraries are torn down.
        self._release = weakref.finalize(self, _release, self._engine, device)

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        kind: str,
        precision: str,
        threads: int = 2,
        device: DeviceOptions | None = None,
    ) -> TensorRtExecutor:
        """Find, check and load the engine of a graph (see `Executor.open`).

        Args:
            bundle: an opened bundle.
            kind: of the graph.
            precision: of the graph.
            threads: not used: the work is done on the GPU.
            device: how the GPU is used; None: by the defaults.

        Raises:
            ExecutorError: no library, driver, GPU or engine; one that does not fit this device; a
                damaged one; too little memory; a graph that cannot be captured; no kernel
                for features in int8, where such are expected.
            BundleError: the bundle has no such graph.
        """
        bundle.graph(kind, precision)
        options = device or DeviceOptions()
        load_tensorrt(cls.toolkit, cls.name)  # before a context is made on the GPU
        opened = open_device(options.backend)
        try:
            return cls(
                bundle,
                kind,
                precision,
                opened,
                graphs=options.graphs,
                timed=options.timed,
                int8_features=options.int8_features,
            )
        except BaseException:
            with suppress(ExecutorError):  # a device that failed refuses all that follows
                opened.close()
            raise

    @property
    def device_memory(self) -> DeviceMemory:
        """What it holds now."""
        buffers = self._engine.buffers
        weights_bytes, scratch_bytes = self._engine_bytes, self._engine.scratch_bytes
        return DeviceMemory(buffers.device_bytes, scratch_bytes, weights_bytes, buffers.host_bytes)

    def bind(self, tensors: Mapping[str, Array]) -> None:
        """Keep these inputs for all following runs (see `Executor.bind`).

        Features go to the device here; binding the arrays that lie there already costs nothing.
        """
        check_tensors(self.name, self.inputs, tensors, complete=False)
        with self._alone():
            self._bound = dict(tensors)
            self._upload(self._bound)

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """Run once with the bound tensors and `inputs` (see `Executor.run`).

        Raises:
            ExecutorError: also when the device fails or TensorRT refuses the run; the next answers
                are never those of an earlier run.
            ClickError: also with more clicks than the largest bucket of the engine.
        """
        feed = merged(self._bound, inputs)
        check_tensors(self.name, self.inputs, feed, complete=True)
        names = [spec.name for spec in self.outputs] if outputs is None else list(outputs)
        self._check_outputs(names)
        engine, buffers = self._engine, self._engine.buffers
        clicked = [feed[spec.name] for spec in self.inputs if is_per_click(spec)]
        count = len(clicked[0]) if clicked else NO_CLICKS
        bucket = engine.contexts.buckets.holding(count)
        with self._alone():
            try:
                self._upload(feed)
            finally:
                for name in inputs:  # lent for this run: its owner may change it
                    self._resident.pop(self._scales.get(name, name), None)
            start_ns = time.perf_counter_ns()
            for name, value in feed.items():
                if name not in self._features and name not in self._scales:
                    buffers.stage(name, value, bucket)
            staged_ns = time.perf_counter_ns()
            engine.enqueue(bucket)
            fetched = {name: buffers.fetch(name, count) for name in names}
            engine.synchronise()
            done_ns = time.perf_counter_ns()
            answers = {
                name: buffers.result(name, count) if value is None else value
                for name, value in fetched.items()
            }
            if engine.marks is None:
                self.clock.add_host(done_ns - staged_ns)
            else:
                staging_ns = staged_ns - start_ns + time.perf_counter_ns() - done_ns
                self.clock.add_device(done_ns - staged_ns, staging_ns, *engine.marks.times_ns())
            return answers

    def close(self) -> None:
        """Free everything on the GPU; the executor cannot be used after. Twice is as good as once.

        Without it the same happens when the executor is forgotten, or when the process ends.

        Raises:
            ExecutorError: another thread is in the midst of a run, whose memory this is.
        """
        self._enter()
        try:
            self._release()
        finally:
            self._lock.release()

    def __enter__(self) -> TensorRtExecutor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _upload(self, tensors: Mapping[str, Array]) -> None:
        """Bring features to the device, but for those that lie there."""
        new: dict[str, tuple[Array, Array | None]] = {}
        for name in self._features:
            if name in tensors:
                value, scale = tensors[name], tensors.get(name + SCALE)
                lying = self._resident.get(name)
                if lying is None or lying[0] is not value or lying[1] is not scale:
                    new[name] = value, scale
        if not new:
            return
        for name in new:
            self._resident.pop(name, None)  # half a copy is no feature
        start_ns = time.perf_counter_ns()
        sources = {
            name: (
                np.ascontiguousarray(value),
                None if scale is None else np.ascontiguousarray(scale),
            )
            for name, (value, scale) in new.items()
        }
        for name, (value, scale) in sources.items():
            self._engine.buffers.upload(name, value, scale)
        self._engine.synchronise()
        self._resident.update(new)
        self.clock.add_upload(time.perf_counter_ns() - start_ns)

    def _check_outputs(self, names: Sequence[str]) -> None:
        known = [spec.name for spec in self.outputs]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ExecutorError(
                f"the executor {self.name} has no output {unknown[0]!r}",
                expected=f"some of: {', '.join(known)}",
                found=", ".join(names),
                do="check that the bundle was exported by this version of tilefix",
            )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The device current, this executor open, and no other thread in it."""
        self._enter()
        try:
            if not self._release.alive:  # asked inside the lock, which `close` takes too
                raise self._misused("an open executor", "one that was closed", "open it again")
            with self._device.current():
                self._engine.settle()
                yield
        finally:
            self._lock.release()

    def _enter(self) -> None:
        if not self._lock.acquire(blocking=False):
            found, do = "a second thread in the midst of a run", "open one executor for each thread"
            raise self._misused("one thread at a time", found, do)

    def _misused(self, expected: str, found: str, do: str) -> ExecutorError:
        what = f"the executor {self.name} cannot be used like this"
        return ExecutorError(what, expected=expected, found=found, do=do)


class TensorRtRtxExecutor(TensorRtExecutor):
    """The same with TensorRT-RTX, on desktop GPUs; it keeps what it compiles beside the engine."""

    name = "tensorrt-rtx"
    toolkit = RTX


def _release(engine: LoadedEngine, device: DeviceBackend) -> None:
    try:
        engine.close()
    finally:  # also where the device refuses to give back what the engine holds
        device.close()
