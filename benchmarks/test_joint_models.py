"""What a cached window is worth to AttenGeo and TROGeo, and further clicks to MOGeo, in one run.

pytest benchmarks/test_joint_models.py

At full size: frames of 256 x 256 px, windows of 1024 px, one click where not said otherwise. The
weights do not matter for speed, so they are random. Whole and cached runs alternate, so that a
machine's moods meet both; one thread, its processor time, and the best of the rounds: two threads
that wait for each other on a busy machine measure its queue.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.in_turns import least_ms

LEAST_GAIN = 4.0  # whole over cached
MOST_FOR_EIGHT_CLICKS = 1.5  # over one click


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def prepared(name: str) -> tuple[Any, Any, Any, dict[str, Any]]:
    """A model, a frame [3, 256, 256], a window [1, 3, 1024, 1024] and its features."""
    import torch

    from training.models import build

    torch.manual_seed(0)
    model = build(name).eval()
    window = torch.rand(1, 3, 1024, 1024) * 255
    with torch.inference_mode():
        features = {key: tensor[0] for key, tensor in model.encode_reference(window).items()}
    return model, torch.rand(3, 256, 256) * 255, window, features


@pytest.mark.parametrize("name", ["attengeo", "trogeo"])
def test_cached_window(name, benchmark):
    import torch

    model, frame, window, features = prepared(name)
    click = torch.tensor([[100.0, 120.0]])

    def whole() -> object:
        fresh = {key: tensor[0] for key, tensor in model.encode_reference(window).items()}
        return model.localize(frame, click, fresh)

    def cached() -> object:
        return model.localize(frame, click, features)

    with torch.inference_mode():
        benchmark.pedantic(cached, rounds=1)
        whole_ms, cached_ms = least_ms(3, whole, cached, clock=time.process_time)
    print(f"\n{name}: {whole_ms:.0f} ms whole, {cached_ms:.0f} ms cached", end=" ")
    print(f"({whole_ms / cached_ms:.1f}x)")
    benchmark.extra_info |= {"whole_ms": whole_ms, "ratio": whole_ms / cached_ms}
    assert whole_ms >= LEAST_GAIN * cached_ms


def test_eight_clicks_of_mogeo(benchmark):
    import torch

    model, frame, _, features = prepared("mogeo")
    clicks = torch.rand(8, 2) * 256

    def located(count: int) -> object:
        return model.localize(frame, clicks[:count], features)

    with torch.inference_mode():
        benchmark.pedantic(located, args=(8,), rounds=1)
        one_ms, eight_ms = least_ms(
            15, lambda: located(1), lambda: located(8), clock=time.process_time
        )
    print(f"\nmogeo: {one_ms:.1f} ms for one click, {eight_ms:.1f} ms for eight", end=" ")
    print(f"({eight_ms / one_ms:.2f}x)")
    benchmark.extra_info |= {"one_ms": one_ms, "ratio": eight_ms / one_ms}
    assert eight_ms <= MOST_FOR_EIGHT_CLICKS * one_ms
