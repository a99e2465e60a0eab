"""The memory of one engine: allocated once, at addresses that never change.

Every input and output has one place on the device, as large as the largest bucket needs it; smaller
buckets use its beginning. On a discrete GPU it has a page-locked twin on the host and is copied; on
an integrated one, where both are the same memory, it is mapped and nothing is copied. Two kinds
have no twin: features stay on the device from one run to the next, and large outputs that few ask
for are fetched only then.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from edge.devices.base import DeviceBackend, HostBuffer
from edge.executors.base import TensorSpec
from edge.executors.click_buckets import NO_CLICKS, is_per_click, pad_into, sized
from edge.executors.dequantiser import Dequantiser
from edge.types import Array

# Megabytes for many clicks, and asked for by tools alone.
ON_REQUEST = ("attention", "query_vector")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one tensor lies."""

    spec: TensorSpec
    size_bytes: int  # at the largest bucket
    address: int  # on the device
    host: HostBuffer | None  # its twin, or the same memory; None: on the device alone


class DeviceBuffers:
    """All inputs and outputs of one engine. The device must be current in every call."""

    def __init__(
        self,
        device: DeviceBackend,
        stream: int,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        *,
        features: Collection[str],
        largest: int,
    ) -> None:
        """Allocate.

        Args:
            device: whose memory.
            stream: all copies go into it.
            inputs: of the engine.
            outputs: of the engine.
            features: names of the inputs that stay on the device.
            largest: the largest click bucket.

        Raises:
            ExecutorError: there is not enough memory; nothing stays allocated.
        """
        self._device = device
        self._stream = stream
        self._places: dict[str, Place] = {}
        self._inputs = tuple(spec.name for spec in inputs)
        self._outputs = tuple(spec.name for spec in outputs)
        self.device_bytes = self.host_bytes = 0
        self._dequantiser: Dequantiser | None = None  # None: none is expected in int8
        alone = {*features, *ON_REQUEST}
        try:
            for spec in (*inputs, *outputs):
                self._places[spec.name] = self._allocate(spec, largest, spec.name in alone)
        except BaseException:
            self.free()
            raise

    @property
    def addresses(self) -> dict[str, int]:
        """Device address of every tensor."""
        return {name: place.address for name, place in self._places.items()}

    def stage(self, name: str, value: Array, bucket: int) -> None:
        """Write an input where the next `copy_in` takes it from."""
        place = self._twin(name, bucket)
        if is_per_click(self._places[name].spec):
            pad_into(place, name, value)
        else:
            place[...] = value

    def upload(self, name: str, value: Array, scale: Array | None = None) -> None:
        """Bring a feature to the device, as float16.

        Args:
            name: of the feature.
            value: float16, or levels int8; C-contiguous, it must outlive the copy.
            scale: of the levels, float16 [C], likewise; None: `value` is float16.

        Raises:
            ExecutorError: of the first levels that nobody expected (`expect_int8`), also when their
                kernel cannot be loaded, or there is too little memory for them.
        """
        address = self._places[name].address
        if scale is None:
            self._device.copy_in(address, value, self._stream)
            return
        if self._dequantiser is None:
            specs = (self._places[each].spec for each in self._inputs)
            shapes = [sized(spec, NO_CLICKS) for spec in specs if spec.may_be_int8]
            self._dequantiser = Dequantiser(self._device, self._stream, shapes)
            self.device_bytes += self._dequantiser.size_bytes
        self._dequantiser.enqueue(value, scale, address)

    def expect_int8(self) -> None:
        """Load the kernel for features in int8, make room for one, and run it on zeros.

        A driver may put the loading off to the first launch. What it leaves in the features are
        zeros, so that noise must be written after it.

        Raises:
            ExecutorError: the kernel cannot be loaded, or there is too little memory.
        """
        specs = [self._places[name].spec for name in self._inputs]
        for spec in (each for each in specs if each.may_be_int8):
            shape = sized(spec, NO_CLICKS)
            levels, scale = np.zeros(shape, np.int8), np.zeros(shape[0], np.float16)
            self.upload(spec.name, levels, scale)
            self._device.synchronise(self._stream)

    def copy_in(self, bucket: int) -> None:
        """Enqueue the copies of all staged inputs."""
        for name in self._inputs:
            place = self._places[name]
            if self._is_copied(place):
                self._device.copy_in(place.address, self._twin(name, bucket), self._stream)

    def copy_out(self, bucket: int) -> None:
        """Enqueue the copies of all outputs but those on request."""
        for name in self._outputs:
            place = self._places[name]
            if self._is_copied(place):
                self._device.copy_out(self._twin(name, bucket), place.address, self._stream)

    def fetch(self, name: str, count: int) -> Array | None:
        """Enqueue the copy of an output on request, and return where it goes; None: no such one."""
        place = self._places[name]
        if place.host is not None:
            return None
        target: Array = np.empty(sized(place.spec, count), place.spec.dtype)
        self._device.copy_out(target, place.address, self._stream)
        return target

    def result(self, name: str, count: int) -> Array:
        """A copy of an output, cut to `count` clicks; the stream must be synchronised."""
        return np.array(self._twin(name, count))

    def write_noise(self, bucket: int) -> None:
        """Fill all inputs with what a warm-up may run on: pictures and features of noise.

        Not zeros: a constant map makes 0/0 of a min-max, and not what lay there: an index computed
        from it may lie anywhere.
        """
        random = np.random.default_rng(0)
        for name in self._inputs:
            place = self._places[name]
            shape = sized(place.spec, bucket)
            if place.spec.dtype == np.uint8:
                noise: Array = random.integers(0, 256, shape, dtype=np.uint8)
            elif place.host is None:
                noise = random.normal(size=shape).astype(place.spec.dtype)
            else:
                noise = np.zeros(shape, place.spec.dtype)
            if place.host is None:
                self.upload(name, noise)
                self._device.synchronise(self._stream)
            else:
                self._twin(name, bucket)[...] = noise

    def free(self) -> None:
        """Give all memory back; the stream must be synchronised."""
        if self._dequantiser is not None:
            self._dequantiser.free()
            self._dequantiser = None
        while self._places:
            _, place = self._places.popitem()
            if place.host is None or place.host.device_address is None:
                self._device.free(place.address)
            if place.host is not None:
                self._device.free_host(place.host)

    def _allocate(self, spec: TensorSpec, largest: int, alone: bool) -> Place:
        size_bytes = math.prod(sized(spec, largest)) * spec.dtype.itemsize
        mapped = self._device.facts.integrated
        host = None
        if not alone:
            host = self._device.allocate_host(size_bytes, mapped=mapped)
            self.host_bytes += size_bytes
            if host.device_address is not None:
                return Place(spec, size_bytes, host.device_address, host)
        try:
            address = self._device.allocate(size_bytes)
        except BaseException:
            if host is not None:
                self._device.free_host(host)
            raise
        self.device_bytes += size_bytes
        return Place(spec, size_bytes, address, host)

    def _twin(self, name: str, rows: int) -> Array:
        """The host's side of a tensor, with so many clicks: a view of page-locked memory."""
        place = self._places[name]
        if place.host is None:
            raise LookupError(f"{name} lies on the device alone")  # a defect of the caller
        shape = sized(place.spec, rows)
        size_bytes = math.prod(shape) * place.spec.dtype.itemsize
        return place.host.array[:size_bytes].view(place.spec.dtype).reshape(shape)

    @staticmethod
    def _is_copied(place: Place) -> bool:
        return place.host is not None and place.host.device_address is None
