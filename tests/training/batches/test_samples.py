from dataclasses import replace

import numpy as np
import pytest
from tiny_model import Squares

from edge.errors import DataError
from training.batches.samples import SampleReader, collate, fill_outlines, sample_masks


def test_pictures_of_another_size_are_refused_with_their_sample() -> None:
    reader = SampleReader(Squares(3), (256, 256), 1024)
    with pytest.raises(DataError, match="sample 2 of squares/train") as caught:
        reader.batch([2], np.random.default_rng(0))
    assert "frame (256, 256), window (1024, 1024)" in str(caught.value)
    assert "frame (64, 64), window (128, 128)" in str(caught.value)
    assert "recipe" not in str(caught.value), "evaluate --checkpoint has none"


def test_boxes_are_truncated_before_augmentation_if_asked_for() -> None:
    class Fractions(Squares):
        def read(self, index: int):
            sample = super().read(index)
            return replace(sample, box_xyxy_px=sample.box_xyxy_px + 0.75)

    seen = []

    def augment(sample, rng):
        seen.append(sample.box_xyxy_px.copy())
        return sample

    reader = SampleReader(Fractions(1), (64, 64), 128, augment, whole_pixel_boxes=True)
    box = reader.batch([0], np.random.default_rng(0)).box_xyxy_px.numpy()
    assert np.array_equal(box, Squares(1).read(0).box_xyxy_px)
    assert np.array_equal(seen[0], box)


@pytest.mark.parametrize("augment", [None, lambda sample, rng: sample])
def test_whole_pixel_boxes_end_at_the_last_pixel_as_the_targets_do(augment) -> None:
    class AtTheEdge(Squares):
        def read(self, index: int):
            box = np.array([[-3.5, 100.0, 128.0, 130.25]], np.float32)
            return replace(super().read(index), box_xyxy_px=box)

    def box(**options) -> list[float]:
        reader = SampleReader(AtTheEdge(1), (64, 64), 128, augment, **options)
        return reader.batch([0], np.random.default_rng(0)).box_xyxy_px[0].tolist()

    assert box(whole_pixel_boxes=True) == [0, 100, 127, 127]
    assert box() == [-3.5, 100.0, 128.0, 130.25], "our own sets hold true edges"


def test_masks_are_the_data_sets_or_the_outlines_or_the_boxes() -> None:
    sample = Squares(1).read(0)
    x1, y1, x2, y2 = sample.box_xyxy_px[0].astype(int)
    boxed = sample_masks(sample)
    assert boxed.sum() == (x2 - x1) * (y2 - y1)
    assert boxed[0, y1:y2, x1:x2].all()
    outline = np.array([[[x1, y1], [x2 - 1, y1], [x1, y2 - 1], [x1, y1]]], np.float32)
    drawn = sample_masks(replace(sample, polygon_xy_px=outline))
    assert 0.4 < drawn.sum() / boxed.sum() < 0.6
    own = np.zeros((1, 128, 128), bool)
    own[0, 5, 7] = True
    assert np.array_equal(sample_masks(replace(sample, mask=own, polygon_xy_px=outline)), own)
    batch = SampleReader(Squares(2), (64, 64), 128, masks=True).batch(
        [0, 1], np.random.default_rng(0)
    )
    assert batch.mask.shape == (2, 128, 128)
    assert batch.truth().mask is batch.mask
    assert collate([sample]).mask is None


def test_outline_is_filled_with_its_corners() -> None:
    masks = fill_outlines([np.array([[4, 2], [12, 2], [12, 9], [4, 9]], np.float32)], (16, 20))
    assert masks.shape == (1, 16, 20)
    rows, columns = np.nonzero(masks[0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 9, 4, 12)
    diamond = fill_outlines(
        [np.array([[10, 0], [20, 10], [10, 20], [0, 10]], np.float32)], (21, 21)
    )
    assert diamond.sum() == pytest.approx(200, rel=0.12)  # half of its box of 20 x 20
