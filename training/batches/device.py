"""The device that this process trains on."""

from __future__ import annotations

import os

import torch


def own_device() -> torch.device:
    """Its GPU, which `torchrun` numbers by LOCAL_RANK; without one the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
