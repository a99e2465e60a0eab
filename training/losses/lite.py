"""What `lite` is trained to: the right cell or "not here", the right box, a peaked similarity."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.losses.lite_targets import Targets, assign
from training.models.lite import SIZE_LOG_LIMIT, Lite

SIMILARITY_TEMPERATURE = 20.0  # cosines are sharpened so much before their cross-entropy


@dataclass(frozen=True, slots=True)
class Losses:
    """The three terms, each a mean over the clicks that it applies to."""

    confidence: Tensor
    box: Tensor
    similarity: Tensor

    @property
    def total(self) -> Tensor:
        """Weighted sum."""
        return self.confidence + 2.0 * self.box + 0.5 * self.similarity


def confidence_loss(logits: Tensor, present: Tensor, targets: Targets) -> Tensor:
    """Cross-entropy over all anchors and cells and the class "not here", whose logit is 0.

    Args:
        logits: [M, A, H, W], prior included.
        present: [M] bool.
        targets: of all M; read where present.
    """
    m, anchors, height, width = logits.shape
    normaliser = torch.logsumexp(
        torch.cat([logits.reshape(m, -1), logits.new_zeros(m, 1)], 1), 1
    )  # [M]
    index = targets.cell.unsqueeze(1).expand(-1, anchors, -1)
    chosen = logits.reshape(m, anchors, height * width).gather(2, index)  # [M, A, K]
    wanted = (targets.weight * chosen).sum((1, 2))
    return (normaliser - torch.where(present, wanted, torch.zeros_like(wanted))).mean()


def box_loss(model: Lite, hidden: Tensor, targets: Targets, present: Tensor) -> Tensor:
    """Weighted smooth L1 on the sigmoid centre and on the log size, at the candidate cells.

    Args:
        model: for its box head.
        hidden: [M, C, H, W].
        targets: of all M.
        present: [M] bool.
    """
    m, c = hidden.shape[:2]
    anchors = targets.weight.shape[1]
    index = targets.cell.unsqueeze(1).expand(-1, c, -1)
    at_cells = hidden.reshape(m, c, -1).gather(2, index).transpose(1, 2)  # [M, K, C]
    t = model.head.box(at_cells).reshape(m, -1, anchors, 4)  # [M, K, A, 4]
    centre = nn.functional.smooth_l1_loss(
        t[..., :2].sigmoid(),
        targets.fraction.unsqueeze(2).expand(-1, -1, anchors, -1),
        reduction="none",
        beta=0.1,
    ).sum(3)
    limit = SIZE_LOG_LIMIT - 0.1
    size = nn.functional.smooth_l1_loss(
        t[..., 2:],
        targets.log_size.unsqueeze(1).expand(-1, t.shape[1], -1, -1).clamp(-limit, limit),
        reduction="none",
        beta=0.1,
    ).sum(3)
    per_candidate = (centre + size).transpose(1, 2) * targets.weight  # [M, A, K]
    per_click = per_candidate.sum((1, 2)) * present
    return per_click.sum() / present.sum().clamp_min(1)


def similarity_loss(similarity: Tensor, targets: Targets, present: Tensor) -> Tensor:
    """Cross-entropy of the sharpened cosine map over cells, for the clicks that are present."""
    m = len(similarity)
    flat = similarity.reshape(m, -1) * SIMILARITY_TEMPERATURE
    at = flat.gather(1, targets.cell)  # [M, K]
    wanted = (targets.weight.sum(1) * at).sum(1)
    per_click = (torch.logsumexp(flat, 1) - wanted) * present
    return per_click.sum() / present.sum().clamp_min(1)


def lite_losses(
    model: Lite,
    similarity: Tensor,
    hidden: Tensor,
    logits: Tensor,
    box_xyxy_px: Tensor,
    present: Tensor,
) -> Losses:
    """All terms for M clicks; `logits` include the prior."""
    targets = assign(
        box_xyxy_px,
        model.anchors_wh_px,
        (logits.shape[2], logits.shape[3]),
        model.options.stride_px,
    )
    return Losses(
        confidence_loss(logits, present, targets),
        box_loss(model, hidden, targets, present),
        similarity_loss(similarity, targets, present),
    )
