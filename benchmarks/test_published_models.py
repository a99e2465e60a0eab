"""What a cached window is worth to DetGeo and OCGNet, and what pruning and folding are, in one run.

pytest benchmarks/test_published_models.py -s

At full size: frames of 256 x 256 px, windows of 1024 px, one click. Weights do not matter for
speed, so they are random. Whole is the training path of the same model, pruned Darknet and all,
with its decoding; the published form also runs the layers that feed nothing. One thread and its
processor time, in turns: two threads that wait for each other on a busy machine measure its queue.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.in_turns import least_ms

LEAST_GAIN = 30.0  # whole over cached
ROUNDS = 2  # of a whole run, which takes seconds
DARKNET_ROUNDS = 5


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def prepared(name: str, **options: Any) -> tuple[Any, Any, Any, Any]:
    """A model, a frame [1, 3, 256, 256], a window [1, 3, 1024, 1024] and one click."""
    import torch

    from training.models import build
    from training.models.contract import Clicks

    torch.manual_seed(0)
    model = build(name, **options).eval()
    none = torch.zeros(1, dtype=torch.long)
    clicks = Clicks(torch.tensor([[100.0, 120.0]]), none, none)
    return model, torch.rand(1, 3, 256, 256) * 255, torch.rand(1, 3, 1024, 1024) * 255, clicks


@pytest.mark.parametrize("name", ["detgeo", "ocgnet"])
def test_cached_window(name, benchmark):
    import torch

    from training.models.anchor_head import decode_maps

    model, frame, window, clicks = prepared(name)

    def whole() -> object:
        maps = model(frame, window, clicks)
        return decode_maps(maps.boxes, model.anchors_wh_px, model.options.stride_px)

    with torch.inference_mode():
        features = {key: tensor[0] for key, tensor in model.encode_reference(window).items()}

        def cached() -> object:
            return model.localize(frame[0], clicks.xy_px, features)

        benchmark.pedantic(cached, rounds=1)
        whole_ms, cached_ms = least_ms(ROUNDS, whole, cached, clock=time.process_time)
    print(f"\n{name}: {whole_ms:.0f} ms whole, {cached_ms:.0f} ms cached", end=" ")
    print(f"({whole_ms / cached_ms:.1f}x)")
    benchmark.extra_info |= {"whole_ms": whole_ms, "ratio": whole_ms / cached_ms}
    assert whole_ms >= LEAST_GAIN * cached_ms


def test_pruned_darknet(record_property):
    """14 % of the multiplications are left out; a busy machine is given room."""
    import torch

    from training.models.darknet import Darknet

    torch.manual_seed(0)
    window = torch.rand(1, 3, 384, 384)
    full, pruned = Darknet(dead_layers=True).eval(), Darknet().eval()
    with torch.inference_mode():
        pruned_ms, full_ms = least_ms(
            DARKNET_ROUNDS, lambda: pruned(window), lambda: full(window), clock=time.process_time
        )
    print(f"\nDarknet: {full_ms:.0f} ms full, {pruned_ms:.0f} ms pruned")
    record_property("share_left", pruned_ms / full_ms)
    assert pruned_ms < 1.05 * full_ms
