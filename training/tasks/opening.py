"""From a recipe, data and first weights to a task that can be trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from edge.errors import ConfigError, UsageError
from training.augmentation.named import augmentation
from training.batches.lite import Collection
from training.batches.samples import SampleReader
from training.checkpoints.start import starting_model
from training.datasets.joined import Joined
from training.datasets.own_check import RENDERED
from training.datasets.pair_folder import PairFolder
from training.datasets.registry import open_dataset
from training.datasets.sample import SampleSource
from training.models import Model, build, name_of
from training.models.contract import CrossViewModel
from training.models.lite import Lite
from training.recipes.schema import Recipe
from training.tasks.first_weights import FirstWeights, refuse_named_options
from training.tasks.lite import LiteTask
from training.tasks.published import PublishedTask
from training.tasks.task import Task

# What a recipe calls the parts that start from weights of others -> how `import_weights` does
PARTS = {
    "resnet18": "ResNet-18",
    "darknet": "YOLOv3",
    "convnextv2_tiny": "ConvNeXt V2-Tiny",
    "convnext_tiny": "ConvNeXt-Tiny",
    "swin_small": "Swin-S",
}


def build_model(recipe: Recipe, first: FirstWeights) -> Model:
    """The recipe's model with its first weights; random ones depend on the seed alone.

    Raises:
        ConfigError: options that the model refuses.
        UsageError: first weights are missing or contradict each other.
        CheckpointError: weights that cannot be read, or are of another model.
    """
    torch.manual_seed(recipe.run.seed)
    if first.init is not None:
        return _from_checkpoint(recipe, first, first.init)
    if recipe.needs_checkpoint and not first.from_scratch:
        raise UsageError(
            f"{recipe.name} goes on from trained weights",
            expected=f"--init: a checkpoint of {recipe.model.name}",
            found="none",
            do="train one first, import one with `tilefix import-checkpoint`, or add "
            "--from-scratch to do without",
        )
    try:
        model = build(recipe.model.name, **recipe.model.options)
    except ValueError as error:
        raise ConfigError(
            f"the recipe {recipe.name} describes a model that cannot be built",
            expected="a model of tilefix with options that it takes",
            found=str(error),
            do="correct [model]",
        ) from error
    if first.from_scratch:
        return model
    if isinstance(model, Lite):
        model.backbone.load_pretrained()
        return model
    _load_parts(model, recipe, first.parts)
    return model


def open_sources(recipe: Recipe, data: Sequence[Path], split: str) -> SampleSource:
    """The samples of a split, below each root in turn.

    Raises:
        UsageError: an unknown data set.
        DataError: it is not there, or its list breaks the format.
    """
    sources = tuple(open_dataset(recipe.data.set, root, split) for root in data)
    return sources[0] if len(sources) == 1 else Joined(sources)


def published_task(
    recipe: Recipe, model: CrossViewModel, training: SampleSource, held_out: SampleSource
) -> PublishedTask:
    """The task of a published model on any samples; the first held-out one is looked at.

    Raises:
        DataError: it cannot be read, or is of another size than the model's.
        ValueError: training and held-out samples are one object, so that only one would be changed.
    """
    if training is held_out:
        raise ValueError("training and held-out samples are one object: open them apart")
    options = model.options
    masks = any(str(t.__struct_config__.tag).startswith("mask_") for t in recipe.loss)
    readers = [
        SampleReader(
            source,
            options.frame_hw_px,
            options.window_px,
            augment=augmentation(recipe.data.augmentation) if source is training else None,
            whole_pixel_boxes=recipe.data.whole_pixel_boxes,
            masks=masks and source is training,
            workers=recipe.run.workers,
        )
        for source in (training, held_out)
    ]
    if len(held_out):  # else an epoch is trained before anyone looks
        readers[1].read(0, np.random.default_rng(recipe.run.seed))
    return PublishedTask(
        model,
        *readers,
        recipe.loss,
        validation_batch=max(1, recipe.run.batch // recipe.run.accumulate),
        precision=recipe.run.precision,
    )


def refuse_stray_val(recipe: Recipe, val: Sequence[Path]) -> None:
    """Make sure that held-out folders mean something, before a model is built.

    Raises:
        UsageError: `val` for another data set than rendered samples.
    """
    if val and recipe.data.set != RENDERED:
        raise UsageError(
            f"--val means nothing to the data set {recipe.data.set}",
            expected="--data ROOT alone: its splits lie below it",
            found=f"--val {val[0]}",
            do="leave out --val",
        )


def open_task(
    recipe: Recipe,
    model: Model,
    data: Sequence[Path],
    val: Sequence[Path] = (),
    teacher: Lite | None = None,
) -> Task:
    """The task of a recipe.

    Args:
        recipe: with the name of the data set and its splits.
        model: from `build_model`.
        data: its roots; with `val`, rendered folders themselves.
        val: held-out rendered folders.
        teacher: from `training.tasks.teacher.open_teacher`; lite alone can have one.

    Raises:
        UsageError: `val` for another data set than rendered samples.
        DataError: data that are not there, or break their format, the first held-out sample too.
    """
    refuse_stray_val(recipe, val)
    if isinstance(model, Lite):
        return _lite_task(recipe, model, data, val, teacher)
    if val:
        parts = [Joined(tuple(PairFolder.open(p) for p in paths)) for paths in (data, val)]
        return published_task(recipe, model, *parts)
    return published_task(
        recipe,
        model,
        open_sources(recipe, data, recipe.data.train),
        open_sources(recipe, data, recipe.data.validate),
    )


def _lite_task(
    recipe: Recipe,
    model: Lite,
    data: Sequence[Path],
    val: Sequence[Path],
    teacher: Lite | None,
) -> LiteTask:
    section = recipe.lite
    if section is None or recipe.data.set != RENDERED:
        raise ConfigError(
            f"the recipe {recipe.name} cannot train lite",
            expected=f'a section [lite], and set = "{RENDERED}"',
            found=f'set = "{recipe.data.set}"',
            do="begin with the recipe lite",
        )
    splits = (recipe.data.train, recipe.data.validate)
    folders = (
        [[PairFolder.open(p) for p in paths] for paths in (data, val)]
        if val
        else [[PairFolder.open_split(root, split) for root in data] for split in splits]
    )
    frozen = model.backbone if section.freeze_backbone else None
    collections = [Collection.open(f, frozen, section.preload) for f in folders]
    if len(collections[1]):  # as of a published model
        collections[1].look(0)
    return LiteTask(
        model,
        *collections,
        section,
        validation_batch=recipe.run.batch,
        precision=recipe.run.precision,
        teacher=teacher,
    )


def _from_checkpoint(recipe: Recipe, first: FirstWeights, init: Path) -> Model:
    if first.parts or first.from_scratch:
        raise UsageError(
            "--init holds all weights",
            expected="--init alone",
            found=f"--weights {first.parts[0]}" if first.parts else "--from-scratch",
            do="leave one out",
        )
    refuse_named_options(first, f"--init {init}")
    model = starting_model(init)
    if name_of(model) != recipe.model.name:
        raise UsageError(
            f"{init} is of another model than the recipe {recipe.name}",
            expected=recipe.model.name,
            found=name_of(model),
            do="give another checkpoint or another recipe",
        )
    return _deepened(model, first) if first.deepen else model


def _deepened(model: Model, first: FirstWeights) -> Lite:
    from training.models.deepening import DEPTHS, deepened

    try:
        if not isinstance(model, Lite):
            raise ValueError(f"{name_of(model)} cannot grow")
        return deepened(model, dict(first.deepen))
    except ValueError as error:
        raise UsageError(
            f"{first.init} cannot be deepened",
            expected=f"a lite, and as many blocks of {' or '.join(DEPTHS)} as it has, or more",
            found=str(error),
            do="correct --deepen",
        ) from error


def _load_parts(model: CrossViewModel, recipe: Recipe, files: Sequence[Path]) -> None:
    from training.checkpoints.importing import backbones_of, import_weights

    loaded = [import_weights(model, file).part for file in files]
    wanted = _wanted_parts(recipe.model.pretrained, backbones_of(model))
    missing = [
        part
        for part in wanted
        if not any(text.startswith(f"{PARTS.get(part, part)} ") for text in loaded)
    ]
    if missing:
        raise UsageError(
            f"{recipe.name} starts from weights of others",
            expected=f"--weights for each of: {', '.join(wanted)}",
            found=f"none for {', '.join(missing)}",
            do="give the files (python -m pydoc training.checkpoints.importing says which), or add "
            "--from-scratch to do without",
        )


def _wanted_parts(named: Sequence[str], held: Sequence[str]) -> list[str]:
    """A recipe's parts; a query backbone that an option has replaced by another is that one."""
    stay = {*named, "darknet"}  # which no option puts in another's place
    others = iter(part for part, title in PARTS.items() if title in held and part not in stay)
    return [p if PARTS.get(p, p) in held else next(others, p) for p in named]


def describe(first: FirstWeights, data: Sequence[Path]) -> dict[str, object]:
    """What besides the recipe shapes a run, for its folder; paths whole, however they are typed."""
    grown = {"deepen": dict(first.deepen)} if first.deepen else {}
    return {
        "data": [str(path.resolve()) for path in data],
        "init": None if first.init is None else str(first.init.resolve()),
        "weights": [str(path.resolve()) for path in first.parts],
        "from_scratch": first.from_scratch,
        "teacher": None if first.teacher is None else str(first.teacher.resolve()),
        **grown,
    }
