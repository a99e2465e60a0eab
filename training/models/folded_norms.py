"""Batch norms folded into the convolutions before them, as an exporter folds them.

What is quantised is the folded weight, so it is what has to be trained. A batch norm stays in its
place, for the names of the checkpoint, as an identity that adds the folded bias, and as
`export.bundle_weights` rebuilds it. Its bias trains on; its scale and statistics do not.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor, nn

ROUNDING = 1e-6  # of a factor that is one; a new batch norm's is at least five times as far from it


def batch_norm_pairs(model: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions with the batch norm that a module names right after them."""
    for module in model.modules():
        for before, after in itertools.pairwise(module.children()):
            if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                yield before, after


@torch.no_grad()
def fold_batch_norms(model: nn.Module) -> int:
    """Fold every batch norm in place; the model answers in eval mode as before, up to rounding.

    A second call changes nothing but roundings.

    Returns:
        How many were folded.

    Raises:
        ValueError: a batch norm that follows no convolution by name: it would not be folded.
    """
    pairs = list(batch_norm_pairs(model))
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    if len(pairs) != len(norms):
        raise ValueError(f"{len(norms)} batch norms, {len(pairs)} of them after a convolution")
    for convolution, norm in pairs:
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        bias = norm.bias - norm.running_mean * factor
        if convolution.bias is not None:
            bias = bias + convolution.bias * factor
            convolution.bias.zero_().requires_grad_(False)
        convolution.weight.mul_(factor.view(-1, 1, 1, 1))
        norm.running_mean.zero_()
        norm.running_var.fill_(1)
        # the very number that evaluation divides by
        norm.weight.copy_((norm.running_var + norm.eps).sqrt())
        norm.bias.copy_(bias)
        norm.weight.requires_grad_(False)
    return len(pairs)


@torch.no_grad()
def absorb_batch_norms(model: nn.Module) -> int:
    """Fold every batch norm and leave nothing of it, in place: for inference alone.

    The folded bias becomes the convolution's own and an identity takes the norm's place; the state
    dict is another then. Fold in float32 or wider, and make the model narrower afterwards.

    Returns:
        How many are gone.

    Raises:
        ValueError: see `fold_batch_norms`.
    """
    count = fold_batch_norms(model)
    for module in list(model.modules()):
        for before, (name, after) in itertools.pairwise(module.named_children()):
            if isinstance(before[1], nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                before[1].bias = nn.Parameter(after.bias.clone(), requires_grad=False)
                setattr(module, name, nn.Identity())
    return count


def folded_norms(model: nn.Module) -> Iterator[nn.BatchNorm2d]:
    """Batch norms that only add a bias, as folding leaves them; a new one has another factor."""
    for _, norm in batch_norm_pairs(model):
        if not norm.affine or not norm.track_running_stats:
            continue
        one = (norm.running_var + norm.eps).sqrt()
        plain = not norm.running_mean.any() and bool((norm.running_var == 1).all())
        if plain and bool(((norm.weight - one).abs() < ROUNDING).all()):
            yield norm


class FoldedNorm(nn.BatchNorm2d):
    """A folded batch norm that adds its bias, and no more.

    The gradient of a sum is there already, where that of PyTorch's own, in evaluation mode, is
    computed, and on a GPU comes back in another layout that the convolution then has to undo.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same, in the type of x."""
        return x + self.bias.to(x.dtype).view(-1, 1, 1)


def hold_folded_norms(model: nn.Module) -> None:
    """Keep folded batch norms what they are while all else is in training mode."""
    for norm in folded_norms(model):
        norm.eval()
        norm.weight.requires_grad_(False)
        norm.__class__ = FoldedNorm  # the same parameters under the same name
