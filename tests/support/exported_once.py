"""Exported graphs that several test files look at: an export takes seconds for each layer."""

from __future__ import annotations

from pathlib import Path

import torch
from made_once import MadeOnce
from quick_weights import quick_random_weights
from small_backbones import small_model
from torch import nn

from edge.bundle import ENCODER, LOCALIZER
from export.graphs import export_precisions
from tests.support.settled_lite import settled_lite
from training.models import build
from training.models.lite import Lite

FLOATS = ("fp32", "fp16")
Paths = dict[tuple[str, str], Path]  # by (precision, kind)


def small_published(once: MadeOnce, name: str, **options: object) -> tuple[nn.Module, Paths]:
    """A model as `small_model` makes it, and its graphs in both float precisions."""
    model = small_model(name, **options)
    words = "".join(f",{key}={value}" for key, value in sorted(options.items()))
    home = once(
        f"small-{name}{words}",
        lambda folder: export_precisions(model, {p: folder / p for p in FLOATS}),
    )
    kinds = ENCODER, LOCALIZER
    return model, {(p, kind): home / p / f"{kind}.onnx" for p in FLOATS for kind in kinds}


def full_ocgnet(once: MadeOnce) -> Paths:
    """OCGNet's graphs in both float precisions, at its published size, with random weights."""

    def make(folder: Path) -> None:
        with quick_random_weights():
            model = build("ocgnet").eval()
        export_precisions(model, {p: folder / p for p in FLOATS})

    home = once("full-ocgnet", make)
    return {(p, kind): home / p / f"{kind}.onnx" for p in FLOATS for kind in (ENCODER, LOCALIZER)}


def settled_graphs(once: MadeOnce) -> tuple[Lite, dict[str, Path]]:
    """One `settled_lite()`, and its files in both float precisions by their names in a bundle."""

    def make(folder: Path) -> None:
        model = settled_lite()
        torch.save(model, folder / "model.pt")
        export_precisions(model, {p: folder / p for p in FLOATS})

    home = once("settled-lite", make)
    model = torch.load(home / "model.pt", weights_only=False)
    return model, {f"graphs/{path.relative_to(home)}": path for path in home.glob("*/*")}
