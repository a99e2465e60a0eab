"""The device that this process trains on, and what fits into its memory."""

from __future__ import annotations

import os

import torch

LARGEST_SHARE = 0.5  # of a GPU's free memory, for pictures that are held: the rest is for training


def own_device() -> torch.device:
    """Its GPU, which `torchrun` numbers by LOCAL_RANK; without one the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))


def place_of(needed_bytes: int) -> torch.device:
    """Where pictures are to be held: on the own device if they leave it room, else on the CPU."""
    device = own_device()
    if device.type != "cuda":
        return device
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return device if needed_bytes <= LARGEST_SHARE * free_bytes else torch.device("cpu")
