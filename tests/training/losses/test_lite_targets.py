import numpy as np
import pytest
import torch

from training.losses.lite_targets import assign

ANCHORS = torch.tensor([[80.0, 80.0], [40.0, 20.0], [16.0, 16.0]])


def iou(a: np.ndarray, b: np.ndarray) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    overlap = np.prod(np.clip(high - low, 0, None))
    return float(overlap / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - overlap))


def test_decoding_a_target_gives_the_box_back() -> None:
    box = torch.tensor([[30.0, 41.0, 75.0, 69.0]])
    t = assign(box, ANCHORS, (8, 8), 16)
    k = 4  # the middle of the 3 x 3 candidates is the centre's own cell
    row, column = divmod(int(t.cell[0, k]), 8)
    centre = (np.array([column, row]) + t.fraction[0, k].numpy()) * 16
    for a in range(3):
        size = ANCHORS[a].numpy() * np.exp(t.log_size[0, a].numpy())
        assert np.allclose(np.r_[centre - size / 2, centre + size / 2], box[0].numpy(), atol=1e-3)


def test_weights_follow_the_reachable_iou() -> None:
    box = np.array([30.0, 41.0, 75.0, 69.0])
    t = assign(torch.tensor(box[None], dtype=torch.float32), ANCHORS, (8, 8), 16)
    expected = np.zeros((3, 9))
    for k in range(9):
        row, column = divmod(int(t.cell[0, k]), 8)
        centre = (np.array([column, row]) + t.fraction[0, k].numpy()) * 16
        for a in range(3):
            half = ANCHORS[a].numpy() / 2
            expected[a, k] = max(iou(np.r_[centre - half, centre + half], box), 1e-4) ** 6
    assert np.allclose(t.weight[0].numpy(), expected / expected.sum(), atol=1e-4)


def test_candidates_outside_the_grid_get_no_weight() -> None:
    t = assign(torch.tensor([[0.0, 0.0, 12.0, 12.0]]), ANCHORS, (8, 8), 16)
    assert t.valid.sum() == 4
    assert float(t.weight.sum()) == pytest.approx(1.0)
    assert float(t.weight[~t.valid.unsqueeze(1).expand(-1, 3, -1)].abs().sum()) == 0.0
