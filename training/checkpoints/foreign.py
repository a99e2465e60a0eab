"""Weights of others, read from their files: `.pth.tar`, `.pth` and `.safetensors`.

The authors' checkpoints are dictionaries with `epoch`, `state_dict`, `best_loss` (which really is
the validation acc@0.5) and `optimizer`, saved from DataParallel: every name begins with `module.`.
Files of backbones hold the state dict itself, or have it under `model`. No code in a file is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge.errors import CheckpointError
from training.checkpoints.safe_pickle import load_plain
from training.checkpoints.weights import SCHEMA, read_safetensors
from training.models.strict_loading import listed

PREFIX = "module."  # what DataParallel puts before every name
CONTAINERS = ("state_dict", "model")


@dataclass(frozen=True, slots=True)
class ForeignWeights:
    """Tensors by name, and what their file says of the run that made them."""

    tensors: dict[str, Tensor]
    said: dict[str, float]  # epoch and validation_acc_0.5, where stated


def read_weights(path: Path) -> ForeignWeights:
    """Read a file of weights.

    Raises:
        CheckpointError: missing, truncated, no state dict, one that would run code, tensors that
            hold infinities or NaN, or a checkpoint of tilefix itself.
    """
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _load(path)
    tensors: Any = content
    for key in CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            tensors = content[key]
            break
    if not isinstance(tensors, Mapping) or not tensors or not _all_tensors(tensors):
        raise CheckpointError(
            f"{path} holds no weights",
            expected="a state dict, alone or under `state_dict` or `model`",
            found=_described(content),
            do="check which file it is",
        )
    named = {str(name): tensor.detach() for name, tensor in tensors.items()}
    if all(name.startswith(PREFIX) for name in named):
        named = {name.removeprefix(PREFIX): tensor for name, tensor in named.items()}
    broken = [k for k, t in named.items() if t.is_floating_point() and not t.isfinite().all()]
    if broken:
        raise CheckpointError(
            f"{path} holds weights that are not numbers",
            expected="finite weights",
            found=f"infinity or NaN in {listed(broken)}",
            do="use an earlier checkpoint of that run",
        )
    return ForeignWeights(named, _said(content))


def _load(path: Path) -> Any:
    return load_plain(path, CheckpointError)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    metadata, tensors = read_safetensors(
        path,
        what=f"{path} cannot be read",
        expected="a safetensors file, whole",
        do="check the path, or download the file again",
    )
    if metadata.get("schema") == SCHEMA:
        raise CheckpointError(
            f"{path} is a checkpoint of tilefix already",
            expected="weights of others",
            found=f"a {metadata.get('model')} with the schema {SCHEMA}",
            do="use it as it is, or hand it to --init to give it a backbone",
        )
    return tensors


def _all_tensors(tensors: Mapping[Any, Any]) -> bool:
    return all(isinstance(tensor, torch.Tensor) for tensor in tensors.values())


def _described(content: Any) -> str:
    if isinstance(content, Mapping):
        return f"a dictionary of {listed([str(key) for key in content])}"
    return f"a {type(content).__name__}"


def _said(content: Any) -> dict[str, float]:
    said = {}
    for key, name in (("epoch", "epoch"), ("best_loss", "validation_acc_0.5")):
        value = content.get(key) if isinstance(content, Mapping) else None
        if isinstance(value, torch.Tensor) and value.numel() == 1:
            value = value.item()
        if isinstance(value, Real):
            said[name] = float(value)
    return said
