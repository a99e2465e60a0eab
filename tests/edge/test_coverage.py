import numpy as np

from edge.coverage import TENSOR, cell_coverage, coverage_at
from edge.types import ReferenceFeature


def feature(**tensors) -> ReferenceFeature:
    return ReferenceFeature(tensors, None, 64, 48, "w", "m", "model", 0.5)


def test_cells_hold_the_share_of_valid_pixels() -> None:
    valid = np.zeros((48, 64), bool)
    valid[:16, :24] = True  # one whole cell and half of the next
    cells = cell_coverage(valid, 16)
    assert cells.tolist() == [[255, 128, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_the_centre_of_a_box_decides() -> None:
    cells = np.array([[255, 0], [51, 0]], np.uint8)
    boxes = np.float32([[0, 0, 10, 10], [10, 0, 30, 10], [0, 12, 20, 40], [-40, 0, 10, 9]])
    share = coverage_at(feature(**{TENSOR: cells}), boxes, 16)
    np.testing.assert_allclose(share, [1, 0, 0.2, 0])  # the last centre lies outside


def test_without_the_tensor_all_is_covered() -> None:
    assert coverage_at(feature(), np.float32([[0, 0, 9, 9]]), 16).tolist() == [1]
