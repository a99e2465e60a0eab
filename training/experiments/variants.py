"""Variants of a recipe, each trained from several seeds and tested; a killed experiment goes on.

OUT/experiment.json           what is asked; the same command must ask the same
OUT/runs/<variant>-<seed>/    the run of each, see `training.trainer.run_folder`
OUT/runs/<variant>-<seed>/test.json     its scores on the test split, once there
OUT/results.json, table.txt, plot.png
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edge.errors import UsageError
from edge.scoring import Scores
from training.checkpoints.weights import load_weights
from training.datasets.sample import SampleSource
from training.evaluation.measured_files import read_scores, write_json
from training.evaluation.published import reader_of, score_model
from training.evaluation.summaries import LEARNT_SIGMA, Outcome
from training.experiments.asked import refuse_another
from training.models import Model
from training.recipes.reading import with_values
from training.recipes.schema import Recipe
from training.tasks.first_weights import FirstWeights
from training.tasks.opening import build_model, describe, open_sources, open_task
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
    x_is_learnt: bool = False  # its place is the sigma that it ends with


MakeTask = Callable[[Variant, Any, int], Task]  # (variant, model, seed)
TESTED = "test.json"


@dataclass(frozen=True, slots=True)
class Setting:
    """What all variants of an experiment share."""

    data: tuple[Path, ...]
    first: FirstWeights
    seeds: tuple[int, ...]
    out: Path
    judged: str = "best"  # which weights are tested: those of the best validation, or the "last"


def what_is_asked(
    name: str,
    variants: Sequence[Variant],
    setting: Setting,
    make_task: MakeTask | None = None,
) -> dict[str, Any]:
    """What OUT/experiment.json says, once it is clear that it can be asked there.

    What a training would refuse is refused here, before anything is written: the corrected command
    is not another experiment then.

    Raises:
        UsageError: the folder holds another experiment, or a seed is given twice.
        TilefixError: data, weights or values that a variant cannot be trained with.
    """
    if len(set(setting.seeds)) < len(setting.seeds):
        raise UsageError(
            "a seed is given twice",
            expected="a different --seed for each run: the same one trains the same",
            found=", ".join(map(str, setting.seeds)),
            do="give each seed once",
        )
    asked: dict[str, Any] = {
        "experiment": name,
        "seeds": list(setting.seeds),
        **describe(setting.first, setting.data),
        "variants": [
            {"label": v.label, "shots": v.shots, "recipe": msgspec.to_builtins(v.recipe)}
            for v in variants
        ],
    }
    refuse_another(setting.out, asked)
    for variant in variants:
        missing = [s for s in setting.seeds if not (_folder(setting, variant, s) / TESTED).exists()]
        for seed in missing:
            with_values(variant.recipe, {"run.seed": seed}, variant.label)
        if missing:
            _check(variant, missing[0], setting, make_task)
    return asked


def run_variants(
    variants: Sequence[Variant],
    setting: Setting,
    *,
    make_task: MakeTask | None = None,
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
            out = _folder(setting, variant, seed)
            tested = out / TESTED
            if not tested.exists():
                say(f"{len(outcomes) + 1} of {total}: {variant.label}, seed {seed}")
                write_json(tested, _run(variant, seed, setting, out, make_task))
            (out / "state.pt").unlink(missing_ok=True)  # tested: nothing is left to resume
            scores = read_scores(tested)
            x = scores.get(LEARNT_SIGMA) if variant.x_is_learnt else variant.x
            outcomes.append(Outcome(variant.label, x, seed, scores))
    return outcomes


@dataclass(frozen=True, slots=True)
class _Prepared:
    """All that a run of a variant needs."""

    recipe: Recipe
    model: Model
    test: SampleSource
    task: Task | None  # None: nothing is trained


def _prepare(
    variant: Variant, seed: int, setting: Setting, make_task: MakeTask | None
) -> _Prepared:
    recipe = with_values(variant.recipe, {"run.seed": seed}, variant.label)
    test = open_sources(recipe, setting.data, recipe.data.test)  # missing data: before all work
    model = build_model(recipe, setting.first)
    if variant.shots == 0:
        return _Prepared(recipe, model, test, None)
    task = (
        open_task(recipe, model, setting.data)
        if make_task is None
        else make_task(variant, model, seed)
    )
    return _Prepared(_fitting(recipe, task), model, test, task)


def _check(variant: Variant, seed: int, setting: Setting, make_task: MakeTask | None) -> None:
    """Do what a run begins with, up to one sample of each split."""
    prepared = _prepare(variant, seed, setting, make_task)
    reader = reader_of(prepared.model, prepared.test, prepared.recipe.data.set)
    if len(reader):
        reader.samples([0], np.random.default_rng(seed))
    if prepared.task is not None:
        prepared.task.batch([0], np.random.default_rng(seed))


def _run(
    variant: Variant, seed: int, setting: Setting, out: Path, make_task: MakeTask | None
) -> Scores:
    prepared = _prepare(variant, seed, setting, make_task)
    model = prepared.model
    if prepared.task is not None:
        given = describe(setting.first, setting.data)
        best = train(prepared.task, prepared.recipe, out, given=given)
        model, _ = load_weights(best.with_name(f"{setting.judged}.safetensors"))
    scores = score_test(model, prepared.test, prepared.recipe)
    sigma = learnt_sigma(model)
    return scores if sigma is None else {**scores, LEARNT_SIGMA: sigma}


def learnt_sigma(model: Any) -> float | None:
    """Sigma of the click map, fraction of the diagonal, where the model learnt it."""
    click_map = getattr(model, "click_map", None)
    if click_map is None or click_map.log_sigma is None:
        return None
    return float(click_map.sigma.detach())


def score_test(model: Any, test: SampleSource, recipe: Recipe) -> Scores:
    """Scores of a model on the test split of a recipe."""
    batch = max(1, recipe.run.batch // recipe.run.accumulate)
    return score_model(model.eval(), test, recipe.data.set, batch=batch)[0]


def _folder(setting: Setting, variant: Variant, seed: int) -> Path:
    return setting.out / "runs" / f"{slug(variant.label)}-{seed}"


def slug(label: str) -> str:
    """A label as the name of a folder."""
    return re.sub(r"[^a-z0-9.]+", "-", label.lower()).strip("-")


def _fitting(recipe: Recipe, task: Task) -> Recipe:
    """A few samples may be fewer than a batch."""
    batch = min(recipe.run.batch, len(task))
    changes = {"run.batch": batch, "run.accumulate": 1} if batch < recipe.run.batch else {}
    return with_values(recipe, changes, "few samples")
