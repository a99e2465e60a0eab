"""Weights averaged over the steps of a run (exponential moving average)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class WeightAverage:
    """Holds a copy of a model whose floating tensors follow the model's.

    After n steps the copy keeps min(decay, (1 + n) / (10 + n)) of itself: without that the random
    start would stay in it for 1 / (1 - decay) steps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Follow one step of the model; counters and the like are copied."""
        keep = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        current = model.state_dict()
        for name, held in self.model.state_dict().items():
            if held.is_floating_point():
                held.lerp_(current[name], 1 - keep)
            else:
                held.copy_(current[name])

    def state_dict(self) -> dict[str, int | dict[str, Tensor]]:
        """All that a resume needs."""
        return {"steps": self.steps, "model": self.model.state_dict()}

    def load_state_dict(self, state: dict[str, int | dict[str, Tensor]]) -> None:
        """Take over what `state_dict` gave."""
        steps, tensors = state["steps"], state["model"]
        if not isinstance(steps, int) or not isinstance(tensors, dict):
            raise TypeError("not a state of a WeightAverage")
        self.steps = steps
        self.model.load_state_dict(tensors)
