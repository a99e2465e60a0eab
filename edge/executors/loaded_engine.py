"""A deserialised engine with its memory, contexts and CUDA graphs, and the order they end in."""

from __future__ import annotations

import traceback
from collections.abc import Collection
from contextlib import ExitStack, suppress
from typing import Any

from edge.devices.base import DeviceBackend
from edge.errors import ExecutorError
from edge.executors.base import TensorSpec
from edge.executors.device_buffers import DeviceBuffers
from edge.executors.engine_choice import ChosenEngine
from edge.executors.engine_marks import END, ENGINE, ENGINE_END, START, EngineMarks
from edge.executors.rtx_cache import RuntimeCache
from edge.executors.trt_contexts import (
    ClickContexts,
    clicks_of,
    profiles_of,
    runtime_config,
    scratch_bytes,
)
from edge.executors.trt_runtime import RTX, TensorRt

WARM_UP_RUNS = 3  # the first loads kernels lazily, which a capture must not see


class LoadedEngine:
    """One engine on the device. Nothing is allocated on it after the constructor."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    buffers: DeviceBuffers
    contexts: ClickContexts
    scratch_bytes: int

    def __init__(
        self,
        trt: TensorRt,
        chosen: ChosenEngine,
        device: DeviceBackend,
        features: Collection[str],
        *,
        graphs: bool,
        timed: bool = False,
        int8_features: bool = False,
    ) -> None:
        """Load, allocate, warm up and capture.

        Args:
            trt: the library.
            chosen: the engine, checked and not yet deserialised.
            device: where it runs.
            features: names of the inputs that stay on the device from run to run.
            graphs: capture one CUDA graph for each click bucket.
            timed: record events around copies and engine (`marks`).
            int8_features: features come in int8; else their kernel is loaded with the first.

        Raises:
            ExecutorError: a refusal of the library or the device; all is given back.
        """
        self.notes: tuple[str, ...] = ()
        self.marks: EngineMarks | None = None  # None: not timed
        self._trt = trt
        self._device = device
        self._graphs: dict[int, Any] = {}
        self._in_flight = False
        self._ending = ExitStack()  # what is made last ends first
        with device.current():
            try:
                self._load(chosen, features, timed)
                if int8_features:
                    self.buffers.expect_int8()
                for bucket in self.contexts.buckets.sizes:
                    self._warm_up(bucket)
                    if graphs:
                        self._capture(bucket)
                self._save_cache()
            except BaseException as error:
                # The frames that failed still hold the engine, which must end before its device.
                traceback.clear_frames(error.__traceback__)
                with suppress(ExecutorError):  # a device that failed refuses all that follows
                    self._ending.close()
                raise

    def enqueue(self, bucket: int) -> None:
        """Enqueue copy-in, inference and copy-out at a bucket.

        Raises:
            ExecutorError: it is refused.
        """
        self._in_flight = True
        if bucket in self._graphs:
            self._device.launch(self._graphs[bucket], self._stream)
        else:
            self._enqueue_parts(bucket)

    def synchronise(self) -> None:
        """Wait for all that was enqueued.

        Raises:
            ExecutorError: something of it failed.
        """
        self._device.synchronise(self._stream)
        self._in_flight = False

    def settle(self) -> None:
        """Wait for what an interrupted run left behind, before its memory is written into."""
        if self._in_flight:
            self.synchronise()

    def close(self) -> None:
        """Give everything back: graphs, contexts, memory, engine, runtime, stream."""
        with self._device.current():
            self._ending.close()  # all of it, also where a part fails

    def _load(self, chosen: ChosenEngine, features: Collection[str], timed: bool) -> None:
        trt, device, ending = self._trt, self._device, self._ending
        stream = self._stream = device.create_stream()
        ending.callback(device.destroy_stream, stream)
        parts: list[Any] = []  # runtime, engine and more: each needs those before it
        ending.callback(_let_go, parts)
        parts.append(trt.start())
        trt.load_plugin(chosen.folder, chosen.manifest, chosen.rebuild)
        engine = trt.deserialise(parts[0], chosen.folder, chosen.rebuild)
        parts.append(engine)
        self.inputs, self.outputs = trt.signature(engine)
        profiles = profiles_of(engine, self.inputs)
        self.buffers = DeviceBuffers(
            device, stream, self.inputs, self.outputs, features=features, largest=max(profiles)
        )
        ending.callback(self.buffers.free)
        self.scratch_bytes = scratch_bytes(engine, profiles)
        scratch = device.allocate(self.scratch_bytes) if self.scratch_bytes else 0
        if scratch:
            ending.callback(device.free, scratch)
        self._cache, config = None, None
        if trt.name == RTX:
            config = runtime_config(trt, engine)
            self._cache = RuntimeCache(chosen.folder, config)
            parts += [config, self._cache]
        self.contexts = ClickContexts(trt, engine, config, profiles, stream, chosen.rebuild)
        ending.callback(self.contexts.close)
        if timed:
            self.marks = EngineMarks(device, stream)
            ending.callback(self.marks.destroy)
        ending.callback(self._destroy_graphs)
        ending.callback(device.synchronise, stream)
        for bucket in self.contexts.buckets.sizes:
            memory = self.buffers.addresses, (scratch, self.scratch_bytes)
            self.contexts.place(bucket, self.inputs, self.outputs, *memory)
        device.synchronise(stream)  # the profiles are switched

    def _enqueue_parts(self, bucket: int, *, capturing: bool = False) -> None:
        self._mark(START, capturing)
        self.buffers.copy_in(bucket)
        self._mark(ENGINE, capturing)
        self.contexts.enqueue(bucket, self._stream)
        self._mark(ENGINE_END, capturing)
        self.buffers.copy_out(bucket)
        self._mark(END, capturing)

    def _mark(self, index: int, capturing: bool) -> None:
        if self.marks is not None:
            self.marks.record(index, capturing=capturing)

    def _warm_up(self, bucket: int) -> None:
        self.buffers.write_noise(bucket)
        for _ in range(WARM_UP_RUNS):
            self._enqueue_parts(bucket)
        self._device.synchronise(self._stream)

    def _capture(self, bucket: int) -> None:
        try:
            if self._trt.name == RTX:
                self.contexts.check_capturable(bucket, self._stream)
            work = self._enqueue_parts
            self._graphs[bucket] = self._device.capture(
                self._stream, lambda: work(bucket, capturing=True)
            )
        except ExecutorError as error:
            raise ExecutorError(
                f"no CUDA graph can be captured for {clicks_of(bucket)}: {error.what}",
                expected=error.expected,
                found=error.found,
                do="run without graphs, which takes some tenths of a millisecond longer: "
                "--no-cuda-graphs",
            ) from error

    def _save_cache(self) -> None:
        if self._cache is not None:
            self._cache.save()
            self.notes = self._cache.notes
            self._cache = None

    def _destroy_graphs(self) -> None:
        while self._graphs:
            self._device.destroy_graph(self._graphs.popitem()[1])


def _let_go(parts: list[Any]) -> None:
    """Forget the last first: nothing else holds them."""
    while parts:
        parts.pop()
