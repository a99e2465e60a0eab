from collections.abc import Iterator

import numpy as np
import pytest

from training.datasets import scene_pairs
from training.datasets.sample import PairSample
from training.datasets.scene_pairs import MOST_CLICKS, sample_pair


@pytest.fixture(scope="module", autouse=True)
def one_town() -> Iterator[None]:
    """A town takes longer than its pictures; a pool of one shares it among all samples here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene_pairs, "TOWN_POOL", 1)
        yield


@pytest.fixture(scope="module")
def samples(one_town) -> list[PairSample]:
    return [
        sample_pair(np.random.default_rng(k), frame_px=256, window_px=320, gsd_m=0.25, first_town=1)
        for k in range(4)
    ]


def test_shapes_and_ranges(samples) -> None:
    for s in samples:
        count = len(s.present)
        assert 0 < count <= MOST_CLICKS
        assert s.frame.shape == (256, 256, 3) and s.window.shape == (320, 320, 3)
        assert s.click_xy_px.shape == s.expected_xy_px.shape == (count, 2)
        # a 4:3 view letterboxed into a square has 32 px of border above and below
        assert (s.click_xy_px[:, 1] >= 32).all() and (s.click_xy_px[:, 1] <= 224).all()
        boxes = s.box_xyxy_px[s.present]
        assert (boxes >= 0).all() and (boxes <= 320).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_expected_place_is_near_the_box(samples) -> None:
    """Flat-ground geometry is off by parallax only: a roof is at most 30 m high."""
    near = total = 0
    for s in samples:
        for box, expected, there in zip(s.box_xyxy_px, s.expected_xy_px, s.present, strict=True):
            if there:
                total += 1
                margin = 10 / 0.2  # ten metres
                inside = (expected > box[:2] - margin).all() and (expected < box[2:] + margin).all()
                near += bool(inside)
    assert total > 0
    assert near >= 0.8 * total


def test_seed_decides(samples) -> None:
    again = sample_pair(
        np.random.default_rng(2), frame_px=256, window_px=320, gsd_m=0.25, first_town=1
    )
    assert (again.frame == samples[2].frame).all()
    assert np.array_equal(again.box_xyxy_px, samples[2].box_xyxy_px)
