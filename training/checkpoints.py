"""Checkpoints: weights with their options in safetensors, and the state that resumes a run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge.errors import CheckpointError
from training.models import build
from training.models.lite import Lite

SCHEMA = "tilefix-checkpoint/1"


def save_weights(model: Lite, path: Path, record: dict[str, Any]) -> None:
    """Write weights, options and the run's record atomically.

    Args:
        model: what to save.
        path: a .safetensors file.
        record: where the weights come from: data, steps, scores.
    """
    from safetensors.torch import save_file

    metadata = {
        "schema": SCHEMA,
        "model": "lite",
        "options": json.dumps(dataclasses.asdict(model.options)),
        "record": json.dumps(record),
    }
    temporary = path.with_suffix(".tmp")
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    save_file(tensors, temporary, metadata)
    temporary.replace(path)


def load_weights(path: Path) -> tuple[Lite, dict[str, Any]]:
    """Build the model that a checkpoint describes, strictly.

    Returns:
        (model in eval mode, the run's record).

    Raises:
        CheckpointError: not a checkpoint of ours, or tensors missing or unexpected (listed).
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as stream:
            metadata = stream.metadata() or {}
            tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a checkpoint",
            expected="a safetensors file written by `tilefix train`",
            found=str(error),
            do="check the path",
        ) from error
    if metadata.get("schema") != SCHEMA:
        raise CheckpointError(
            f"{path} has another schema",
            expected=SCHEMA,
            found=str(metadata.get("schema")),
            do="train again, or use the version of tilefix that wrote it",
        )
    options = json.loads(metadata["options"])
    options["anchors_wh_px"] = tuple(tuple(a) for a in options["anchors_wh_px"])
    model = build(metadata["model"], **options)
    load_strict(model, tensors, str(path))
    model.eval()
    return model, json.loads(metadata["record"])


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
            found=f"missing: {missing or 'none'}; unexpected: {unexpected or 'none'}; "
            f"other shape: {shapes or 'none'}",
            do="use the options that the weights were trained with",
        )
    model.load_state_dict(tensors)
