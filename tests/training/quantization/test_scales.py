"""Fake quantisation in torch against the numpy arithmetic that writes the INT8 graphs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from calibration.quantization.weights import quantize_weights
from training.quantization.scales import fake_activations, fake_weights, weight_scales


def weights_of_many_sizes() -> np.ndarray:
    """Channels from far below float16's subnormals to near its largest scale, and one of zeros."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(400, 3, 3, 3)).astype(np.float32)
    weights *= np.logspace(-9, 5, 400, dtype=np.float32)[:, None, None, None]
    weights[7] = 0
    weights[8] = 127 * np.float32(np.float16(0.0123))  # a scale that is a float16 already
    return weights


def test_scales_are_those_of_the_graphs() -> None:
    weights = weights_of_many_sizes()
    wanted = quantize_weights(weights)
    assert np.array_equal(weight_scales(torch.from_numpy(weights)).numpy(), wanted.scale)


def test_weights_are_those_of_the_graphs_but_for_ties() -> None:
    weights = weights_of_many_sizes()
    wanted = quantize_weights(weights)
    found = fake_weights(torch.from_numpy(weights)).numpy()
    off = np.abs(found - wanted.dequantized) / wanted.scale[:, None, None, None]
    assert (off > 0).mean() < 1e-3
    assert off.max() <= 1
    levels = found / wanted.scale[:, None, None, None]
    assert np.abs(levels - np.rint(levels)).max() < 1e-4
    assert levels.min() == -127, "-128 is never a weight"


def test_activations_round_to_even_and_saturate_at_both_ends() -> None:
    scale = 0.25  # exact, so that ties are
    x = torch.tensor([0.124, 0.125, 0.126, 0.375, -0.125, -0.375, 31.75, 99.0, -32.0, -99.0])
    levels = fake_activations(x, scale) / scale
    assert levels.tolist() == [0, 0, 1, 2, 0, -2, 127, 127, -128, -128]


def test_a_level_is_its_own_nearest() -> None:
    """A residual and the convolution beside it quantise one after the other."""
    scale = float(np.float16(0.0123))
    once = fake_activations(torch.linspace(-2, 2, 5001), scale)
    assert torch.equal(fake_activations(once, scale), once)


@pytest.mark.parametrize("kind", ["activations", "weights"])
def test_gradients_pass_straight_through_what_does_not_saturate(kind: str) -> None:
    x = torch.tensor([[0.1, 0.26, -0.7, 3.0]], requires_grad=True)
    pull = torch.tensor([[1.0, -2.0, 3.0, 5.0]])
    if kind == "activations":
        (fake_activations(x, 0.01) * pull).sum().backward()
        assert x.grad.tolist() == [[1, -2, 3, 0]], "3.0 lies beyond 1.27"
    else:
        (fake_weights(x) * pull).sum().backward()
        assert x.grad.tolist() == pull.tolist()
