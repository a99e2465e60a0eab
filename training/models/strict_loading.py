"""Weights go into a model whole or not at all; what does not fit is listed."""

from __future__ import annotations

import torch
from torch import nn

from edge.errors import CheckpointError

LISTED = 12  # tensors that an error names of each kind; it counts the others


def load_strict(model: nn.Module, tensors: dict[str, torch.Tensor], source: str) -> None:
    """Load a state dict; name every tensor that is missing, unexpected or of another shape."""
    own = model.state_dict()
    missing = sorted(own.keys() - tensors.keys())
    unexpected = sorted(tensors.keys() - own.keys())
    shapes = sorted(k for k in own.keys() & tensors.keys() if own[k].shape != tensors[k].shape)
    if missing or unexpected or shapes:
        raise CheckpointError(
            f"the weights of {source} do not fit the model",
            expected=f"{len(own)} tensors",
            found=f"missing: {listed(missing)}; unexpected: {listed(unexpected)}; "
            f"other shape: {listed(shapes)}",
            do="use the options that the weights were trained with",
        )
    model.load_state_dict(tensors)


def listed(names: list[str]) -> str:
    """Names for an error, the first `LISTED` of them; "none" for none."""
    more = len(names) - LISTED
    return (str(names[:LISTED]) if names else "none") + (f" and {more} more" if more > 0 else "")
