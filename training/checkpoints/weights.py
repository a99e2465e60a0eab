"""Checkpoints: weights with their options in safetensors, and the state that resumes a run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from torch import Tensor

from edge.errors import CheckpointError
from training.models import Model, build, name_of
from training.models.strict_loading import load_strict

SCHEMA = "tilefix-checkpoint/1"
TORCH_HEADS = (b"PK\x03\x04", b"\x80\x02")  # a ZIP archive or a pickle: what torch.save writes
FOREIGN_SUFFIXES = (".pth", ".tar", ".pt", ".weights")
IMPORT = "`tilefix import-checkpoint` makes a checkpoint of the weights of others"


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
    metadata, tensors = read_safetensors(
        path,
        what=f"{path} is not a checkpoint",
        expected="a safetensors file written by `tilefix train`",
        do=_remedy(path),
    )
    if metadata.get("schema") != SCHEMA:
        raise CheckpointError(
            f"{path} has another schema",
            expected=SCHEMA,
            found=str(metadata.get("schema")),
            do="train again, or use the version of tilefix that wrote it"
            if "schema" in metadata
            else IMPORT,
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


def _remedy(path: Path) -> str:
    """What to do about a file that does not open as safetensors."""
    if path.name == "state.pt":
        return "give best.safetensors or last.safetensors of that run: state.pt resumes it alone"
    foreign = path.suffix in FOREIGN_SUFFIXES
    try:
        with path.open("rb") as stream:
            foreign |= stream.read(4).startswith(TORCH_HEADS)
    except OSError:
        return f"check the path; {IMPORT}" if foreign else "check the path"
    return IMPORT if foreign else "copy it again from where it was trained, or check the path"


def read_safetensors(
    path: Path, *, what: str, expected: str, do: str
) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a file.

    Raises:
        CheckpointError: missing, truncated or of another format; with the given words.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as stream:
            tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118
            return stream.metadata() or {}, tensors
    except (SafetensorError, OSError) as error:
        raise CheckpointError(what, expected=expected, found=str(error), do=do) from error
