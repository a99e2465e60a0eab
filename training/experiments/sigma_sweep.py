"""How wide should the click be drawn? One training per sigma of the click map.

OCGNet's paper, its code, the comments in it and its released weights disagree on sigma (0.05 to
0.15 of the diagonal), and its paper calls a learnt one an open question: both can be asked here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from edge.errors import ConfigError, UsageError
from training.experiments.variants import Variant
from training.models import build
from training.models.click_maps import ClickEncoding
from training.recipes.reading import with_values
from training.recipes.schema import Recipe

NAME = "sigma-sweep"
DEFAULT_SIGMAS = (0.025, 0.05, 0.075, 0.1, 0.15)
LEARNABLE = "model.options.learnable_sigma"
X_LABEL = "sigma of the click map, fraction of the frame's diagonal"
FIELD = {
    ClickEncoding.GAUSSIAN: "sigma",
    ClickEncoding.LAPLACIAN: "sigma",
    ClickEncoding.HYBRID: "hybrid_sigma",
}


def plan(recipe: Recipe, sigmas: Sequence[float], learnable: bool) -> list[Variant]:
    """One variant per sigma, and one that learns it from the middle one.

    Raises:
        UsageError: the model draws its clicks without a sigma or learns it anyway, or a sigma that
            is none.
        ConfigError: the recipe's model cannot be built.
    """
    key = f"model.options.{swept_option(recipe)}"
    labels = [f"sigma {sigma:g}" for sigma in sorted(sigmas)]
    finite = all(0 < sigma < math.inf for sigma in sigmas)
    if not labels or not finite or len(set(labels)) != len(labels):
        raise UsageError(
            "these sigmas cannot be swept",
            expected="different positive fractions of the diagonal",
            found=", ".join(f"{s:g}" for s in sigmas) or "none",
            do="write, for instance, --sigma 0.05 --sigma 0.1",
        )
    rows = [
        Variant(label, with_values(recipe, {key: sigma}, label), sigma)
        for label, sigma in zip(labels, sorted(sigmas), strict=True)
    ]
    if learnable:
        middle = sorted(sigmas)[len(sigmas) // 2]
        changed = with_values(recipe, {key: middle, LEARNABLE: True}, "learnt")
        rows.append(Variant(f"learnt from {middle:g}", changed, x_is_learnt=True))
    return rows


def swept_option(recipe: Recipe) -> str:
    """The option that is the sigma of the click map that the recipe's model really draws.

    The model is asked, not the recipe's text: an option may be left to its default, or serve
    nothing (a MOGeo with MOPE draws no clicks).

    Raises:
        UsageError: it draws none, one without a sigma, or one that it learns.
        ConfigError: the model cannot be built.
    """
    name = recipe.model.name
    try:
        with torch.device("meta"):
            model = build(name, **recipe.model.options)
    except ValueError as error:
        raise ConfigError(
            f"the recipe {recipe.name} describes a model that cannot be built",
            expected="a model of tilefix with options that it takes",
            found=str(error),
            do="correct [model]",
        ) from error
    click_map = getattr(model, "click_map", None)
    if click_map is None or click_map.encoding not in FIELD:
        drawn = (
            "no click map" if click_map is None else f"click_encoding = {click_map.encoding.value}"
        )
        drawing = "--option mope=false and " if getattr(model.options, "mope", False) else ""
        raise UsageError(
            f"the recipe {recipe.name} draws its clicks without a sigma",
            expected=f"a model with a click map, one of {', '.join(e.value for e in FIELD)}",
            found=f"{name} with {drawn}",
            do=f"take an ocgnet recipe, or add {drawing}--option click_encoding=gaussian",
        )
    if click_map.log_sigma is not None:
        raise UsageError(
            f"the recipe {recipe.name} learns its sigma: every row would",
            expected="learnable_sigma = false; --learnable adds a row that learns it",
            found="learnable_sigma = true",
            do="add --option learnable_sigma=false",
        )
    return FIELD[click_map.encoding]
