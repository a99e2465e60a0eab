"""Features in INT8 on a GPU: bit for bit what the host makes of them, and how fast beside float16.

It uses what flies: the driver by cuda-python, and the kernel of the `edge` package, which the
driver translates. Neither torch nor a library of plugins takes part.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from benchmarks.acceptance_record import Requirement, Skip
from benchmarks.gpu.clock import ROUNDS, WARM_UPS

Array = Any  # numpy.ndarray; imported on call
Device = Any  # edge.devices.base.DeviceBackend
Shape = tuple[int, int, int]
LITE: tuple[Shape, ...] = ((128, 128, 128), (64, 128, 128))  # v and u of the shipped bundle
SIZES: tuple[Shape, ...] = (*LITE, (512, 64, 64), (5, 7, 11), (300, 1, 1), (1, 1, 1025))
SCALES = (0.0, 6e-8, 3e-5, 6.1e-5, 0.0123, 1.0, 516.0, 65504.0)  # the first channels get these
DIFFERING, SHARE = "values unlike the host's", "time against the copy of float16"


def check(seeds: int) -> tuple[dict[str, Any], list[Requirement]]:
    """Random levels, -128 among them, and scales: none, subnormal, huge and usual."""
    import numpy as np

    from edge.executors.dequantiser import Dequantiser
    from edge.feature_quantization import SCALE, dequantized

    def work(device: Device, stream: int) -> tuple[int, int]:
        values = differing = 0
        for shape in SIZES:
            for seed in range(seeds):
                levels, scale = case(shape, seed)
                wanted = dequantized({"v": levels, "v" + SCALE: scale})["v"]
                found = np.full(shape, np.nan, np.float16)
                address = device.allocate(found.nbytes)
                room = Dequantiser(device, stream, [shape])
                room.enqueue(levels, scale, address)
                device.copy_out(found, address, stream)
                device.synchronise(stream)
                room.free()
                device.free(address)
                values += found.size
                differing += int((found.view(np.uint16) != wanted.view(np.uint16)).sum())
        return values, differing

    values, differing = with_device(work)
    return {"values": values}, [Requirement(DIFFERING, differing, 0, True)]


def time_features() -> tuple[dict[str, Any], list[Requirement]]:
    """A window of `lite` from pageable memory, as float16 and as INT8; and the kernel alone."""
    import numpy as np

    from edge.executors.dequantiser import Dequantiser

    def work(device: Device, stream: int) -> dict[str, float]:
        stored = [case(shape, number) for number, shape in enumerate(LITE)]
        plain = [np.ones(shape, np.float16) for shape in LITE]
        addresses = [device.allocate(value.nbytes) for value in plain]
        room = Dequantiser(device, stream, LITE)

        def copied() -> None:
            for value, address in zip(plain, addresses, strict=True):
                device.copy_in(address, value, stream)

        def enqueued() -> None:
            for (levels, scale), address in zip(stored, addresses, strict=True):
                room.enqueue(levels, scale, address)

        def multiplied() -> None:
            for shape, address in zip(LITE, addresses, strict=True):
                room.multiply(shape, address)

        times = [median_us(device, stream, call) for call in (copied, enqueued, multiplied)]
        room.free()
        for address in addresses:
            device.free(address)
        return dict(zip(("float16, us", "int8, us", "kernel alone, us"), times, strict=True))

    values = with_device(work)
    share = values["int8, us"] / values["float16, us"]
    return values, [Requirement(SHARE, share, 1.0, True)]


def case(shape: Shape, seed: int) -> tuple[Array, Array]:
    """Levels int8 of a shape [C, H, W] and scales float16 [C]."""
    import numpy as np

    random = np.random.default_rng(seed)
    levels = random.integers(-128, 128, shape).astype(np.int8)
    scale = random.uniform(0, 0.1, shape[0])
    special = SCALES[: shape[0]]
    scale[: len(special)] = special
    return levels, scale.astype(np.float16)


def median_us(device: Device, stream: int, call: Callable[[], None]) -> float:
    """Median time of what a call enqueues, by events around it."""
    start, end = device.create_event(), device.create_event()
    times_us = []
    for turn in range(WARM_UPS + ROUNDS):
        device.record(start, stream)
        call()
        device.record(end, stream)
        if turn >= WARM_UPS:
            times_us.append(1e3 * device.elapsed_ms(start, end))
    device.synchronise(stream)
    for event in (start, end):
        device.destroy_event(event)
    return statistics.median(times_us)


def with_device(work: Callable[[Device, int], Any]) -> Any:
    """What `work` answers with the first GPU current, and a stream."""
    from edge.devices.base import open_device
    from edge.errors import ExecutorError

    try:
        device = open_device()
    except ExecutorError as error:
        raise Skip(f"{error.what}: {error.found}") from error
    try:
        with device.current():
            stream = device.create_stream()
            try:
                return work(device, stream)
            finally:
                device.destroy_stream(stream)
    finally:
        device.close()
