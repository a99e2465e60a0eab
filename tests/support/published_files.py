"""Checkpoints as the authors of DetGeo and OCGNet write them, made here."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

KEY_LISTS = Path(__file__).parent.parent / "training" / "models"


def light(shape: tuple[int, ...], value: float) -> Tensor:
    """A tensor of full shape that torch.save writes as one number."""
    return torch.tensor(value).expand(shape)


def published(name: str) -> dict[str, Tensor]:
    """A state dict with the published names and shapes, every tensor of its own value."""
    tensors = {}
    lines = (KEY_LISTS / f"{name}_state_dict_keys.txt").read_text().splitlines()
    for index, line in enumerate(lines):
        key, _, shape = line.partition(" ")
        sizes = tuple(int(n) for n in shape.strip("()").split(",") if n.strip())
        tensors[key] = light(sizes, 1 + index / 1000)
        if "num_batches" in key:
            tensors[key] = torch.tensor(index)
    return tensors


def save_as_authors_do(path: Path, tensors: dict[str, Tensor], **changes: object) -> Path:
    content = {
        "epoch": 24,
        "state_dict": {f"module.{k}": v for k, v in tensors.items()},
        "best_loss": torch.tensor(0.5766),
        "optimizer": {"state": {0: {"step": 9}}, "param_groups": [{"lr": 1e-4, "params": [0]}]},
    }
    torch.save(content | changes, path)
    return path
