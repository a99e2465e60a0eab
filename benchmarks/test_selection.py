"""What a selection costs: a look at one frame, and the choice among thousands of candidates.

Absolute times are reported; only ratios can fail, since a loaded machine is slower as a whole.
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.in_turns import least_ms
from calibration.selection.coverage import balanced_blocks, choose
from calibration.selection.look import BLOCKS, DESCRIPTOR, look_at
from calibration.selection.request import FRAMES, MOST_FRAME_CANDIDATES


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    image = np.zeros((1080, 1920, 3), np.float32)
    for cells, weight in ((8, 60), (64, 40), (512, 40)):
        noise = rng.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        image += weight * cv2.resize(noise, (1920, 1080), interpolation=cv2.INTER_CUBIC)
    return np.clip(image + 110, 0, 255).astype(np.uint8)


def test_a_look_at_a_frame(benchmark, frame):
    """Cheaper than decoding the JPEG that it comes from: the scan is bound by the decoder."""
    _, jpeg = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 92])
    small = cv2.resize(frame, (512, 288), interpolation=cv2.INTER_AREA)
    look = benchmark(lambda: look_at(small))
    assert not look.constant
    decode_ms, look_ms = least_ms(
        5, lambda: cv2.imdecode(jpeg, cv2.IMREAD_COLOR), lambda: look_at(small)
    )
    benchmark.extra_info["decode_over_look"] = decode_ms / look_ms
    assert look_ms < 2 * decode_ms


def test_the_choice_among_all_candidates(benchmark):
    """256 of 4096, the most that a selection looks at; its time grows linearly with both."""
    rng = np.random.default_rng(1)
    raw = rng.normal(size=(MOST_FRAME_CANDIDATES, DESCRIPTOR)).astype(np.float32)
    points = balanced_blocks(raw, BLOCKS)
    keys = [(f"site {n % 5}", n % 3) for n in range(len(points))]
    chosen = benchmark.pedantic(lambda: choose(points, keys, FRAMES, 0), rounds=2)
    assert len(set(chosen)) == FRAMES
    whole_ms, half_ms = least_ms(
        2,
        lambda: choose(points, keys, 64, 0),
        lambda: choose(points[::2], keys[::2], 64, 0),
    )
    benchmark.extra_info["whole_over_half"] = whole_ms / half_ms
    assert whole_ms < 4 * half_ms
