import math

import numpy as np
import pytest
import torch
from scipy.special import expit, logsumexp

from training.losses.positives import assign_positives
from training.losses.term import Truth
from training.losses.total import TERMS, term, total_loss
from training.models.contract import CVOGL_ANCHORS_WH_PX, HeadMaps

ANCHORS = torch.tensor(CVOGL_ANCHORS_WH_PX)
M, GRID, STRIDE = 3, (8, 8), 16


def head_maps(seed: int = 0, mask: bool = True) -> HeadMaps:
    g = torch.Generator().manual_seed(seed)
    boxes = torch.randn(M, 9, 5, *GRID, generator=g, dtype=torch.float64).requires_grad_()
    attention = torch.rand(M, *GRID, generator=g, dtype=torch.float64).requires_grad_()
    logit = torch.randn(M, *GRID, generator=g, dtype=torch.float64).requires_grad_()
    return HeadMaps(boxes, attention, attention, logit if mask else None)


def truth(present: tuple[bool, ...] = (True,) * M) -> Truth:
    boxes = torch.tensor(
        [[3.0, 5, 41, 50], [60, 20, 127, 90], [90, 90, 120, 127]], dtype=torch.float64
    )
    return Truth(boxes, torch.tensor([0, 0, 1]), torch.tensor(present), window_px=128)


def losses(maps: HeadMaps, true: Truth, *terms) -> dict[str, float]:
    values = total_loss(terms, maps, true, ANCHORS.double(), STRIDE)
    return {name: float(value.detach()) for name, value in values.items()}


def positives(true: Truth) -> list[tuple[int, int, int]]:
    p = assign_positives(true.box_xyxy_px, ANCHORS.double(), GRID, STRIDE)
    return list(zip(p.anchor.tolist(), p.row.tolist(), p.column.tolist(), strict=True))


# --- the anchor head -----------------------------------------------------------------------------


def test_softmax_confidence_equals_numpy() -> None:
    maps, true = head_maps(), truth()
    conf = maps.boxes.detach().numpy()[:, :, 4]
    wanted = np.mean(
        [logsumexp(conf[k]) - conf[k][place] for k, place in enumerate(positives(true))]
    )
    assert losses(maps, true, term("softmax_confidence"))["loss"] == pytest.approx(wanted)


def test_softmax_confidence_starts_near_the_logarithm_of_all_positions() -> None:
    g = torch.Generator().manual_seed(1)
    boxes = torch.randn(4, 9, 5, 64, 64, generator=g) * 0.05
    box = torch.tensor([[100.0, 100, 200, 180]]).expand(4, 4)
    maps = HeadMaps(boxes, boxes[:, 0, 0], boxes[:, 0, 0])
    true = Truth(box, torch.arange(4), torch.ones(4, dtype=torch.bool))
    value = total_loss([term("softmax_confidence")], maps, true, ANCHORS, 16)["loss"]
    assert float(value) == pytest.approx(math.log(36864), abs=0.1)
    assert math.log(36864) == pytest.approx(10.515, abs=1e-3)


@pytest.mark.parametrize("average", ["positions", "clicks"])
@pytest.mark.parametrize("positive_weight", [1.0, 7.0])
def test_binary_confidence_equals_numpy(average, positive_weight) -> None:
    maps, true = head_maps(), truth((True, False, True))
    conf = maps.boxes.detach().numpy()[:, :, 4]
    per_click = []
    for k, place in enumerate(positives(true)):
        each = -np.log1p(-expit(conf[k]))
        if true.present[k]:
            each[place] = -positive_weight * np.log(expit(conf[k][place]))
        per_click.append(each.mean() if average == "positions" else each.sum())
    chosen = term("binary_confidence", average=average, positive_weight=positive_weight)
    assert losses(maps, true, chosen)["loss"] == pytest.approx(np.mean(per_click))


