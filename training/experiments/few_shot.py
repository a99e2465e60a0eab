"""How few samples of a new class are enough? Fine-tuning from a checkpoint on k of each.

OCGNet (JSTARS 2025) reports seven samples of four new classes; its published flags for it do
nothing. Here k samples of each class of the training list are drawn, from each seed others, the
checkpoint goes on from them, and the test list judges. 0 shots is the checkpoint as it is. There
is no validation list, so the weights of the last epoch are judged: choosing the best by the test
list would be learning from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import UsageError
from training.datasets.sample import SampleSource
from training.datasets.subset import Subset, classes_of
from training.experiments.variants import Variant
from training.models.contract import CrossViewModel
from training.recipes.schema import Recipe
from training.tasks.opening import open_sources, published_task
from training.tasks.published import PublishedTask

NAME = "few-shot"
DEFAULT_SHOTS = (0, 1, 3, 5, 7)
X_LABEL = "training samples of each new class"


def plan(recipe: Recipe, shots: Sequence[int]) -> list[Variant]:
    """One variant per number of shots.

    Raises:
        UsageError: a number below 0, or none.
    """
    if not shots or min(shots) < 0:
        raise UsageError(
            "these shots cannot be drawn",
            expected="0 or more samples of each class",
            found=", ".join(map(str, shots)) or "none",
            do="write, for instance, --shots 1 --shots 7",
        )
    return [Variant(f"{k} shots", recipe, float(k), k) for k in sorted(set(shots))]


def draw_shots(source: SampleSource, shots: int, seed: int) -> Subset:
    """k samples of each class, or all of a class that has fewer.

    Args:
        source: one that knows its classes.
        shots: k.
        seed: of the draw.

    Raises:
        UsageError: a source without classes.
    """
    if not hasattr(source, "class_of"):
        raise UsageError(
            f"{source.name} does not know the classes of its samples",
            expected="a data set with classes: cvogl_fewshot, cvogl_drone, cvogl_svi",
            found=source.name,
            do="set data.set in the recipe",
        )
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    for name in classes_of(source):
        own = [index for index in range(len(source)) if source.class_of(index) == name]
        chosen += rng.permutation(own)[:shots].tolist()
    return Subset(source, tuple(sorted(chosen)), f"{shots} per class, seed {seed}")


def task_maker(
    data: Sequence[Path],
) -> Callable[[Variant, Any, int], PublishedTask]:
    """(variant, model, seed) -> its task, for `run_variants`."""

    def make(variant: Variant, model: Any, seed: int) -> PublishedTask:
        if not isinstance(model, CrossViewModel):
            raise UsageError(
                "few-shot fine-tuning is of the published models",
                expected="a recipe such as ocgnet_fewshot",
                found=variant.recipe.name,
                do="give another recipe",
            )
        recipe = variant.recipe
        training = open_sources(recipe, data, recipe.data.train)
        held_out = open_sources(recipe, data, recipe.data.validate)
        return published_task(
            recipe, model, draw_shots(training, variant.shots or 0, seed), held_out
        )

    return make
