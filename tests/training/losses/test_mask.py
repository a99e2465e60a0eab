import numpy as np
import pytest
import torch
from scipy.special import expit
from torch.nn import functional

from edge.errors import DataError
from training.losses.mask import box_cells, pool_mask
from training.losses.term import Truth
from training.losses.total import term, total_loss
from training.models.contract import HeadMaps

ANCHORS = torch.tensor([[20.0, 20.0]], dtype=torch.float64)


def maps(logit: torch.Tensor | None) -> HeadMaps:
    boxes = torch.zeros(2, 1, 5, 4, 4, dtype=torch.float64)
    return HeadMaps(boxes, boxes[:, 0, 0], boxes[:, 0, 0], logit)


@pytest.fixture
def logit() -> torch.Tensor:
    return torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.fixture
def true() -> Truth:
    mask = torch.zeros(2, 64, 64, dtype=torch.bool)
    mask[0, 17:40, 3:30] = True
    mask[1, 63, 63] = True
    box = torch.tensor([[3.0, 17, 30, 40], [63, 63, 64, 64]], dtype=torch.float64)
    return Truth(box, torch.tensor([0, 1]), torch.tensor([True, True]), 64, mask)


def test_pooling_is_the_maximum_of_each_cell(true: Truth) -> None:
    wanted = functional.max_pool2d(true.mask.float().unsqueeze(1), 16).squeeze(1).bool()
    assert torch.equal(pool_mask(true.mask, (4, 4)), wanted)
    assert wanted.sum() == 5


def test_bce_and_dice_equal_numpy(logit, true: Truth) -> None:
    g = functional.max_pool2d(true.mask.float().unsqueeze(1), 16).squeeze(1).numpy()
    p = expit(logit.numpy())
    bce = -(15 * g * np.log(p) + (1 - g) * np.log(1 - p)).mean()
    dice = 1 - (2 * (p * g).sum() + 1e-5) / ((p**2).sum() + (g**2).sum() + 1e-5)
    terms = [term("mask_bce", weight=0.4), term("mask_dice", weight=1.6)]
    values = total_loss(terms, maps(logit), true, ANCHORS, 16)
    assert float(values["mask_bce"]) == pytest.approx(bce)
    assert float(values["mask_dice"]) == pytest.approx(dice)
    assert float(values["loss"]) == pytest.approx(2 * (0.2 * bce + 0.8 * dice))


def test_perfect_mask_costs_nothing(true: Truth) -> None:
    cells = pool_mask(true.mask, (4, 4)).double()
    terms = [term("mask_bce"), term("mask_dice")]
    values = total_loss(terms, maps((cells - 0.5) * 200), true, ANCHORS, 16)
    assert float(values["loss"]) == pytest.approx(0, abs=1e-9)


def test_without_masks_the_box_is_filled(logit, true: Truth) -> None:
    plain = Truth(true.box_xyxy_px, true.window, true.present, 64)
    with_mask, without = (
        total_loss([term("mask_bce")], maps(logit), t, ANCHORS, 16)["loss"] for t in (true, plain)
    )
    assert float(with_mask) == pytest.approx(float(without))


def test_cells_of_boxes_equal_pooled_pixels() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        x1, y1 = rng.integers(0, 60, 2)
        x2, y2 = x1 + rng.integers(1, 64 - x1 + 1), y1 + rng.integers(1, 64 - y1 + 1)
        pixels = torch.zeros(1, 64, 64, dtype=torch.bool)
        pixels[0, y1:y2, x1:x2] = True
        box = torch.tensor([[x1, y1, x2, y2]], dtype=torch.float32)
        assert torch.equal(box_cells(box, (4, 4), 16), pool_mask(pixels, (4, 4)))


def test_absent_objects_have_no_mask_and_no_say(logit, true: Truth) -> None:
    absent = Truth(true.box_xyxy_px, true.window, torch.tensor([True, False]), 64, true.mask)
    alone = Truth(
        *(x[:1] for x in (true.box_xyxy_px, true.window, true.present)), 64, true.mask[:1]
    )
    first = HeadMaps(*(x[:1] for x in (maps(logit).boxes, logit, logit, logit)))
    for name in ("mask_bce", "mask_dice"):
        both = total_loss([term(name)], maps(logit), absent, ANCHORS, 16)["loss"]
        one = total_loss([term(name)], first, alone, ANCHORS, 16)["loss"]
        assert float(both) == pytest.approx(float(one))


def test_model_without_masks_and_odd_masks_are_refused(true: Truth) -> None:
    with pytest.raises(DataError, match="asks for a loss on masks") as caught:
        total_loss([term("mask_dice")], maps(None), true, ANCHORS, 16)
    assert "trogeo" in str(caught.value)
    with pytest.raises(DataError, match="does not fit the grid"):
        pool_mask(torch.zeros(1, 30, 30, dtype=torch.bool), (4, 4))
