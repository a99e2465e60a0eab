import math

import numpy as np
import pytest
import torch

from training.models.mope import Impulse, Mope, Neighbourhood, Pooling

HYBRID = [Neighbourhood.FIXED, Neighbourhood.LEARNABLE]
# Inside, on a cell's border, at the corners, beyond the frame.
CLICKS = torch.tensor([[10.0, 20.0], [32.0, 47.9], [0.0, 0.0], [95.9, 63.9], [200.0, -3.0]])
FRAME = torch.tensor([1, 0, 1, 0, 0])


def build(neighbourhood=Neighbourhood.OFF, pooling=Pooling.SUM, **changes) -> Mope:
    torch.manual_seed(2)
    mope = Mope(5, 7, 16, Impulse(neighbourhood, **changes), pooling=pooling)
    with torch.no_grad():
        mope.train()(torch.randn(2, 5, 4, 6), CLICKS, FRAME)  # running statistics
    return mope.eval()


def mask_by_hand(click, hardness, sigma_px, reach):
    """The docstring's formula on a grid of 4 x 6 cells of 16 px."""
    mask = np.zeros((4, 6))
    own_x = min(max(math.floor(click[0] / 16), 0), 5)
    own_y = min(max(math.floor(click[1] / 16), 0), 3)
    for y in range(4):
        for x in range(6):
            if max(abs(x - own_x), abs(y - own_y)) <= reach:
                d2 = (16 * x + 8 - click[0]) ** 2 + (16 * y + 8 - click[1]) ** 2
                mask[y, x] = (1 - hardness) * math.exp(-d2 / (2 * sigma_px**2))
    mask[own_y, own_x] += hardness
    return mask


def vectors_by_hand(mope, features, hardness=1.0, sigma_px=8.0, reach=0, pool=np.sum):
    """q, cell by cell, with the block's running statistics."""
    conv, bn = mope.block.conv.weight.detach().numpy()[:, :, 0, 0], mope.block.bn
    scale = (bn.weight / (bn.running_var + bn.eps).sqrt()).detach().numpy()
    shift = bn.bias.detach().numpy() - bn.running_mean.numpy() * scale
    vectors = np.zeros((len(CLICKS), 7))
    for m, (click, frame) in enumerate(zip(CLICKS.tolist(), FRAME.tolist(), strict=True)):
        mask = mask_by_hand(click, hardness, sigma_px, reach)
        masked = np.zeros((4, 6, 7))
        for y in range(4):
            for x in range(6):
                column = np.append(features[frame, :, y, x].numpy(), mask[y, x])
                mapped = scale * (conv @ column) + shift
                masked[y, x] = mask[y, x] * np.where(mapped > 0, mapped, 0.1 * mapped)
        vectors[m] = pool(masked, (0, 1))
    return vectors


def test_is_the_mapped_column_of_the_clicks_cell():
    mope, features = build(), torch.randn(2, 5, 4, 6)
    with torch.no_grad():
        found = mope(features, CLICKS, FRAME).numpy()
    assert np.allclose(found, vectors_by_hand(mope, features), atol=1e-5)


@pytest.mark.parametrize("neighbourhood", HYBRID)
def test_hybrid_mask_equals_the_formula(neighbourhood):
    changes = {"hardness": 0.3, "sigma_px": 11.0, "reach_cells": 2}
    mope, features = build(neighbourhood, **changes), torch.randn(2, 5, 4, 6)
    with torch.no_grad():
        found = mope(features, CLICKS, FRAME).numpy()
    assert np.allclose(found, vectors_by_hand(mope, features, 0.3, 11.0, 2), atol=1e-5)


def test_maximum_is_that_of_the_formula_and_not_below_the_erased_cells():
    changes = {"hardness": 0.3, "sigma_px": 11.0, "reach_cells": 2}
    features = torch.randn(2, 5, 4, 6)
    hard, soft = build(pooling=Pooling.MAX), build(Neighbourhood.FIXED, Pooling.MAX, **changes)
    with torch.no_grad():
        one, many = (mope(features, CLICKS, FRAME).numpy() for mope in (hard, soft))
    assert np.allclose(one, vectors_by_hand(hard, features, pool=np.max), atol=1e-5)
    assert np.allclose(many, vectors_by_hand(soft, features, 0.3, 11.0, 2, np.max), atol=1e-5)
    assert (one >= 0).all() and (one == 0).any()
    summed = vectors_by_hand(hard, features)
    unit, other = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (one, summed))
    assert np.abs(unit - other).max() > 0.1, "no other direction than a sum"


