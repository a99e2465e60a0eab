"""A `lite` of few channels behind the usual backbone, whose batch norms are not the identity."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from training.models import build, efficientnet_lite
from training.models.lite import Lite

FRAME_PX, WINDOW_PX = 64, 128


# One block a stage, but two of 40 channels, so that one of them is added to its input.
STAGES = tuple((*stage[:4], 2 if stage[3] == 40 else 1) for stage in efficientnet_lite.STAGES)


@contextlib.contextmanager
def shallow_efficientnet() -> Iterator[None]:
    """EfficientNet-Lite0 with half its blocks, while it is built, loaded and run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(efficientnet_lite, "STAGES", STAGES)
        patch.setattr(efficientnet_lite, "LAST_BLOCK", {3: 8, 5: 16, 7: 32})
        yield


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
