"""Ranges from the first batches of a run, where no calibration has found any: the largest value."""

from __future__ import annotations

import numpy as np
import torch

from edge.bundle import ENCODER, LOCALIZER
from training.quantization.lite import QuantizedLite
from training.tasks.lite import LiteTask

BATCHES = 8


@torch.no_grad()
def observe(model: QuantizedLite, task: LiteTask, seed: int, batch: int) -> None:
    """Give a model the ranges of some samples, in float; chance comes from `seed` alone.

    Args:
        model: gets the ranges.
        task: whose training samples are looked at.
        seed: of the samples, which depend on it and `batch`.
        batch: samples at once; `BATCHES` times as many are seen, if there are so many.
    """
    rng = np.random.default_rng((seed, BATCHES))
    chosen = rng.permutation(len(task))[: BATCHES * batch].tolist()
    was_training, model.view.observing = model.training, True
    model.eval()
    device = next(model.parameters()).device  # pictures may be held on another
    try:
        model.set_amax({})
        for start in range(0, len(chosen), batch):
            task.encode(model, task.batch(chosen[start : start + batch], rng).to(device))
    finally:
        model.view.observing = False
        model.train(was_training)
    model.set_amax({kind: model.amax[kind] for kind in (ENCODER, LOCALIZER)})
