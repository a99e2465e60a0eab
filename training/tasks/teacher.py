"""The larger model that a student of `lite` learns from beside the labels."""

from __future__ import annotations

from pathlib import Path

from edge.errors import UsageError
from training.checkpoints.weights import load_weights
from training.datasets.feature_cache import backbone_id
from training.models import Model
from training.models.lite import Lite
from training.recipes.schema import Recipe

# Both maps are compared cell by cell and anchor by anchor.
SHARED_OPTIONS = ("stride_px", "anchors_wh_px", "frame_hw_px")


def open_teacher(recipe: Recipe, student: Model, checkpoint: Path | None) -> Lite | None:
    """The teacher of a recipe with distillation; None for a recipe without.

    Raises:
        UsageError: a teacher without a recipe for it, or the other way round; a teacher whose grid
            is another, or whose backbone, where cached features of one are read.
        CheckpointError: a file that cannot be read.
    """
    weight = 0.0 if recipe.lite is None else recipe.lite.distillation
    if (weight > 0) != (checkpoint is not None):
        raise UsageError(
            f"the recipe {recipe.name} and --teacher do not fit together",
            expected="lite.distillation above 0, and --teacher",
            found=f"lite.distillation = {weight:g}, --teacher {checkpoint or 'not given'}",
            do="train by the recipe lite_distilled, or leave --teacher out; lite_qat needs --qat",
        )
    if checkpoint is None or recipe.lite is None:
        return None
    teacher, _ = load_weights(checkpoint)
    if not isinstance(teacher, Lite) or not isinstance(student, Lite):
        raise UsageError(
            "only a lite can teach, and only a lite can be taught",
            expected="checkpoints of lite on both sides",
            found=f"a {type(teacher).__name__} for a {type(student).__name__}",
            do="give --teacher a checkpoint of `tilefix train lite_large`",
        )
    if recipe.lite.freeze_backbone and backbone_id(teacher.backbone) != backbone_id(
        student.backbone
    ):
        raise UsageError(
            f"the teacher {checkpoint} cannot read the features that its student trains from",
            expected="the same frozen backbone in both, or --train-backbone",
            found="two backbones, and lite.freeze_backbone = true",
            do="train both from one --init, or add --train-backbone",
        )
    unlike = [
        f"{name} {getattr(teacher.options, name)}, not {getattr(student.options, name)}"
        for name in SHARED_OPTIONS
        if getattr(teacher.options, name) != getattr(student.options, name)
    ]
    if unlike:
        raise UsageError(
            f"the teacher {checkpoint} has other cells than its student",
            expected=f"the same {', '.join(SHARED_OPTIONS)}",
            found="; ".join(unlike),
            do="train the teacher with the student's options for these",
        )
    return teacher
