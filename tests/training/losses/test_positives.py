import numpy as np
import pytest
import torch

from training.losses.positives import assign_positives, shape_iou
from training.models.contract import CVOGL_ANCHORS_WH_PX

ANCHORS = torch.tensor(CVOGL_ANCHORS_WH_PX)


def decode(t: np.ndarray, anchor: int, row: int, column: int, stride: int) -> np.ndarray:
    """Specification 1.5, in numpy."""
    centre = (1 / (1 + np.exp(-t[:2])) + [column, row]) * stride
    size = np.exp(t[2:4]) * np.array(CVOGL_ANCHORS_WH_PX[anchor])
    return np.r_[centre - size / 2, centre + size / 2]


def test_decoding_the_encoded_box_gives_it_back_within_a_thousandth_of_a_pixel() -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 700, (200, 2))
    boxes = np.c_[low, low + rng.uniform(5, 300, (200, 2))]
    p = assign_positives(torch.tensor(boxes), ANCHORS.double(), (64, 64), 16)
    fraction = p.fraction.numpy()
    logit = np.log(fraction) - np.log1p(-fraction)
    assert np.isfinite(logit).all()
    for k, box in enumerate(boxes):
        t = np.r_[logit[k], p.log_size[k].numpy()]
        place = (int(p.anchor[k]), int(p.row[k]), int(p.column[k]))
        assert np.abs(decode(t, *place, 16) - box).max() < 1e-3


def test_positive_is_the_centres_cell_and_the_anchor_of_best_shape() -> None:
    boxes = np.array([[175.0, 76, 540, 890], [0, 0, 36, 40], [900, 10, 1010, 60]])
    p = assign_positives(torch.tensor(boxes), ANCHORS.double(), (64, 64), 16)
    for k, (x1, y1, x2, y2) in enumerate(boxes):
        ious = []
        for w, h in CVOGL_ANCHORS_WH_PX:
            shared = min(w, x2 - x1) * min(h, y2 - y1)
            ious.append(shared / (w * h + (x2 - x1) * (y2 - y1) - shared))
        assert int(p.anchor[k]) == int(np.argmax(ious))
        assert int(p.column[k]) == int((x1 + x2) / 2 // 16)
        assert int(p.row[k]) == int((y1 + y2) / 2 // 16)
    assert int(p.anchor[1]) == 8, "the list is used in reversed order: the smallest is last"
    flat = p.flat((64, 64))
    assert torch.equal(flat // 4096, p.anchor)
    assert torch.equal(flat % 4096, p.row * 64 + p.column)


@pytest.mark.parametrize(
    "box", [(1000, 1000, 1400, 1400), (1024, 1024, 1024, 1024), (-9, -9, 0, 0)]
)
def test_boxes_at_the_edge_are_clamped_into_the_window(box) -> None:
    p = assign_positives(torch.tensor([box], dtype=torch.float32), ANCHORS, (64, 64), 16)
    x1, y1, x2, y2 = np.clip(box, 0, 1023)
    assert (int(p.column[0]), int(p.row[0])) == ((x1 + x2) // 32, (y1 + y2) // 32)
    assert bool(torch.isfinite(p.log_size).all()), "an empty box has a finite logarithm, as coded"


def test_other_grids_scale() -> None:
    box = torch.tensor([[10.0, 20.0, 80.0, 60.0]])
    p = assign_positives(box, ANCHORS, (4, 4), 32)
    assert (int(p.column[0]), int(p.row[0])) == (1, 1)
    assert p.fraction[0].tolist() == pytest.approx([45 / 32 - 1, 40 / 32 - 1])


def test_shape_iou_of_known_boxes() -> None:
    iou = shape_iou(torch.tensor([[10.0, 10.0]]), torch.tensor([[10.0, 20.0], [5.0, 5.0]]))
    assert iou[0].tolist() == pytest.approx([0.5, 0.25])
    assert float(shape_iou(torch.zeros(1, 2), torch.zeros(1, 2))) == 0.0
