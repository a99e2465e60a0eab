import shutil
from pathlib import Path

import pytest
import torch
from tiny_model import Squares, TinyModel

from edge.errors import ConfigError, DataError, UsageError
from training.checkpoints.weights import save_weights
from training.models import build
from training.models.strict_loading import load_strict
from training.recipes.reading import read_recipe, with_values
from training.recipes.schema import Recipe
from training.tasks.lite import LiteTask
from training.tasks.opening import (
    FirstWeights,
    build_model,
    open_sources,
    open_task,
    published_task,
)
from training.tasks.published import PublishedTask

SCRATCH = FirstWeights(from_scratch=True)
SMALL = {"model.options.frame_hw_px": [64, 64], "model.options.window_px": 128}
LITE = {f"model.options.{k}": 16 for k in ("width", "embedding", "hidden")}
LITE |= {"model.options.frame_px": 64, "lite.window_px": 128}


def recipe(name: str, **changes) -> Recipe:
    return with_values(read_recipe(name), changes, "a test")


def rendered(name: str, split: str = "all") -> Recipe:
    on_squares = {"data.set": "rendered", "data.train": split, "data.validate": split}
    return recipe(name, **SMALL, **on_squares, **{"run.batch": 4, "run.workers": 1})


def test_random_weights_depend_on_the_seed_alone() -> None:
    first, again = (build_model(recipe("lite", **LITE), SCRATCH).state_dict() for _ in range(2))
    other = build_model(recipe("lite", **LITE, **{"run.seed": 14}), SCRATCH).state_dict()
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["head.conf.weight"], other["head.conf.weight"])


def test_lite_starts_from_its_pretrained_backbone_unless_told_otherwise() -> None:
    pretrained = build_model(recipe("lite", **LITE), FirstWeights()).backbone.state_dict()
    random = build_model(recipe("lite", **LITE), SCRATCH).backbone.state_dict()
    assert not torch.equal(pretrained["_conv_stem.weight"], random["_conv_stem.weight"])