def test_box_mse_is_the_sum_of_four_means() -> None:
    maps, true = head_maps(), truth()
    said = maps.boxes.detach().numpy()
    four = np.zeros((M, 4))
    for k, (a, row, column) in enumerate(positives(true)):
        x1, y1, x2, y2 = true.box_xyxy_px[k].numpy()
        t = said[k, a, :4, row, column]
        cx, cy = (x1 + x2) / 2 / STRIDE, (y1 + y2) / 2 / STRIDE
        anchor = CVOGL_ANCHORS_WH_PX[a]
        four[k] = (
            expit(t[0]) - (cx - column),
            expit(t[1]) - (cy - row),
            t[2] - np.log((x2 - x1) / anchor[0]),
            t[3] - np.log((y2 - y1) / anchor[1]),
        )
    wanted = (four**2).mean(0).sum()
    assert losses(maps, true, term("box_mse"))["loss"] == pytest.approx(wanted)


@pytest.mark.parametrize("name", ["softmax_confidence", "binary_confidence", "box_mse"])
def test_a_sum_over_objects_is_the_mean_times_their_number(name) -> None:
    """Of those that the term applies to: the absent have no class and no box."""
    maps = head_maps()
    for present in ((True, True, True), (True, False, True)):
        apart = [
            losses(
                HeadMaps(*(x[k : k + 1] for x in (maps.boxes, maps.attention, maps.attention))),
                Truth(
                    truth().box_xyxy_px[k : k + 1],
                    torch.tensor([0]),
                    torch.tensor([present[k]]),
                    window_px=128,
                ),
                term(name),
            )["loss"]
            for k in range(M)
        ]
        applies = M if name == "binary_confidence" else sum(present)
        summed = losses(maps, truth(present), term(name, reduction="sum"))["loss"]
        assert summed == pytest.approx(sum(apart))
        assert losses(maps, truth(present), term(name))["loss"] == pytest.approx(summed / applies)
    with pytest.raises(ValueError, match="reduction"):
        term(name, reduction="max")


def test_absent_clicks_are_left_out_of_softmax_and_geometry() -> None:
    maps = head_maps()
    only = HeadMaps(maps.boxes[1:2], maps.attention[1:2], maps.attention[1:2])
    alone = Truth(truth().box_xyxy_px[1:2], torch.tensor([0]), torch.tensor([True]), window_px=128)
    for name in ("softmax_confidence", "box_mse"):
        some = losses(maps, truth((False, True, False)), term(name))["loss"]
        assert some == pytest.approx(losses(only, alone, term(name))["loss"])


# --- MOGeo ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", ["batch", "image"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("negatives", ["mean", "nearest", "pairs"])
def test_object_similarity_equals_numpy(negatives, reduction, others) -> None:
    maps, true = head_maps(), truth()
    attention = maps.attention.detach().numpy().reshape(M, -1)
    per_object = []
    for k in range(M):
        d = [
            np.linalg.norm(attention[k] - attention[j])
            for j in range(M)
            if j != k and (others == "batch" or true.window[j] == true.window[k])
        ]
        if not d:
            per_object.append(0.0)
        elif negatives == "pairs":
            per_object.append(sum(np.log1p(np.exp(-x)) for x in d))
        else:
            negative = np.mean(d) if negatives == "mean" else np.min(d)
            per_object.append(np.log1p(np.exp(0 - negative)))
    wanted = np.mean(per_object) if reduction == "mean" else np.sum(per_object)
    chosen = term("object_similarity", negatives=negatives, reduction=reduction, others=others)
    assert losses(maps, true, chosen)["loss"] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("negatives", ["mean", "nearest", "pairs"])
