import dataclasses
from pathlib import Path

import msgspec
import pytest

from edge.errors import ConfigError
from training.augmentation.named import augmentation
from training.datasets.registry import find_kind
from training.losses.total import TERMS, term
from training.models import options_class
from training.recipes.reading import (
    FOLDER,
    parse_changes,
    parse_recipe,
    read_recipe,
    recipe_names,
    with_values,
)
from training.tasks.opening import PARTS

NAMES = recipe_names()
TEXT = (FOLDER / "detgeo_cvogl_drone.toml").read_text()


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_recipe(text, "mine.toml")
    return str(caught.value)


def test_there_is_one_for_each_published_experiment() -> None:
    models = ("detgeo", "ocgnet", "attengeo", "mogeo", "trogeo")
    wanted = {f"{m}_{s}" for m in models for s in ("cvogl_drone", "cvogl_svi")}
    wanted |= {"mogeo_cmlocation_v1", "mogeo_cmlocation_v2", "attengeo_g2d", "ocgnet_fewshot"}
    assert set(NAMES) == wanted | {"lite", "lite_whole", "lite_large", "lite_distilled", "lite_qat"}


@pytest.mark.parametrize("name", NAMES)
def test_each_reads_and_is_named_as_its_file(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.name == name
    assert recipe.model.name == name.split("_")[0]
    if recipe.model.name != "lite":
        assert recipe.model.options["window_px"] == 1024
        high, wide = recipe.model.options["frame_hw_px"]
        drone = recipe.data.set.startswith("cvogl_drone") or recipe.data.set == "cvogl_fewshot"
        assert (high, wide) == (256, 256 if drone else 512)
        assert "softmax_confidence" in [t.__struct_config__.tag for t in recipe.loss]


@pytest.mark.parametrize("name", NAMES)
def test_each_names_what_there_is(name: str) -> None:
    recipe = read_recipe(name)
    msgspec.convert(recipe.model.options, options_class(recipe.model.name))
    known = [f.name for f in dataclasses.fields(options_class(recipe.model.name))]
    assert set(recipe.model.options) <= set(known)
    kind = find_kind(recipe.data.set)
    assert augmentation(recipe.data.augmentation).name == recipe.data.augmentation
    if kind.whole:
        assert {recipe.data.train, recipe.data.validate, recipe.data.test} <= set(kind.whole)
    if recipe.model.name != "lite":
        assert set(recipe.model.pretrained) <= set(PARTS)


def test_detgeo_is_trained_as_its_code_does() -> None:
    recipe = read_recipe("detgeo_cvogl_drone")
    assert (recipe.run.epochs, recipe.run.batch, recipe.run.seed) == (25, 12, 13)
    optimizer, schedule = recipe.optimizer, recipe.schedule
    assert (optimizer.name, optimizer.learning_rate) == ("rmsprop", 1e-4)
    assert optimizer.weight_decay == 5e-4
    assert (schedule.name, schedule.every_epochs, schedule.factor) == ("step", 10, 0.1)
    assert recipe.loss == (term("softmax_confidence"), term("box_mse"))


def test_trogeos_mask_terms_weigh_two_times_their_mixture() -> None:
    recipe = read_recipe("trogeo_cvogl_svi")
    weights = {t.__struct_config__.tag: t.weight for t in recipe.loss}
    assert (weights["mask_bce"], weights["mask_dice"]) == pytest.approx((2 * 0.2, 2 * 0.8))
    assert recipe.run.seed == 2024
    assert recipe.optimizer.weight_decay == 0


def test_all_losses_are_used_or_known() -> None:
    used = {t.__struct_config__.tag for n in NAMES for t in read_recipe(n).loss}
    assert used <= set(TERMS)


def test_ones_own_recipe_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TEXT.replace("epochs = 25", "epochs = 3"))
    assert read_recipe(str(path)).run.epochs == 3


@pytest.mark.parametrize(
    ("right", "wrong", "near"),
    [
        ("epochs = 25", "epohcs = 25", "write `run.epochs`"),
        ("learning_rate = 1e-4", "learning_rte = 1e-4", "write `optimizer.learning_rate`"),
        ("weight = 1.0 # beta", "wieght = 1.0", "write `loss.weight`"),
        ("[schedule]", "[shedule]", "write `schedule`"),
        ("whole_pixel_boxes", "whole_pixel_bxes", "write `data.whole_pixel_boxes`"),
        ('name = "box_mse"', 'name = "box_msse"', 'write name = "box_mse"'),
    ],
)
def test_an_unknown_key_names_the_nearest(right: str, wrong: str, near: str) -> None:
    assert right in TEXT
    text = refused(TEXT.replace(right, wrong))
    assert "mine.toml" in text
    assert near in text


@pytest.mark.parametrize(
    ("right", "wrong", "found"),
    [
        ("epochs = 25", 'epochs = "many"', "`int`, got `str`"),
        ("epochs = 25", "epochs = 0", "run.epochs"),
        ('name = "rmsprop"', 'name = "sgdd"', "sgdd"),
        ("epochs = 25\n", "", "missing required field `epochs`"),
        ("tilefix-recipe/1", "tilefix-recipe/9", "has another schema"),
        ("[data]", "[data", "is not TOML"),
        ('name = "box_mse"', 'name = "softmax_confidence"', "each term once"),
        ("[run]", "[run]\nema_decay = 1.5", "run.ema_decay"),
        ("seed = 13", "seed = -1", "run.seed"),
        ("seed = 13", "seed = 18446744073709551616", "run.seed"),
        ('name = "detgeo"\n', 'name = "lite"\n', "lite has its own"),
        ("[[loss]]", "[lite]\n[[loss]]", "no section [lite]"),
    ],
)
def test_what_cannot_be_meant_is_refused(right: str, wrong: str, found: str) -> None:
    assert right in TEXT
    assert found in refused(TEXT.replace(right, wrong, 1))


def test_values_are_replaced_and_checked_again() -> None:
    recipe = read_recipe("ocgnet_cvogl_drone")
    changes = parse_changes(["run.epochs=3", "model.options.sigma = 0.1", "optimizer.name=adam"])
    changed = with_values(recipe, changes, "of --set")
    assert (changed.run.epochs, changed.optimizer.name) == (3, "adam")
    assert changed.model.options["sigma"] == 0.1
    assert recipe.model.options["sigma"] == 0.075
    assert changed.loss == recipe.loss
    for text, near in (
        ("run.epohcs=3", "write `run.epochs`"),
        ("rnu.epochs=3", "write `run`"),
        ("lite.preload=true", "does not train lite"),
    ):
        with pytest.raises(ConfigError) as caught:
            with_values(recipe, parse_changes([text]), "of --set")
        assert near in str(caught.value)
    for text in ("run.epochs", "epochs=3"):
        with pytest.raises(ConfigError, match="changes nothing"):
            parse_changes([text])
    with pytest.raises(ConfigError, match=r"run\.epochs"):
        with_values(recipe, {"run.epochs": -1}, "of --set")


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="write detgeo_cvogl_drone if"):
        read_recipe("detgeo_cvogl_dron")
    with pytest.raises(ConfigError, match="there is no recipe"):
        read_recipe("no/such/file.toml")
