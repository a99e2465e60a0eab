"""What does each part of a model give? The papers' ablations, one training per row.

The labels are those of the papers' rows in `training/evaluation/published_results.toml`, so that
both are printed side by side.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edge.errors import UsageError
from training.experiments.variants import Variant
from training.recipes.reading import with_values
from training.recipes.schema import Recipe

NAME = "ablation"
WHOLE = "whole"
# model -> label -> what is changed. "model.name" swaps the model; "-loss" leaves terms out.
PARTS: dict[str, dict[str, dict[str, Any]]] = {
    "detgeo": {
        "CVCAM for the cosine fusion": {"model.name": "detgeo_ported"},
        "with MHSAM": {
            "model.name": "detgeo_ported",
            "model.options.cvcam": False,
            "model.options.mhsam": True,
        },
    },
    "ocgnet": {
        "without LE": {"model.options.location_enhancement": False},
        "without MHCA": {"model.options.cross_attention": False},
        "without GKT": {"model.options.click_encoding": "squared-distance"},
    },
    "attengeo": {
        "without CVCAM": {"model.options.cvcam": False},
        "without MHSAM": {"model.options.mhsam": False},
        "without both": {"model.options.cvcam": False, "model.options.mhsam": False},
    },
    "mogeo": {
        "without L_s": {"-loss": ("object_similarity",)},
        "without CVMF": {"model.options.cvmf": False},
        "without MOPE": {"model.options.mope": False},
    },
    "trogeo": {"without masks": {"-loss": ("mask_bce", "mask_dice")}},
}


def plan(recipe: Recipe) -> list[Variant]:
    """The whole model, then each row of its ablation.

    Raises:
        UsageError: no ablation of this model is known.
    """
    if recipe.model.name not in PARTS:
        raise UsageError(
            f"{recipe.model.name} has no parts to leave out",
            expected=f"a recipe of one of: {', '.join(PARTS)}",
            found=recipe.name,
            do="give another recipe",
        )
    rows = [Variant(WHOLE, recipe)]
    for label, changes in PARTS[recipe.model.name].items():
        values = {key: value for key, value in changes.items() if key != "-loss"}
        changed = with_values(recipe, values, label)
        gone = changes.get("-loss", ())
        kept = tuple(t for t in changed.loss if str(t.__struct_config__.tag) not in gone)
        rows.append(Variant(label, replace(changed, loss=kept)))
    return rows
