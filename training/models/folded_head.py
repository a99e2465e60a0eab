"""The folded anchor head for many clicks: confidence maps click by click, boxes at the winner only.

    h = leaky ReLU(G (s u) + t)       s, t: the batch norm with its running statistics
    confidence = W_c h + b_c          for all cells
    offsets = W_b h + b_b             at the winning cell, whose h is computed again

One click's h is a few MB and stays in a CPU's cache; those of all clicks at once do not, and take
four times as long (8 clicks, 64 x 64 cells, one core).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from training.models.anchor_head import FIELDS, AnchorHead, Winners, winners
from training.models.conv_block import NEGATIVE_SLOPE


def running_affine(norm: torch.nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """s and t such that the norm, in eval mode, is s x + t. Two [C].

    Raises:
        ValueError: a batch norm without running statistics.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a folded head needs a batch norm with running statistics")
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def folded_confidence(head: AnchorHead, gate: Tensor, u: Tensor) -> Tensor:
    """Confidence logits of all anchors and cells.

    Args:
        head: whose first convolution u already holds; its running statistics are used.
        gate: [N, Hg, Wg].
        u: [C, Hg, Wg].

    Returns:
        [N, A, Hg, Wg].
    """
    n, height, width = gate.shape
    scale, shift = (x.unsqueeze(1) for x in running_affine(head.block.bn))  # [C, 1]
    scaled = u.flatten(1) * scale  # [C, Hg Wg]
    weight = head[1].weight[FIELDS - 1 :: FIELDS, :, 0, 0]  # [A, C]
    bias = head[1].bias[FIELDS - 1 :: FIELDS].unsqueeze(1)
    logits = gate.new_empty(n, head.anchors, height * width)
    for index, row in enumerate(gate.reshape(n, height * width)):
        hidden = functional.leaky_relu_(torch.addcmul(shift, row, scaled), NEGATIVE_SLOPE)
        logits[index] = torch.addmm(bias, weight, hidden)
    return logits.unflatten(2, (height, width))


def folded_answer(head: AnchorHead, gate: Tensor, u: Tensor) -> tuple[Winners, Tensor]:
    """The winner of each click and its tx, ty, tw, th; arguments as of `folded_confidence`.

    Returns:
        winners of N clicks, and offsets [N, 4].
    """
    won = winners(folded_confidence(head, gate, u))
    scale, shift = running_affine(head.block.bn)
    rows = torch.arange(len(gate), device=gate.device)
    at_cell = gate[rows, won.row, won.column].unsqueeze(1)  # [N, 1]
    mixed = at_cell * (u[:, won.row, won.column].t() * scale) + shift  # [N, C]
    hidden = functional.leaky_relu(mixed, NEGATIVE_SLOPE)
    weight = head[1].weight[:, :, 0, 0].unflatten(0, (head.anchors, FIELDS))[won.anchor, :4]
    bias = head[1].bias.unflatten(0, (head.anchors, FIELDS))[won.anchor, :4]
    return won, torch.einsum("nc,nkc->nk", hidden, weight) + bias
