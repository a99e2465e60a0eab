"""What a student is taught by a larger model beside the labels: where that one would look.

Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network" (2015), section 2, at
temperature 1: the classes are all anchors and cells and "not here", whose logit is 0, so that the
teacher's doubt between two like roofs, and its "not here", reach the student.
"""

from __future__ import annotations

import torch
from torch import Tensor


def distillation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean Kullback-Leibler divergence of the student's distribution from the teacher's, in nats.

    Args:
        student: [M, A, H, W] confidence logits, prior included.
        teacher: the same of the teacher; gets no gradient.
    """
    ours, theirs = (_log_probability(logits) for logits in (student, teacher.detach()))
    return (theirs.exp() * (theirs - ours)).sum(1).mean()


def _log_probability(logits: Tensor) -> Tensor:
    """[M, A, H, W] -> [M, A H W + 1]."""
    flat = logits.float().flatten(1)
    return torch.cat([flat, flat.new_zeros(len(flat), 1)], 1).log_softmax(1)
