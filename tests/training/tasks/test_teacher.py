import numpy as np
import pytest
import torch

from edge.errors import UsageError
from training.batches.lite import Collection
from training.checkpoints.weights import load_weights, save_weights
from training.datasets.feature_cache import FeatureCache
from training.models import build
from training.models.deepening import deepened
from training.models.lite import Lite
from training.recipes.reading import read_recipe, with_values
from training.tasks.lite import LiteTask
from training.tasks.teacher import open_teacher
from training.trainer.loop import train

SIZES = {"frame_px": 64, "window_px": 128, "width": 16, "embedding": 16, "hidden": 16}
RECIPE = with_values(
    read_recipe("lite_distilled"),
    {
        "run.epochs": 1,
        "run.batch": 6,
        "run.precision": "float32",
        "schedule.warmup_steps": 1,
        "lite.window_px": 128,
        "lite.turn_pictures": False,
    },
    "a test",
)


def lite(seed: int, **options) -> Lite:
    torch.manual_seed(seed)
    return build("lite", **{**SIZES, **options})


@pytest.fixture
def larger(tmp_path):
    save_weights(lite(1, width=32, hidden=24), tmp_path / "teacher.safetensors", {})
    return tmp_path / "teacher.safetensors"


def test_a_student_learns_from_a_larger_model_that_stays_as_it_is(small_folder, larger, tmp_path):
    pictures = Collection.open([small_folder], preload=True)
    student = lite(0)
    teacher = open_teacher(RECIPE, student, larger)
    assert teacher is not None and teacher.options.width == 32
    task = LiteTask(student, pictures, pictures, RECIPE.lite, validation_batch=6, teacher=teacher)
    lines = []
    train(task, RECIPE, tmp_path / "run", report=lines.append)
    first = next(line for line in lines if "distillation" in line)
    parts = first["confidence"] + 2 * first["box"] + 0.5 * first["similarity"]
    assert first["distillation"] > 0
    assert first["loss"] == pytest.approx(parts + first["distillation"], rel=1e-4)
    stored = load_weights(larger)[0].state_dict()
    kept = teacher.state_dict()
    assert all(torch.equal(stored[name], kept[name]) for name in stored)  # batch norms too


def test_the_recipes_of_teacher_and_student_fit_together():
    student = build("lite", **read_recipe("lite_distilled").model.options)
    teacher = build("lite", **read_recipe("lite_large").model.options)
    for name in ("stride_px", "anchors_wh_px", "frame_hw_px"):
        assert getattr(student.options, name) == getattr(teacher.options, name)
    counts = [sum(p.numel() for p in model.parameters()) for model in (student, teacher)]
    assert counts[1] > 1.3 * counts[0]


@pytest.mark.parametrize(
    ("changes", "given", "said"),
    [
        ({}, False, "--teacher not given"),
        ({"lite.distillation": 0.0}, True, "lite.distillation = 0"),
        ({"lite.freeze_backbone": True}, True, "two backbones, and lite.freeze_backbone = true"),
    ],
)
def test_a_recipe_and_a_teacher_that_do_not_fit_are_refused(larger, changes, given, said):
    recipe = with_values(RECIPE, changes, "a test")
    with pytest.raises(UsageError, match=said):
        open_teacher(recipe, lite(0), larger if given else None)


def test_a_teacher_with_other_cells_is_refused(tmp_path):
    path = tmp_path / "teacher.safetensors"
    save_weights(lite(1, stride_px=16), path, {})
    with pytest.raises(UsageError, match="stride_px 16, not 8"):
        open_teacher(RECIPE, lite(0), path)
    save_weights(lite(1, frame_height_px=48), path, {})
    with pytest.raises(UsageError, match=r"frame_hw_px \(48, 64\), not \(64, 64\)"):
        open_teacher(RECIPE, lite(0), path)


def test_a_deeper_teacher_reads_the_cached_features_of_its_student(small_folder, tmp_path):
    """Both stand on one frozen backbone; a teacher that has not trained yet agrees with it."""
    student = lite(0).eval()
    path = tmp_path / "deeper.safetensors"
    save_weights(deepened(student, {"reference_depth": 4}), path, {})
    recipe = with_values(RECIPE, {"lite.freeze_backbone": True, "lite.labels": 0.0}, "a test")
    teacher = open_teacher(recipe, student, path)
    FeatureCache.build(small_folder, student.backbone)
    features = Collection.open([small_folder], student.backbone)
    task = LiteTask(student, features, features, recipe.lite, validation_batch=6, teacher=teacher)
    with torch.no_grad():
        losses = task.losses(task.batch([0, 1, 2], np.random.default_rng(0)))
    assert abs(float(losses["distillation"])) < 1e-6
    assert float(losses["confidence"]) > 0
