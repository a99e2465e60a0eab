"""From what `tilefix train --qat` is given to a task that trains with the roundings of INT8."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration.ranges.record import Ranges
from edge.bundle import Bundle, sha256_of, shipped_bundle_path
from edge.errors import ConfigError, UsageError
from training.models import Model, name_of
from training.models.lite import Lite
from training.quantization.bundle_ranges import convolution_amax
from training.quantization.lite import QuantizedLite
from training.quantization.observing import BATCHES, observe
from training.recipes.schema import LITE, Recipe
from training.tasks.first_weights import FirstWeights, refuse_named_options
from training.tasks.lite import LiteTask
from training.tasks.opening import build_model, open_task
from training.tasks.teacher import open_teacher

RECIPE = "lite_qat"  # made for this
NOTE = "quantization"  # in the record of a checkpoint


@dataclass(frozen=True, slots=True)
class FloatStart:
    """The float model of a run, and the bundle that it is of, if it is of one."""

    model: Lite
    bundle: Bundle | None


def open_quantized(
    recipe: Recipe,
    first: FirstWeights,
    ranges: Path | None,
    data: Sequence[Path],
    val: Sequence[Path],
) -> tuple[LiteTask, dict[str, Any]]:
    """The task of a recipe with fake quantisation, and what its checkpoints say of it.

    Args:
        recipe: of lite.
        first: what to begin with; `init` is a checkpoint or the folder of a bundle.
        ranges: a file of the schema tilefix-ranges/1; None: the largest values of some samples.
        data: see `open_task`.
        val: see `open_task`.

    Raises:
        TilefixError: see `refuse_recipe`, `open_start`, `open_task` and `quantized_task`.
    """
    refuse_recipe(recipe)
    start = open_start(recipe, first, ranges)
    teacher = first.teacher and open_teacher(recipe, start.model, first.teacher)
    task = open_task(recipe, start.model, data, val, teacher)
    if not isinstance(task, LiteTask):
        raise TypeError(f"a {type(task).__name__} of a recipe of lite")
    return quantized_task(task, start, recipe, ranges)


def refuse_recipe(recipe: Recipe) -> None:
    """Make sure that a recipe can be trained with fake quantisation, before all work.

    Raises:
        UsageError: it trains another model.
        ConfigError: a frozen backbone, or another precision.
    """
    if recipe.model.name != LITE or recipe.lite is None:
        raise UsageError(
            f"the recipe {recipe.name} cannot be trained with --qat",
            expected="a recipe of lite: only its INT8 graphs are known to the trainer",
            found=f"one of {recipe.model.name}",
            do=f"leave --qat out, or train {RECIPE}",
        )
    found = [
        text
        for text, wrong in (
            ("lite.freeze_backbone = true", recipe.lite.freeze_backbone),
            (f'run.precision = "{recipe.run.precision}"', recipe.run.precision != "float32"),
        )
        if wrong
    ]
    if found:
        raise ConfigError(
            f"the recipe {recipe.name} cannot be trained with --qat",
            expected="--train-backbone and --full-precision: the backbone is what INT8 rounds, and "
            "it rounds to numbers that bfloat16 does not have",
            found=", ".join(found),
            do=f"begin with the recipe {RECIPE}",
        )


def open_start(recipe: Recipe, first: FirstWeights, ranges: Path | None) -> FloatStart:
    """The float model to begin with: of a bundle, the shipped one by default, or a checkpoint.

    Args:
        recipe: of lite.
        first: `init` is a folder of a bundle or a checkpoint.
        ranges: whether ranges are given, which are a bundle's.

    Raises:
        UsageError: weights from elsewhere, options of the model, or ranges beside a checkpoint.
        BundleError, CheckpointError: what cannot be read.
    """
    if first.from_scratch or first.parts:
        raise UsageError(
            "--qat goes on from a trained model",
            expected="--init: a checkpoint or a bundle; without it, the shipped bundle",
            found="--from-scratch" if first.from_scratch else f"--weights {first.parts[0]}",
            do="leave that out",
        )
    init = first.init
    refuse_named_options(first, "--qat" if init is None else f"--init {init}")
    if init is not None and not init.is_dir():
        if ranges is not None:
            raise UsageError(
                "--ranges are of a bundle, and the run begins with a checkpoint",
                expected="--init: the bundle that was calibrated",
                found=f"--init {init}",
                do="give the bundle, or leave --ranges out: some samples are observed then",
            )
        model: Model = build_model(recipe, first)
        if not isinstance(model, Lite):
            raise TypeError(f"a {name_of(model)} of a recipe of lite")
        return FloatStart(model, None)
    from export.bundle_weights import lite_from_bundle

    bundle = Bundle.open(shipped_bundle_path() if init is None else init)
    return FloatStart(lite_from_bundle(bundle), bundle)


def quantized_task(
    task: LiteTask, start: FloatStart, recipe: Recipe, ranges: Path | None
) -> tuple[LiteTask, dict[str, Any]]:
    """The task with fake quantisation, and what its checkpoints' records say of it.

    Without another teacher the float model is its own, if the recipe wants one.

    Args:
        task: of `start.model`.
        start: from `open_start`.
        recipe: of lite.
        ranges: a file of the schema tilefix-ranges/1; None: the largest values of some samples.

    Raises:
        UsageError: the model has nothing to quantise.
        CalibrationError: ranges that cannot be read, or are of another model.
    """
    model = QuantizedLite(start.model)
    of = None if start.bundle is None else start.bundle.manifest
    note: dict[str, Any] = {
        "form": "symmetric int8 as int8+fp16 has it, straight-through",
        "start": "a checkpoint" if of is None else f"{of.name} {of.version}",
    }
    if ranges is not None and start.bundle is not None:
        found = Ranges.read(ranges)
        model.set_amax(convolution_amax(start.bundle, found))
        note |= {
            "method": found.method,
            "ranges_sha256": sha256_of(ranges),
            "selection_sha256": found.selection_sha256,
            "graph_sha256": found.graph_sha256,
        }
    else:
        observe(model, task, recipe.run.seed, recipe.run.batch)
        note["method"] = f"minmax of {BATCHES} batches of {recipe.run.batch}"
    quantised = copy.copy(task)
    quantised.model = model
    section = task.section
    if task.teacher is None and (section.distillation or section.agreement):
        quantised.teacher = copy.deepcopy(start.model).eval().requires_grad_(False)
    return quantised, {NOTE: {**note, "amax": model.amax}}
