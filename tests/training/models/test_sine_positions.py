import math

import pytest
import torch

from training.models.sine_positions import SineLayout, sine_positions


def by_hand(row: int, column: int, channel: int, channels: int, layout: SineLayout) -> float:
    """The two formulas, one element at a time."""
    if layout == SineLayout.INTERLEAVED:
        k, kind = divmod(channel, 4)
        at = (column, column, row, row)[kind] / 10000 ** (2 * k / channels)
        return (math.sin, math.cos, math.sin, math.cos)[kind](at)
    half = channels // 2
    place, within = (row, channel) if channel < half else (column, channel - half)
    at = place / 10000 ** (2 * (within // 2) / half)
    return math.sin(at) if within % 2 == 0 else math.cos(at)


@pytest.mark.parametrize("layout", list(SineLayout))
@pytest.mark.parametrize("first", [0, 1])
def test_equals_the_formula_element_by_element(layout, first):
    rows, columns, channels = 3, 5, 16
    encoded = sine_positions((rows, columns), channels, layout, first)
    assert encoded.shape == (rows * columns, channels)
    for row in range(rows):
        for column in range(columns):
            for channel in range(channels):
                wanted = by_hand(row + first, column + first, channel, channels, layout)
                found = float(encoded[row * columns + column, channel])
                assert found == pytest.approx(wanted, abs=1e-5), (row, column, channel)


def test_no_two_cells_of_a_full_grid_are_encoded_alike():
    encoded = sine_positions((32, 32), 256)
    distance = torch.cdist(encoded, encoded) + 10 * torch.eye(1024)
    assert float(distance.min()) > 0.1


def test_takes_dtype_and_refuses_odd_widths():
    assert sine_positions((2, 2), 8, like=torch.zeros(1, dtype=torch.float16)).dtype == torch.half
    with pytest.raises(ValueError, match="multiple of 4, got 6"):
        sine_positions((2, 2), 6)
