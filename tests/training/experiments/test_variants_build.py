"""Every row of every experiment is a model that can be built, and differs by what it says.

On the meta device and on shallow backbones: no row changes a backbone, so that differences between
rows are those of the whole models.
"""

from collections.abc import Iterator

import msgspec
import pytest
import torch
from quick_weights import quick_random_weights
from small_backbones import shallow_backbones
from torch import nn

from training.experiments import ablation, few_shot, sigma_sweep
from training.models import build, name_of
from training.recipes.reading import read_recipe, recipe_names, with_values
from training.recipes.schema import Recipe

CAB = 789_760  # one cross-attention block of width 256: attention 263,168, two norms, 256-1024-256
CVCAM = 9 * CAB
MHSAM = sum(2 * 256 * 512 * side**2 + 512 + 256 for side in (1, 3, 5))
# DetGeo's mappings of both views and its head, from 512 channels to 256: convolutions and norms
NARROWER = 2 * (512 * 256 + 2 * 256) + 256 * 256
# model -> row -> how many parameters more than the whole model
DIFFERENCES = {
    "detgeo": {
        "CVCAM for the cosine fusion": CVCAM - NARROWER,
        "with MHSAM": MHSAM - NARROWER,
    },
    "ocgnet": {
        "without LE": -(2 * 8 * 8 + 2),
        "without MHCA": -4 * (512 * 512 + 512),
        "without GKT": 0,
    },
    "attengeo": {
        "without CVCAM": -CVCAM,
        "without MHSAM": -MHSAM,
        "without both": -CVCAM - MHSAM,
    },
    "mogeo": {
        "without L_s": 0,
        "without CVMF": -256,  # the gate's channel before the head
        "without MOPE": 4 * 3 + 2 * 3 - 512,  # the drawn click's channel, for the mask's
    },
    "trogeo": {"without masks": 0},
}
PUBLISHED = [name for name in recipe_names() if read_recipe(name).model.name in ablation.PARTS]


@pytest.fixture(scope="module", autouse=True)
def shallow() -> Iterator[None]:
    with quick_random_weights(), shallow_backbones(), torch.device("meta"):
        yield


def made(recipe: Recipe) -> nn.Module:
    return build(recipe.model.name, **recipe.model.options)


def size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_rows_of_an_ablation_differ_by_the_part_that_is_left_out(name: str) -> None:
    recipe = read_recipe(name)
    rows = ablation.plan(recipe)
    models = {row.label: made(row.recipe) for row in rows}
    whole = models.pop(ablation.WHOLE)
    assert name_of(whole) == recipe.model.name
    found = {label: size(model) - size(whole) for label, model in models.items()}
    assert found == DIFFERENCES[recipe.model.name]
    for row in rows:
        built = (whole if row.label == ablation.WHOLE else models[row.label]).options
        for key, value in row.recipe.model.options.items():
            assert getattr(built, key) == msgspec.convert(value, type(getattr(built, key)))


def test_rows_without_fewer_parameters_differ_all_the_same() -> None:
    rows = {r.label: r.recipe for r in ablation.plan(read_recipe("ocgnet_cvogl_drone"))}
    encodings = {label: made(recipe).click_map.encoding.value for label, recipe in rows.items()}
    assert encodings["without GKT"] == "squared-distance"
    assert encodings["whole"] == "gaussian"
    for name, gone in (("mogeo", {"object_similarity"}), ("trogeo", {"mask_bce", "mask_dice"})):
        whole, without = (
            {str(term.__struct_config__.tag) for term in row.recipe.loss}
            for row in ablation.plan(read_recipe(f"{name}_cvogl_drone"))[:2]
        )
        assert whole - without == gone


SWEPT = [(name, {}) for name in PUBLISHED if read_recipe(name).model.name == "ocgnet"]
SWEPT += [("detgeo_cvogl_svi", {"click_encoding": kind}) for kind in ("gaussian", "hybrid")]
SWEPT += [("mogeo_cvogl_drone", {"mope": False, "click_encoding": "laplacian"})]


@pytest.mark.parametrize(("name", "options"), SWEPT, ids=lambda value: str(value))
def test_rows_of_a_sweep_draw_their_own_sigma(name: str, options: dict) -> None:
    changes = {f"model.options.{key}": value for key, value in options.items()}
    recipe = with_values(read_recipe(name), changes, "test")
    rows = sigma_sweep.plan(recipe, (0.05, 0.1, 0.15), learnable=True)
    models = [made(row.recipe) for row in rows]
    assert [m.click_map.fixed_sigma for m in models] == [0.05, 0.1, 0.15, 0.1]
    assert [size(m) - size(models[0]) for m in models] == [0, 0, 0, 1]
    assert [m.click_map.log_sigma is None for m in models] == [True, True, True, False]


def test_rows_of_few_shots_are_one_model() -> None:
    rows = few_shot.plan(read_recipe("ocgnet_fewshot"), few_shot.DEFAULT_SHOTS)
    assert len({str(row.recipe) for row in rows}) == 1
    assert made(rows[0].recipe).click_map.fixed_sigma == 0.075
