"""Models with random weights whose layers all have signal: as after training, not before."""

from __future__ import annotations

import torch
from cross_view import clicks_of_one_pair, pictures
from torch import nn

from training.models import build


def settled(name: str, **options: object) -> nn.Module:
    """A model in eval mode whose batch norms hold the statistics of one batch of noise.

    A deep network with fresh statistics answers the same everywhere, and then min-max shows nothing
    but rounding. The published momentum is put back afterwards.
    """
    torch.manual_seed(1)
    model = build(name, **options)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(*pictures(model.options.frame_hw_px), clicks_of_one_pair())
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model.eval()
