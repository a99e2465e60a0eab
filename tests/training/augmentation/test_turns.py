import numpy as np
import pytest
import torch

from training.augmentation.turns import Turn, draw_turns

EVERY = [Turn(q, m) for q in range(4) for m in (False, True)]


@pytest.mark.parametrize("turn", EVERY)
def test_box_and_point_follow_the_picture(turn: Turn) -> None:
    image = torch.zeros(3, 40, 40, dtype=torch.uint8)
    image[:, 5:9, 20:31] = 200  # box (20, 5, 31, 9)
    image[0, 6, 22] = 255  # the pixel whose centre is (22.5, 6.5)
    turned = turn.picture(image)
    x1, y1, x2, y2 = turn.box((20, 5, 31, 9), 40)
    rows, columns = np.nonzero(turned[1].numpy())
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x1, y1, x2, y2)
    x, y = turn.point((22.5, 6.5), 40)
    assert turned[0, int(y), int(x)] == 255


def test_the_eight_symmetries_differ() -> None:
    image = torch.arange(3 * 4 * 4).reshape(3, 4, 4)
    assert len({tuple(t.picture(image).flatten().tolist()) for t in EVERY}) == 8


def test_views_are_mirrored_together() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_turns(rng) for _ in range(200)]
    assert all(frame.mirrored == window.mirrored for frame, window in drawn)
    assert len({(f.quarters, w.quarters, f.mirrored) for f, w in drawn}) == 32
