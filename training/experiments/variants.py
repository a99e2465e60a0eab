"""Variants of a recipe, each trained from several seeds and tested; a killed experiment goes on.

OUT/experiment.json           what is asked; the same command must ask the same
OUT/runs/<variant>-<seed>/    the run of each, see `training.trainer.run_folder`
OUT/runs/<variant>-<seed>/test.json     its scores on the test split, once there
OUT/results.json, table.txt, plot.png
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edge.errors import UsageError
from edge.scoring import Scores
from training.checkpoints.weights import load_weights
from training.datasets.sample import SampleSource
from training.evaluation.measured_files import write_json
from training.evaluation.published import score_model
from training.evaluation.summaries import Outcome
from training.recipes.reading import with_values
from training.recipes.schema import Recipe
from training.tasks.opening import FirstWeights, build_model, describe, open_sources, open_task
from training.tasks.task import Task
from training.trainer.loop import train

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of an experiment."""

    label: str
    recipe: Recipe
    x: float | None = None  # its place on the axis of the plot
    shots: int | None = None  # training samples of each class; None: all


@dataclass(frozen=True, slots=True)
class Setting:
    """What all variants of an experiment share."""

    data: tuple[Path, ...]
    first: FirstWeights
    seeds: tuple[int, ...]
    out: Path
    judged: str = "best"  # which weights are tested: those of the best validation, or the "last"


def begin(name: str, variants: Sequence[Variant], setting: Setting) -> None:
    """Write what is asked, or make sure that the folder holds the same.

    Raises:
        UsageError: the folder holds another experiment.
    """
    asked: dict[str, Any] = {
        "experiment": name,
        "seeds": list(setting.seeds),
        **describe(setting.first, setting.data),
        "variants": [
            {"label": v.label, "shots": v.shots, "recipe": msgspec.to_builtins(v.recipe)}
            for v in variants
        ],
    }
    file = setting.out / "experiment.json"
    if file.exists() and json.loads(file.read_text()) != json.loads(json.dumps(asked)):
        raise UsageError(
            f"{setting.out} holds another experiment",
            expected=f"what {file} says",
            found="other options",
            do="give the same options to go on with it, or another --out",
        )
    write_json(file, asked)


def run_variants(
    variants: Sequence[Variant],
    setting: Setting,
    *,
    make_task: Callable[[Variant, Any, int], Task] | None = None,
    say: Say = lambda _: None,
) -> list[Outcome]:
    """Train and test every variant from every seed; what is done already is read back.

    Args:
        variants: what differs.
        setting: what does not.
        make_task: (variant, model, seed) -> task; None: as the recipe says.
        say: called with a line about each that is begun.
    """
    outcomes = []
    total = len(variants) * len(setting.seeds)
    for seed in setting.seeds:
        for variant in variants:
            recipe = with_values(variant.recipe, {"run.seed": seed}, variant.label)
            out = setting.out / "runs" / f"{slug(variant.label)}-{seed}"
            tested = out / "test.json"
            if not tested.exists():
                say(f"{len(outcomes) + 1} of {total}: {variant.label}, seed {seed}")
                write_json(tested, dict(_run(variant, recipe, seed, setting, out, make_task)))
            (out / "state.pt").unlink(missing_ok=True)  # tested: nothing is left to resume
            scores: Scores = json.loads(tested.read_text())
            outcomes.append(Outcome(variant.label, variant.x, seed, scores))
    return outcomes


def _run(
    variant: Variant,
    recipe: Recipe,
    seed: int,
    setting: Setting,
    out: Path,
    make_task: Callable[[Variant, Any, int], Task] | None,
) -> Scores:
    test = open_sources(recipe, setting.data, recipe.data.test)  # missing data: before all work
    model = build_model(recipe, setting.first)
    if variant.shots != 0:
        task = (
            open_task(recipe, model, setting.data)
            if make_task is None
            else make_task(variant, model, seed)
        )
        recipe = _fitting(recipe, task)
        given = describe(setting.first, setting.data)
        best = train(task, recipe, out, given=given)
        model, _ = load_weights(best.with_name(f"{setting.judged}.safetensors"))
    return score_test(model, test, recipe)


def score_test(model: Any, test: SampleSource, recipe: Recipe) -> Scores:
    """Scores of a model on the test split of a recipe."""
    batch = max(1, recipe.run.batch // recipe.run.accumulate)
    return score_model(model.eval(), test, recipe.data.set, batch=batch)[0]


def slug(label: str) -> str:
    """A label as the name of a folder."""
    return re.sub(r"[^a-z0-9.]+", "-", label.lower()).strip("-")


def _fitting(recipe: Recipe, task: Task) -> Recipe:
    """A few samples may be fewer than a batch."""
    batch = min(recipe.run.batch, len(task))
    changes = {"run.batch": batch, "run.accumulate": 1} if batch < recipe.run.batch else {}
    return with_values(recipe, changes, "few samples")
