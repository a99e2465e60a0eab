"""A bundle of any model with random weights: for engine builds and tests, never for flying."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from edge.bundle import Bundle
from export.bundle_maker import write_model
from export.bundle_manifest import manifest_of
from export.graphs import PRECISIONS
from training.models import build

GSD_M = 0.25


def random_bundle(
    name: str,
    folder: Path,
    options: dict[str, Any] | None = None,
    precisions: Sequence[str] = PRECISIONS,
    seed: int = 0,
) -> Bundle:
    """Build a model, leave its weights as they are drawn, and write its bundle.

    Args:
        name: of the model, see `training.models.build`.
        folder: of the bundle; one that is there is replaced.
        options: of the model; small windows make small graphs, not fewer weights.
        precisions: to export in.
        seed: of the weights.

    Raises:
        ValueError: an unknown model or option.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build(name, **(options or {})).eval()
    origin = f"random weights of seed {seed}: finds nothing"
    manifest = manifest_of(model, f"random-{name}", "0", origin, GSD_M)
    return write_model(model, manifest, {}, folder, precisions)
