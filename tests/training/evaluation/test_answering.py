import contextlib
from dataclasses import replace

import cross_view
import numpy as np
import pytest
import torch
from quick_weights import quick_random_weights
from settled import settled
from small_backbones import shallow_backbones
from tiny_model import Squares, TinyModel

from edge.geodesy import cvogl_geometry
from training.batches.samples import SampleReader, collate
from training.evaluation.answering import answer_all, answer_noisy, predict_boxes
from training.models import build
from training.models.anchor_head import decode_maps
from training.models.contract import Clicks, CrossViewModel

CPU = torch.device("cpu")


class Changed(Squares):
    """Squares of which every third is absent; each with a class and a place on the Earth."""

    def read(self, index: int):
        sample = super().read(index)
        return replace(
            sample,
            present=np.array([index % 3 != 2]),
            class_names=(f"kind{index % 2}",),
            geometry=cvogl_geometry("547433_5280574_64_32610.jpg", 128),
        )


class Crowded(Squares):
    """Squares of which each is clicked 25 times: what one click costs falls on all of them."""

    def read(self, index: int):
        sample = super().read(index)
        return replace(
            sample,
            click_xy_px=np.repeat(sample.click_xy_px, 25, 0),
            box_xyxy_px=np.repeat(sample.box_xyxy_px, 25, 0),
            present=np.ones(25, bool),
            expected_xy_px=np.repeat(sample.expected_xy_px, 25, 0),
            class_names=sample.class_names * 25,
        )


class PointsAtItsClick(TinyModel):
    """Answers a box of 24 x 30 around twice the click, so that clicks can be seen in answers."""

    encoded = 0

    def encode_reference(self, image):
        self.encoded += len(image)
        return super().encode_reference(image)

    def fuse(self, frame, reference, clicks: Clicks):
        maps = super().fuse(frame, reference, clicks)
        xy = 2 * clicks.xy_px
        cell = (xy / 16).long().clamp(0, 7)
        boxes = torch.full_like(maps.boxes, -9.0)
        rows = torch.arange(len(boxes))
        boxes[rows, 0, 4, cell[:, 1], cell[:, 0]] = 9.0
        fraction = (xy / 16 - cell).clamp(1e-4, 1 - 1e-4)
        boxes[rows, 0, :2, cell[:, 1], cell[:, 0]] = torch.logit(fraction)
        boxes[rows, 0, 2:4, cell[:, 1], cell[:, 0]] = 0.0
        return replace(maps, boxes=boxes)


def centres(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


@pytest.fixture
def model() -> CrossViewModel:
    torch.manual_seed(0)
    return PointsAtItsClick().eval()


def test_absent_objects_are_left_out_and_the_batch_changes_nothing(model) -> None:
    reader = SampleReader(Changed(8), (64, 64), 128)
    one, three = (answer_all(model, reader, b, CPU) for b in (1, 3))
    assert one.image.tolist() == [0, 1, 3, 4, 6, 7]
    assert one.category == ("kind0", "kind1", "kind1", "kind0", "kind0", "kind1")
    assert np.allclose(one.gsd_m, 0.5, rtol=1e-3)  # 64 m over 128 px
    for field in ("image", "truth_xyxy_px", "box_xyxy_px"):
        assert np.array_equal(getattr(one, field), getattr(three, field))
    truth = [Changed(8).read(i).box_xyxy_px[0] for i in one.image]
    assert np.array_equal(one.truth_xyxy_px, truth)


def test_errors_of_clicks_have_their_sigma_and_are_the_same_for_every_model(model) -> None:
    reader = SampleReader(Crowded(8), (64, 64), 128)
    plain, moved = answer_noisy(model, reader, 5, CPU, (0, 2))
    (again,) = answer_noisy(model, reader, 3, CPU, (2,))
    assert len(moved.box_xyxy_px) == 200
    assert np.array_equal(moved.box_xyxy_px, again.box_xyxy_px)
    error = (centres(moved.box_xyxy_px) - centres(plain.box_xyxy_px)) / 2
    assert error.std() == pytest.approx(2, rel=0.1)
    assert abs(error.mean()) < 0.4


def test_a_window_is_encoded_once_for_all_errors_of_clicks(model) -> None:
    reader = SampleReader(Squares(6), (64, 64), 128)
    sigmas = (0, 1, 4, 16)
    together = answer_noisy(model, reader, 4, CPU, sigmas)
    assert model.encoded == 6
    apart = [answer_noisy(model, reader, 4, CPU, (sigma,))[0] for sigma in sigmas]
    assert model.encoded == 6 + 4 * 6
    for one, other in zip(together, apart, strict=True):
        assert np.array_equal(one.box_xyxy_px, other.box_xyxy_px)
    assert not np.array_equal(together[0].box_xyxy_px, together[3].box_xyxy_px)


@pytest.mark.parametrize(
    "backbones",
    [shallow_backbones, pytest.param(contextlib.nullcontext, marks=pytest.mark.full_size)],
    ids=["shallow", "whole"],
)
@pytest.mark.parametrize("name", ["detgeo", "mogeo"])
def test_answers_are_those_of_the_published_model_run_whole(name, backbones) -> None:
    with quick_random_weights(), backbones():
        published = settled(name, frame_hw_px=(64, 64))
    frame, window = cross_view.pictures(window_px=192, pairs=2)
    of = torch.tensor([1, 0, 1])
    clicks = Clicks(torch.tensor(cross_view.CLICKS_XY_PX), of, of)
    with torch.no_grad():
        maps = published(frame, window, clicks)
    anchors = torch.tensor(published.options.anchors_wh_px)
    wanted = decode_maps(maps.boxes, anchors, published.options.stride_px)[0]
    (boxes,) = predict_boxes(published, frame, window, [clicks])
    assert torch.allclose(boxes, wanted, rtol=1e-4, atol=1e-2)


def test_moved_clicks_stay_in_the_frame(model) -> None:
    reader = SampleReader(Squares(20), (64, 64), 128)
    far = centres(answer_noisy(model, reader, 10, CPU, (500,))[0].box_xyxy_px) / 2
    assert far.min() > -1
    assert far.max() < 65


def test_lite_answers_too_as_localize_does() -> None:
    torch.manual_seed(1)
    lite = build("lite", frame_px=64, window_px=128, width=16, embedding=16, hidden=16).eval()
    samples = [Squares(3).read(i) for i in range(3)]
    b = collate(samples)
    (boxes,) = predict_boxes(lite, b.frame.float(), b.window.float(), [b.clicks()])
    with torch.no_grad():
        for k in range(3):
            features = lite.encode_reference(b.window[k : k + 1].float())
            said = lite.localize(
                lite.encode_query(b.frame[k : k + 1].float())[0],
                b.click_xy_px[k : k + 1],
                {n: t[0] for n, t in features.items()},
            )
            assert torch.allclose(boxes[k], said.box_xyxy_px[0], atol=1e-3)
    with pytest.raises(TypeError, match="answers no clicks"):
        predict_boxes(torch.nn.Linear(1, 1), b.frame, b.window, [b.clicks()])
