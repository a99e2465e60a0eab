"""Optimiser and learning rate of a recipe."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from training.recipes.schema import OptimizerSection, ScheduleSection


def build_optimizer(model: nn.Module, section: OptimizerSection) -> torch.optim.Optimizer:
    """The optimiser over all parameters that are trained; PyTorch's defaults where not stated.

    Parameters of the model's `backbone`, if it has one, take `backbone_learning_rate` where given.
    """
    rate = section.learning_rate
    own = _backbone_ids(model) if section.backbone_learning_rate is not None else set()
    trained = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": [p for p in trained if id(p) not in own]}]
    backbone = [p for p in trained if id(p) in own]
    if backbone:
        groups.append({"params": backbone, "lr": section.backbone_learning_rate})
    if section.name == "rmsprop":
        return torch.optim.RMSprop(groups, lr=rate, weight_decay=section.weight_decay)
    kind = torch.optim.Adam if section.name == "adam" else torch.optim.AdamW
    return kind(groups, lr=rate, weight_decay=section.weight_decay)


def rate_factor(section: ScheduleSection, step: int, steps_per_epoch: int, steps: int) -> float:
    """What the base rates are multiplied with at a step.

    Args:
        section: of the recipe.
        step: from 0.
        steps_per_epoch: steps of one epoch.
        steps: of the whole run.
    """
    if step < section.warmup_steps:
        return (step + 1) / section.warmup_steps
    if section.name == "step":
        return section.factor ** (step // steps_per_epoch // section.every_epochs)
    if section.name == "cosine":
        share = (step - section.warmup_steps) / max(1, steps - section.warmup_steps)
        last = section.last_share
        return last + (1 - last) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    return 1.0


def _backbone_ids(model: nn.Module) -> set[int]:
    backbone = getattr(model, "backbone", None)
    return {id(p) for p in backbone.parameters()} if isinstance(backbone, nn.Module) else set()