def test_equal_attention_maps_cost_ln_2_and_have_finite_gradients(negatives) -> None:
    attention = torch.full((2, *GRID), 0.5, requires_grad=True)
    maps = HeadMaps(torch.zeros(2, 9, 5, *GRID), attention, attention)
    true = Truth(truth().box_xyxy_px[:2].float(), torch.tensor([0, 0]), torch.tensor([True, True]))
    chosen = term("object_similarity", negatives=negatives)
    value = total_loss([chosen], maps, true, ANCHORS, STRIDE)["loss"]
    assert float(value.detach()) == pytest.approx(math.log(2), abs=1e-5)
    value.backward()
    assert bool(torch.isfinite(attention.grad).all())


# --- the whole -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(TERMS))
def test_each_term_has_finite_gradients_and_survives_no_click_at_all(name) -> None:
    maps = head_maps()
    values = total_loss([term(name)], maps, truth(), ANCHORS.double(), STRIDE)
    values["loss"].backward()
    sources = (maps.boxes, maps.attention, maps.mask_logit)
    gradients = [x.grad for x in sources if x.grad is not None]
    assert gradients
    assert all(torch.isfinite(g).all() for g in gradients)
    assert any(bool((g != 0).any()) for g in gradients)
    nobody = truth((False,) * M)
    assert math.isfinite(losses(head_maps(), nobody, term(name))["loss"])
    empty = HeadMaps(
        *(x[:0] for x in (maps.boxes, maps.attention, maps.attention)), maps.mask_logit[:0]
    )
    none = Truth(nobody.box_xyxy_px[:0], nobody.window[:0], nobody.present[:0], window_px=128)
    assert math.isfinite(losses(empty, none, term(name))["loss"])


@pytest.mark.parametrize("name", sorted(TERMS))
def test_analytic_gradient_equals_the_numeric_one(name) -> None:
    g = torch.Generator().manual_seed(4)
    inputs = (
        torch.randn(2, 2, 5, 2, 2, generator=g, dtype=torch.float64, requires_grad=True),
        torch.rand(2, 2, 2, generator=g, dtype=torch.float64, requires_grad=True),
        torch.randn(2, 2, 2, generator=g, dtype=torch.float64, requires_grad=True),
    )
    box = torch.tensor([[1.0, 2, 20, 18], [10, 10, 30, 29]], dtype=torch.float64)
    true = Truth(box, torch.tensor([0, 1]), torch.tensor([True, True]), window_px=32)

    def loss(boxes, attention, logit):
        maps = HeadMaps(boxes, attention, attention, logit)
        anchors = torch.tensor([[20.0, 16.0], [8.0, 8.0]], dtype=torch.float64)
        return total_loss([term(name)], maps, true, anchors, 16)["loss"]

    assert torch.autograd.gradcheck(loss, inputs)


def test_extreme_logits_give_no_nan() -> None:
    boxes = torch.full((M, 9, 5, *GRID), 1e4)
    boxes[:, :, :, 0] = -1e4
    maps = HeadMaps(
        boxes, torch.zeros(M, *GRID), torch.zeros(M, *GRID), torch.full((M, *GRID), 1e4)
    )
    true = Truth(
        truth().box_xyxy_px.float(), torch.zeros(M, dtype=torch.long), truth().present, 128
    )
    values = total_loss([term(n) for n in TERMS], maps, true, ANCHORS, STRIDE)
    assert all(bool(torch.isfinite(v)) for v in values.values())


def test_the_total_is_weighted() -> None:
    maps, true = head_maps(), truth()
    terms = [term("softmax_confidence", weight=0.5), term("box_mse", weight=3.0)]
    values = losses(maps, true, *terms)
    wanted = 0.5 * values["softmax_confidence"] + 3.0 * values["box_mse"]
    assert values["loss"] == pytest.approx(wanted)


def test_unknown_names_and_options_are_named() -> None:
    with pytest.raises(ValueError, match=r"unknown loss 'box_msse'; known: .*box_mse"):
        term("box_msse")
    with pytest.raises(ValueError, match="negtaives"):
        term("object_similarity", negtaives="mean")
