"""How wide should the click be drawn? One training per sigma of the click map.

OCGNet's paper, its code, the comments in it and its released weights disagree on sigma (0.05 to
0.15 of the diagonal), and its paper calls a learnt one an open question: both can be asked here.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge.errors import UsageError
from training.experiments.variants import Variant
from training.models.click_maps import ClickEncoding
from training.recipes.reading import with_values
from training.recipes.schema import Recipe

NAME = "sigma-sweep"
DEFAULT_SIGMAS = (0.025, 0.05, 0.075, 0.1, 0.15)
X_LABEL = "sigma of the click map, fraction of the frame's diagonal"
FIELD = {
    ClickEncoding.GAUSSIAN.value: "sigma",
    ClickEncoding.LAPLACIAN.value: "sigma",
    ClickEncoding.HYBRID.value: "hybrid_sigma",
}


def plan(recipe: Recipe, sigmas: Sequence[float], learnable: bool) -> list[Variant]:
    """One variant per sigma, and one that learns it from the middle one.

    Raises:
        UsageError: the recipe's click map has no sigma, or a sigma that is none.
    """
    encoding = str(recipe.model.options.get("click_encoding"))
    if encoding not in FIELD:
        raise UsageError(
            f"the recipe {recipe.name} draws its clicks without a sigma",
            expected=f"click_encoding = one of {', '.join(FIELD)} in [model] options",
            found=encoding,
            do="take an ocgnet recipe, or add --option click_encoding=gaussian",
        )
    if not sigmas or min(sigmas) <= 0 or len(set(sigmas)) != len(sigmas):
        raise UsageError(
            "these sigmas cannot be swept",
            expected="different positive fractions of the diagonal",
            found=", ".join(f"{s:g}" for s in sigmas) or "none",
            do="write, for instance, --sigma 0.05 --sigma 0.1",
        )
    key = f"model.options.{FIELD[encoding]}"
    rows = [
        Variant(f"sigma {sigma:g}", with_values(recipe, {key: sigma}, f"sigma {sigma:g}"), sigma)
        for sigma in sorted(sigmas)
    ]
    if learnable:
        middle = sorted(sigmas)[len(sigmas) // 2]
        changes = {key: middle, "model.options.learnable_sigma": True}
        rows.append(Variant(f"learnt from {middle:g}", with_values(recipe, changes, "learnt")))
    return rows
