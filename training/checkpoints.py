"""Checkpoints: weights with their options in safetensors, and the state that resumes a run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge.errors import CheckpointError
from training.models import Model, build, name_of

SCHEMA = "tilefix-checkpoint/1"
LISTED = 12  # tensors that an error names of each kind; it counts the others


def save_weights(model: Model, path: Path, record: dict[str, Any]) -> None:
    """Write weights, options and the run's record atomically.

    Args:
        model: what to save: any model that `build` constructs.
        path: a .safetensors file.
        record: where the weights come from: data, steps, scores.
    """
    from safetensors.torch import save_file

    metadata = {
        "schema": SCHEMA,
        "model": name_of(model),
        "options": json.dumps(dataclasses.asdict(model.options)),
        "record": json.dumps(record),
    }
    temporary = path.with_suffix(".tmp")
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    save_file(tensors, temporary, metadata)
    temporary.replace(path)


def load_weights(path: Path) -> tuple[Model, dict[str, Any]]:
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
    try:
        model = build(metadata["model"], **json.loads(metadata["options"]))
    except ValueError as error:
        raise CheckpointError(
            f"{path} describes a model that cannot be built",
            expected="a model and options of this version",
            found=str(error),
            do="use the version of tilefix that wrote it",
        ) from error
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
            found=f"missing: {listed(missing)}; unexpected: {listed(unexpected)}; "
            f"other shape: {listed(shapes)}",
            do="use the options that the weights were trained with",
        )
    model.load_state_dict(tensors)


def listed(names: list[str]) -> str:
    """Names for an error, the first `LISTED` of them; "none" for none."""
    more = len(names) - LISTED
    return (str(names[:LISTED]) if names else "none") + (f" and {more} more" if more > 0 else "")
