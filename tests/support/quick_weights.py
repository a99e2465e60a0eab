"""Full-size models made quickly: drawing sixty million numbers takes longer than using them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from training.models import build
from training.vision_ops import import_torchvision

# Numbers of variance 1, drawn once. Their count is prime: no layer's rows repeat.
POOL = torch.empty(1_000_003).uniform_(
    -(3**0.5), 3**0.5, generator=torch.Generator().manual_seed(0)
)


def repeat_pool(tensor: Tensor, std: float) -> Tensor:
    """Fill a tensor from a place of the pool that torch's seed decides."""
    if tensor.is_meta:
        return tensor
    start = int(torch.randint(len(POOL), ()))
    flat = tensor.detach().reshape(-1)
    assert flat.data_ptr() == tensor.data_ptr(), "a view"
    done = 0
    while done < len(flat):
        part = POOL[start : start + len(flat) - done]
        torch.mul(part, std, out=flat[done : done + len(part)])
        done, start = done + len(part), 0
    return tensor


def _kaiming(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: torch.Generator | None = None,
) -> Tensor:
    fan = nn.init._calculate_correct_fan(tensor, mode)
    return repeat_pool(tensor, nn.init.calculate_gain(nonlinearity, a) / math.sqrt(fan))


def _normal(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, *_: object, **__: object
) -> Tensor:
    assert mean == 0
    return repeat_pool(tensor, std)


@contextlib.contextmanager
def quick_random_weights() -> Iterator[None]:
    """Random weights of the usual variances, repeated from one pool; seeds decide them still."""
    import_torchvision()
    import timm.layers.weight_init

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.init, "kaiming_uniform_", _kaiming)
        patch.setattr(nn.init, "kaiming_normal_", _kaiming)
        patch.setattr(nn.init, "trunc_normal_", _normal)
        patch.setattr(timm.layers.weight_init, "_trunc_normal_", _normal)
        yield


def bare(name: str, **options: object) -> nn.Module:
    """A model whose large weights are all zero, for what is going to be loaded into it."""
    with pytest.MonkeyPatch.context() as patch:
        for filler in ("kaiming_uniform_", "kaiming_normal_", "trunc_normal_"):
            patch.setattr(nn.init, filler, lambda tensor, *_, **__: tensor.detach().zero_())
        return build(name, **options)
