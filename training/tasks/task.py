"""What the trainer asks of a model and its data: one task for each kind of model."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

# A recipe's precision -> what convolutions compute in; float32 has none.
AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Task(Protocol):
    """A model with its samples, its loss and its validation."""

    model: nn.Module

    def __len__(self) -> int:
        """Number of training samples."""
        ...

    def batch(self, indices: list[int], rng: np.random.Generator) -> Any:
        """Read and change some samples; all chance comes from `rng`. Has `to(device)`."""
        ...

    def losses(self, batch: Any) -> dict[str, Tensor]:
        """Terms by name, and their weighted sum under "loss"; float32 scalars."""
        ...

    def set_training(self) -> None:
        """Training mode; what is frozen stays in evaluation mode and gets no gradient."""
        ...

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Scores on held-out samples of `model`, which may hold averaged weights."""
        ...

    def merit(self, scores: dict[str, float]) -> float:
        """What the best checkpoint is chosen by; higher is better."""
        ...

    def names(self, indices: list[int]) -> list[str]:
        """What people call these samples."""
        ...