def test_a_published_model_asks_for_the_weights_that_its_recipe_starts_from(tmp_path) -> None:
    from training.models.resnet import ResNet18

    file = tmp_path / "resnet18.pth"
    tensors = {k.removeprefix("base_model."): v for k, v in ResNet18().state_dict().items()}
    tensors |= {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    torch.save(tensors, file)
    with pytest.raises(UsageError, match="starts from weights of others") as caught:
        build_model(recipe("detgeo_cvogl_drone"), FirstWeights(parts=(file,)))
    assert "none for darknet" in str(caught.value)
    assert "--from-scratch" in str(caught.value)
    alone = recipe("detgeo_cvogl_drone", **{"model.pretrained": ["resnet18"]})
    model = build_model(alone, FirstWeights(parts=(file,)))
    assert torch.equal(model.query_resnet.base_model.conv1.weight, tensors["conv1.weight"])


def test_few_shot_asks_for_a_checkpoint_and_takes_its_options(tmp_path) -> None:
    with pytest.raises(UsageError, match="goes on from trained weights"):
        build_model(recipe("ocgnet_fewshot"), FirstWeights())
    trained = build("lite", frame_px=64, window_px=128, width=16, embedding=16, hidden=16)
    save_weights(trained, tmp_path / "a.safetensors", {})
    model = build_model(recipe("lite"), FirstWeights(init=tmp_path / "a.safetensors"))
    assert model.options == trained.options
    load_strict(model, trained.state_dict(), "the same")
    with pytest.raises(UsageError, match="is of another model") as caught:
        build_model(recipe("ocgnet_fewshot"), FirstWeights(init=tmp_path / "a.safetensors"))
    assert "expected: ocgnet" in str(caught.value)
    with pytest.raises(UsageError, match="--init holds all weights"):
        build_model(recipe("lite"), FirstWeights(tmp_path / "a.safetensors", from_scratch=True))


def test_options_beside_a_checkpoint_are_refused_unless_they_are_the_recipes_own(tmp_path) -> None:
    file = tmp_path / "a.safetensors"
    trained = build("lite", frame_px=64, window_px=128, width=8, embedding=16, hidden=16)
    save_weights(trained, file, {})
    own = recipe("lite", **LITE)
    assert build_model(own, FirstWeights(file)).options.width == 8, "not the recipe's 16"
    with pytest.raises(UsageError, match="mean nothing beside --init"):
        build_model(own, FirstWeights(file, named_options=("--option width=16",)))


def test_the_first_held_out_sample_is_read_before_all_work(small_folder, tmp_path) -> None:
    """Of both kinds of models; the others are read when an epoch of training is over."""
    broken = tmp_path / "val"
    shutil.copytree(small_folder.path, broken)
    (broken / "000000_window.jpg").write_bytes(b"")
    lite = recipe("lite", **{"lite.freeze_backbone": False})
    for opened, model in (
        (lite, build_model(recipe("lite", **LITE), SCRATCH)),
        (rendered("mogeo_cvogl_drone"), TinyModel()),
    ):
        with pytest.raises(DataError, match=r"000000_window\.jpg"):
            open_task(opened, model, [small_folder.path], [broken])


def test_an_option_that_the_model_lacks_is_named() -> None:
    with pytest.raises(ConfigError, match="cannot be built") as caught:
        build_model(recipe("detgeo_cvogl_drone", **{"model.options.sgima": 1.0}), SCRATCH)
    assert "nearest: 'sigma'" in str(caught.value)


def test_data_of_a_split_come_from_every_root(small_folder) -> None:
    both = open_sources(rendered("detgeo_cvogl_drone"), [small_folder.path] * 2, "all")
    assert len(both) == 24
    assert (both.read(13).box_xyxy_px == small_folder.read(1).box_xyxy_px).all()
    with pytest.raises(IndexError):
        both.read(24)


def test_each_kind_of_model_gets_its_task(small_folder) -> None:
    lite = build_model(recipe("lite", **LITE, **{"lite.freeze_backbone": False}), SCRATCH)
    folders = [small_folder.path]
    task = open_task(recipe("lite", **{"lite.freeze_backbone": False}), lite, folders, folders)
    assert isinstance(task, LiteTask)
    assert len(task) == 12
    tiny = open_task(rendered("trogeo_cvogl_drone"), TinyModel(), folders)
    assert isinstance(tiny, PublishedTask)
    assert tiny.training.masks and not tiny.held_out.masks
    assert tiny.training.augment is not None and tiny.held_out.augment is None
    assert tiny.training.whole_pixel_boxes and tiny.held_out.whole_pixel_boxes
    beside = open_task(rendered("mogeo_cvogl_drone"), TinyModel(), folders, folders)
    assert isinstance(beside, PublishedTask)
    assert not beside.training.masks


def test_data_without_the_split_and_a_stray_val_are_refused(tmp_path, small_folder) -> None:
    (tmp_path / "CVOGL_DroneAerial").mkdir()
    with pytest.raises(DataError, match="no split 'train'"):
        open_task(recipe("detgeo_cvogl_drone"), TinyModel(), [tmp_path])
    with pytest.raises(DataError, match="does not hold cvogl_svi"):
        open_task(recipe("detgeo_cvogl_svi"), TinyModel(), [tmp_path])
    with pytest.raises(DataError, match="holds no rendered samples"):
        open_task(rendered("detgeo_cvogl_drone", "train"), TinyModel(), [small_folder.path])
    with pytest.raises(UsageError, match="--val means nothing"):
        open_task(recipe("detgeo_cvogl_drone"), TinyModel(), [Path("a")], [Path("b")])


def test_one_object_for_both_splits_is_refused_before_it_is_read() -> None:
    with pytest.raises(ValueError, match="open them apart"):
        published_task(recipe("detgeo_cvogl_drone"), TinyModel(), both := Squares(2), both)
