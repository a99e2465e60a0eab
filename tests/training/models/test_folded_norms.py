"""Folded batch norms: the same answers, and what of them still trains."""

from __future__ import annotations

import pytest
import torch
from small_lite import small_lite
from torch import nn

from training.models.folded_norms import (
    FoldedNorm,
    absorb_batch_norms,
    batch_norm_pairs,
    fold_batch_norms,
    folded_norms,
    hold_folded_norms,
)


def test_a_folded_model_answers_as_before_and_again() -> None:
    model = small_lite()
    image = torch.rand(1, 3, 128, 128) * 255
    with torch.no_grad():
        before = model.encode_reference(image)
        count = fold_batch_norms(model)
        after = model.encode_reference(image)
        weights = model.backbone._conv_stem.weight.clone()
        fold_batch_norms(model)
        again = model.encode_reference(image)
    assert count == sum(isinstance(m, nn.BatchNorm2d) for m in model.modules()) > 50
    for name, wanted in before.items():
        assert (after[name] - wanted).abs().max() < 1e-4 * wanted.abs().max(), name
        assert (again[name] - after[name]).abs().max() < 1e-5 * wanted.abs().max(), name
    assert torch.equal(weights, model.backbone._conv_stem.weight), (
        "one is the factor of an identity"
    )


def test_the_bias_of_a_convolution_is_folded_too() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    with torch.no_grad():
        model[1].running_mean.normal_()
        model[1].running_var.uniform_(0.5, 2)
        x = torch.rand(1, 3, 8, 8)
        wanted = model(x)
        fold_batch_norms(model)
        assert torch.allclose(model(x), wanted, atol=1e-5)
    assert not model[0].bias.any()
    assert not model[0].bias.requires_grad


def test_statistics_and_scale_stay_and_the_bias_trains() -> None:
    model = small_lite()
    fold_batch_norms(model)
    model.train()
    hold_folded_norms(model)
    kept = {name: value.clone() for name, value in model.named_buffers()}
    model.encode_reference(torch.rand(2, 3, 128, 128) * 255)["u"].sum().backward()
    assert all(torch.equal(kept[name], value) for name, value in model.named_buffers())
    for convolution, norm in batch_norm_pairs(model.reference_neck):
        assert norm.weight.grad is None
        assert norm.bias.grad.abs().sum() > 0
        assert convolution.weight.grad.abs().sum() > 0


def test_a_held_norm_answers_and_learns_as_pytorch_s_own_in_evaluation() -> None:
    model = small_lite()
    fold_batch_norms(model)
    model.eval()
    picture = torch.rand(1, 3, 128, 128) * 255

    def answers() -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        model.zero_grad()
        found = model.encode_reference(picture)["u"]
        found.square().sum().backward()
        gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        return found.detach(), gradients

    names, kept = list(model.state_dict()), {n: v.clone() for n, v in model.state_dict().items()}
    for _, norm in batch_norm_pairs(model):
        norm.weight.requires_grad_(False)
    before, wanted = answers()
    hold_folded_norms(model)
    assert all(type(norm) is FoldedNorm for _, norm in batch_norm_pairs(model))
    after, found = answers()
    assert torch.allclose(after, before, rtol=1e-4, atol=1e-5 * float(before.abs().max()))
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert (found[name] - gradient).norm() <= 1e-3 * gradient.norm(), name
    assert list(model.state_dict()) == names
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())


def test_a_batch_norm_by_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="2 batch norms, 1 of them"):
        fold_batch_norms(
            nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4))
        )


def test_only_a_folded_norm_is_held() -> None:
    """One that is new, or trained, keeps its statistics moving."""
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
    )
    assert list(folded_norms(model)) == [], "new ones"
    fold_batch_norms(model[:2].eval())
    model.train()
    hold_folded_norms(model)
    assert list(folded_norms(model)) == [model[1]]
    assert not model[1].training and not model[1].weight.requires_grad
    assert model[3].training and model[3].weight.requires_grad
    model(torch.rand(2, 3, 8, 8))
    assert not model[1].running_mean.any() and model[3].running_mean.any()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_absorbed_norms_are_gone_and_the_answers_stay(dtype, tolerance) -> None:
    model = small_lite().to(dtype).eval()
    image = torch.rand(1, 3, 128, 128, dtype=dtype) * 255
    with torch.no_grad():
        before = model.encode_reference(image) | {"query": model.encode_query(image)}
        count = absorb_batch_norms(model)
        after = model.encode_reference(image) | {"query": model.encode_query(image)}
    assert count > 50 and not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    for name, wanted in before.items():
        assert (after[name] - wanted).abs().max() < tolerance * wanted.abs().max(), name


def test_a_bias_is_absorbed_with_its_norm() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    x = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        model[1].running_mean.normal_()
        wanted = model(x)
        assert absorb_batch_norms(model) == 1
        assert torch.allclose(model(x), wanted, atol=1e-5)
    assert isinstance(model[1], nn.Identity) and model[0].bias.any()
