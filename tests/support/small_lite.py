"""A `lite` of few channels behind the usual backbone, whose batch norms are not the identity."""

from __future__ import annotations

import torch
from torch import nn

from training.models import build
from training.models.lite import Lite

FRAME_PX, WINDOW_PX = 64, 128


def small_lite(seed: int = 0) -> Lite:
    """In eval mode, with random weights, statistics, scales and biases."""
    torch.manual_seed(seed)
    model = build("lite", frame_px=FRAME_PX, window_px=WINDOW_PX, width=16, embedding=16, hidden=16)
    assert isinstance(model, Lite)
    with torch.no_grad():
        for norm in model.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.weight.uniform_(0.5, 1.5)
                norm.bias.normal_(0, 0.3)
                norm.running_mean.normal_(0, 0.2)
                norm.running_var.uniform_(0.5, 1.5)
    return model.eval()