@pytest.mark.parametrize("grid", [(1, 1), (2, 2), (3, 3), (4, 6)])
@pytest.mark.parametrize("neighbourhood", [Neighbourhood.OFF, Neighbourhood.FIXED])
def test_maximum_by_gather_equals_whole_maps_where_all_cells_are_read(neighbourhood, grid):
    """On the smallest maps no cell is erased, so that nothing holds the maximum at 0."""
    mope, features = build(neighbourhood, Pooling.MAX), torch.randn(2, 5, *grid)
    with torch.no_grad():
        gathered = mope.at_clicks(features, CLICKS, FRAME)
        whole = mope.whole_maps(features, CLICKS, FRAME)
    assert torch.allclose(gathered, whole, atol=1e-5)
    if grid == (1, 1):
        assert bool((whole < 0).any())
    elif grid == (4, 6):
        assert bool((whole >= 0).all())


@pytest.mark.parametrize("pooling", list(Pooling))
@pytest.mark.parametrize("neighbourhood", list(Neighbourhood))
def test_gather_equals_whole_maps(neighbourhood, pooling):
    mope, features = build(neighbourhood, pooling), torch.randn(2, 5, 4, 6)
    with torch.no_grad():
        gathered = mope.at_clicks(features, CLICKS, FRAME)
        whole = mope.whole_maps(features, CLICKS, FRAME)
    assert torch.allclose(gathered, whole, atol=1e-5)


def test_training_takes_the_statistics_of_whole_maps():
    mope = build()
    features = torch.randn(2, 5, 4, 6)
    mope.train()
    with torch.no_grad():
        mope(features, CLICKS, FRAME)
        mask = np.stack([mask_by_hand(c, 1.0, 8.0, 0) for c in CLICKS.tolist()])
        weight = mope.block.conv.weight.numpy()[:, :, 0, 0]
        maps = np.concatenate([features.numpy()[FRAME], mask[:, None]], 1)
        mapped = np.einsum("oc,mcyx->moyx", weight, maps)
    moved = 0.999 * mapped.mean((0, 2, 3))  # momentum 0.999: all but the last batch's
    assert np.allclose(mope.block.bn.running_mean.numpy(), moved, atol=2e-3)


def test_hybrid_changes_less_across_a_border_than_the_impulse():
    """Why it exists: a click one pixel off must not read something else altogether."""
    features = torch.randn(1, 5, 4, 6)
    clicks, only = torch.tensor([[31.5, 24.0], [32.5, 24.0]]), torch.zeros(2, dtype=torch.long)

    def change(mope: Mope) -> float:
        with torch.no_grad():
            q = torch.nn.functional.normalize(mope(features, clicks, only))
        return float((q[0] - q[1]).norm())

    soft = build(Neighbourhood.FIXED, hardness=0.2, sigma_px=16.0)
    assert change(soft) < 0.7 * change(build())


def test_learnt_mask_gets_gradients():
    mope = build(Neighbourhood.LEARNABLE).train()
    mope(torch.randn(2, 5, 4, 6), CLICKS, FRAME).square().sum().backward()
    for parameter in (mope.hardness_logit, mope.log_sigma_px):
        assert torch.isfinite(parameter.grad) and parameter.grad != 0
    assert {n for n, _ in build().named_parameters()} == {
        "block.conv.weight",
        "block.bn.weight",
        "block.bn.bias",
    }


@pytest.mark.parametrize("changes", [{"hardness": 1.0}, {"sigma_px": 0.0}, {"reach_cells": 0}])
def test_meaningless_masks_are_refused(changes):
    with pytest.raises(ValueError, match="hardness lies between 0 and 1"):
        build(Neighbourhood.FIXED, **changes)
