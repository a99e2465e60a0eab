"""Times on a GPU: events around replays of a CUDA graph, medians, and the copy bandwidth."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

WARM_UPS = 3
ROUNDS = 25
COPY_BYTES = 1 << 30


def median_us(call: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Median time of a call on the current stream, warmed up."""
    import torch

    for _ in range(WARM_UPS):
        call()
    times_us = []
    for _ in range(rounds):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        times_us.append(1e3 * start.elapsed_time(end))
    return statistics.median(times_us)


def in_graph(call: Callable[[], object]) -> Callable[[], None]:
    """Capture a call into a CUDA graph; the answer replays it."""
    import torch

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UPS):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    replay: Callable[[], None] = graph.replay
    return replay


def graph_us(calls: Sequence[Callable[[], object]]) -> float:
    """Median time of one of several calls, all captured into one graph one after another.

    Calls on different tensors, more of them than the cache holds, measure memory and not the cache.
    """

    def all_of_them() -> None:
        for call in calls:
            call()

    return median_us(in_graph(all_of_them)) / len(calls)


def copy_gb_per_s() -> float:
    """Bandwidth of a device-to-device copy of 1 GiB: bytes read plus bytes written."""
    import torch

    source = torch.randn(COPY_BYTES // 4, device="cuda")
    target = torch.empty_like(source)
    return 2 * COPY_BYTES / (1e3 * median_us(lambda: target.copy_(source)))
