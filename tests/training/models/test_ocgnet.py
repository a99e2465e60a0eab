import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from cross_view import (
    answers,
    check_cached_equals_whole,
    check_clicks_do_not_see_each_other,
    check_constant_pictures,
    check_one_step_lowers_the_loss,
    check_pairs_of_a_batch_do_not_mix,
    giga_macs,
    parameters,
    pictures,
)
from settled import settled

from training.models import build
from training.models.ocgnet import MultiHeadCrossAttention, OCGNet

# torchvision's published 28,589,128 less its classifier and norm, plus the 1x1 to 512 channels
CONVNEXT = 28_589_128 - 769_000 - 1_536 + 768 * 512 + 512
FRAME = {"frame_hw_px": (64, 64)}


@pytest.fixture(scope="module")
def model(backbones) -> OCGNet:
    with backbones():
        return settled("ocgnet", **FRAME)


def test_published_names_and_shapes():
    lines = Path(__file__).with_name("ocgnet_state_dict_keys.txt").read_text().splitlines()
    with torch.device("meta"):
        published = build("ocgnet", full_darknet=True)
    own = [f"{name} {tuple(t.shape)}" for name, t in published.state_dict().items()]
    assert sorted(own) == sorted(lines)
    assert len(own) == 598


@pytest.mark.parametrize(
    ("frame_hw", "whole", "cached", "attention"),
    [
        ((256, 256), 203.658, 2.508, 0.071),
        ((256, 512), 206.124, 4.974, 0.151),
    ],
)
def test_parameters_and_macs_are_those_of_the_published_model(frame_hw, whole, cached, attention):
    with torch.device("meta"):
        model = build("ocgnet", full_darknet=True, frame_hw_px=frame_hw).eval()
        plain = build("ocgnet", frame_hw_px=frame_hw, cross_attention=False, full_darknet=True)
    assert parameters(model) == 74_845_918
    counted = giga_macs(model, frame_hw)
    assert counted[0] == pytest.approx(whole, abs=6e-4)
    assert counted[0] - giga_macs(plain.eval(), frame_hw)[0] == pytest.approx(attention, abs=6e-4)
    # less than the published query branch, folded: 36 of 45 head channels at all cells but one, the
    # scale by the gate, which is not counted here, and keys and values, which are cached
    tokens = frame_hw[0] * frame_hw[1] // 32**2
    left_out = 36 * 256 * (4096 - 1) + 256 * 4096 + 2 * tokens * 512**2
    assert counted[1] == pytest.approx(cached - left_out / 1e9, abs=6e-4)


def test_cached_equals_whole(model):
    check_cached_equals_whole(model, *pictures(seed=7), -1.0, atol=1e-6)


@pytest.mark.parametrize("frame_hw", [(64, 64), (64, 128)])
def test_cached_equals_whole_bit_for_bit_without_folding(frame_hw, backbones):
    """Also where the pooled reference is resized to another grid than the query's."""
    with backbones():
        unfolded = settled("ocgnet", frame_hw_px=frame_hw, fold_head=False)
    check_cached_equals_whole(unfolded, *pictures(frame_hw, seed=7), -1.0)


def test_clicks_do_not_see_each_other(model):
    check_clicks_do_not_see_each_other(model, *pictures())


def test_pairs_of_a_batch_do_not_mix(model):
    check_pairs_of_a_batch_do_not_mix(model)


def test_one_step_lowers_the_loss(model):
    check_one_step_lowers_the_loss(copy.deepcopy(model))


def test_constant_pictures_give_no_nan(model):
    check_constant_pictures(copy.deepcopy(model))


@pytest.mark.parametrize(
    ("options", "parameters_less", "cached"),
    [
        ({"location_enhancement": False}, 130, {"v", "u", "key", "value"}),
        ({"cross_attention": False}, 1_050_624, {"v", "u"}),
        ({"click_encoding": "squared-distance"}, 0, {"v", "u", "key", "value"}),
        ({"query_backbone": "convnext-tiny"}, 11_176_512 - CONVNEXT, {"v", "u", "key", "value"}),
    ],
)
def test_ablations(model, backbones, options, parameters_less, cached):
    """Each switch leaves its part out and changes the answer."""
    with torch.device("meta"):
        counted = [parameters(build("ocgnet", **FRAME, **o)) for o in ({}, options)]
    assert counted[0] - counted[1] == parameters_less
    torch.manual_seed(1)
    with backbones():
        ablated = build("ocgnet", **FRAME, **options).eval()
    ablated.load_state_dict(model.state_dict(), strict=False)  # all that the two share
    frame, window = pictures()
    assert set(ablated.encode_reference(window)) == cached
    xy = torch.tensor([[40.0, 20.0]])
    same, other = (answers(m, frame, window, xy) for m in (model, ablated))
    assert torch.isfinite(other.box_xyxy_px).all()
    assert float((same.attention - other.attention).abs().max()) > 1e-3


def test_without_both_parts_it_is_detgeo_with_a_gaussian(model, backbones):
    with backbones():
        bare = build("ocgnet", **FRAME, location_enhancement=False, cross_attention=False).eval()
        twin = build("detgeo", **FRAME, click_encoding="gaussian").eval()
    bare.load_state_dict(model.state_dict(), strict=False)
    renamed = {k.replace("ptns_conv1", "ptns_conv"): v for k, v in bare.state_dict().items()}
    twin.load_state_dict(renamed)
    frame, window = pictures()
    xy = torch.tensor([[40.0, 20.0]])
    a, b = (answers(m, frame, window, xy) for m in (bare, twin))
    assert torch.equal(a.box_xyxy_px, b.box_xyxy_px)


def test_attention_against_numpy():
    torch.manual_seed(0)
    module = MultiHeadCrossAttention(width=12, heads=3)
    features, reference = torch.randn(1, 12, 2, 3), torch.randn(1, 12, 16, 24)
    with torch.no_grad():
        cached = module.keys_values(reference, (2, 3))
        found = module(features, cached["key"], cached["value"])[0].numpy()
    w = {k: t.numpy().astype(np.float64) for k, t in module.state_dict().items()}
    f = features[0].numpy().reshape(12, 6).T.astype(np.float64)
    pooled = reference[0].numpy().reshape(12, 2, 8, 3, 8).max((2, 4)).reshape(12, 6).T
    q, k, v = (
        x @ w[f"{n}.weight"].T + w[f"{n}.bias"]
        for n, x in (("query", f), ("key", pooled), ("value", pooled))
    )
    mixed = np.zeros_like(q)
    for head in range(3):
        own = slice(4 * head, 4 * head + 4)
        score = np.exp(q[:, own] @ k[:, own].T / 2.0)
        mixed[:, own] = score / score.sum(1, keepdims=True) @ v[:, own]
    wanted = (mixed @ w["out.weight"].T + w["out.bias"]) * f
    assert np.allclose(found, wanted.T.reshape(12, 2, 3), atol=1e-5)


def test_another_frame_size_is_refused(model):
    with pytest.raises(ValueError, match=r"built for frames of \(64, 64\) px .* got \(64, 96\)"):
        answers(model, torch.zeros(1, 3, 64, 96), pictures()[1], torch.tensor([[4.0, 5.0]]))


def test_unknown_backbone_is_refused():
    with pytest.raises(ValueError, match="known: resnet18, convnext-tiny"):
        build("ocgnet", query_backbone="resnet50")
