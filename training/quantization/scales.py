"""The scales of `calibration.quantization.weights` for tensors that are being trained.

The numpy functions there are the meaning. Those here give the same numbers, on any device, and
round as the Q/DQ nodes of TensorRT's form do: symmetric int8, activations to -128..127 with one
scale, weights to -127..127 with one per output channel. Gradients pass where nothing saturates
("straight-through", Bengio et al. 2013; Jacob et al. 2018, section 3).
"""

from __future__ import annotations

import torch
from torch import Tensor

from calibration.quantization.weights import LEVELS, SMALLEST_SCALE


def weight_scales(weights: Tensor) -> Tensor:
    """One scale per output channel: [out, in / groups, *kernel] -> [out] float32, of float16."""
    largest = weights.detach().float().abs().flatten(1).amax(1)
    wanted = (largest / LEVELS).double().clamp_min(SMALLEST_SCALE)
    rounded = wanted.half()
    # the next number of a positive float16 is the next integer of its bits
    above = (rounded.view(torch.int16) + 1).view(torch.float16)
    return torch.where(rounded.double() < wanted, above, rounded).float()


def fake_weights(weights: Tensor) -> Tensor:
    """Weights as the INT8 convolution has them, in float32 and of the same shape."""
    scales = weight_scales(weights)
    zeros = torch.zeros_like(scales, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weights, scales, zeros, 0, -LEVELS, LEVELS)


def fake_activations(x: Tensor, scale: float) -> Tensor:
    """A tensor of any shape as a quantised convolution reads it, in float32."""
    return torch.fake_quantize_per_tensor_affine(x, scale, 0, -LEVELS - 1, LEVELS)
