import math
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import msgspec
import numpy as np
import pytest
import torch
from asked_experiments import call, on_squares, written
from matplotlib.axes import Axes
from tiny_model import TinyModel
from torch import Tensor

from edge.errors import ConfigError, UsageError
from training.checkpoints.weights import load_weights
from training.evaluation.summaries import LEARNT_SIGMA, Outcome, summarise
from training.experiments.sigma_sweep import plan, swept_option
from training.models.click_maps import ClickMap, ClickMapOptions
from training.models.contract import Clicks, HeadMaps
from training.recipes.reading import read_recipe, with_values
from training.recipes.schema import Recipe


def recipe_of(name: str, **options: object) -> Recipe:
    changes = {f"model.options.{key}": value for key, value in options.items()}
    return with_values(read_recipe(name), changes, "test")


def test_sigmas_are_swept_in_order_and_one_may_be_learnt() -> None:
    recipe = read_recipe("ocgnet_cvogl_drone")
    rows = plan(recipe, (0.1, 0.05, 0.2), learnable=True)
    options = [v.recipe.model.options for v in rows]
    assert [o["sigma"] for o in options] == [0.05, 0.1, 0.2, 0.1]
    assert [o.get("learnable_sigma", False) for o in options] == [False] * 3 + [True]
    assert [v.x for v in rows] == [0.05, 0.1, 0.2, None]
    assert [v.x_is_learnt for v in rows] == [False] * 3 + [True]


@pytest.mark.parametrize("wrong", [-1, 0, math.nan, math.inf, 0.1, 0.1000000001])
def test_sigmas_are_different_positive_numbers(wrong: float) -> None:
    with pytest.raises(UsageError, match="cannot be swept") as caught:
        plan(read_recipe("ocgnet_cvogl_drone"), (0.1, wrong), learnable=False)
    assert caught.value.found.startswith("0.1, ")


def test_a_sigma_that_is_no_number_is_refused_by_the_command(tmp_path) -> None:
    command = ("sigma-sweep", "ocgnet_cvogl_drone", "--data", tmp_path, "--out", tmp_path / "out")
    assert isinstance(call(*command, "--sigma", "nan").exception, UsageError)


def test_the_model_is_asked_and_not_the_text_of_the_recipe() -> None:
    recipe = read_recipe("ocgnet_cvogl_drone")
    options = {k: v for k, v in recipe.model.options.items() if k != "click_encoding"}
    silent = replace(recipe, model=replace(recipe.model, options=options))
    assert swept_option(silent) == "sigma", "OCGNet's default is the Gaussian"
    assert swept_option(recipe_of("ocgnet_cvogl_drone", click_encoding="hybrid")) == "hybrid_sigma"
    drawing = recipe_of("mogeo_cvogl_drone", mope=False, click_encoding="laplacian")
    assert swept_option(drawing) == "sigma"


@pytest.mark.parametrize(
    ("name", "options", "found", "do"),
    [
        (
            "detgeo_cvogl_drone",
            {},
            "detgeo with click_encoding = squared-distance",
            "add --option click_encoding=gaussian",
        ),
        (
            "mogeo_cvogl_drone",
            {},
            "mogeo with no click map",
            "add --option mope=false and --option click_encoding=gaussian",
        ),
        ("lite", {}, "lite with no click map", "take an ocgnet recipe"),
    ],
)
def test_a_model_without_a_sigma_is_refused(name, options, found, do) -> None:
    with pytest.raises(UsageError, match="without a sigma") as caught:
        plan(recipe_of(name, **options), (0.1,), learnable=False)
    assert caught.value.found == found
    assert do in caught.value.do


def test_a_mogeo_with_mope_is_refused_whatever_it_says_of_clicks() -> None:
    """Its recipe may name a click map that the model never draws."""
    recipe = recipe_of("mogeo_cvogl_drone", click_encoding="gaussian")
    with pytest.raises((UsageError, ConfigError)):
        plan(recipe, (0.05, 0.1), learnable=False)


def test_a_recipe_that_learns_its_sigma_is_refused() -> None:
    recipe = recipe_of("ocgnet_cvogl_drone", learnable_sigma=True)
    with pytest.raises(UsageError, match="learns its sigma") as caught:
        plan(recipe, (0.1,), learnable=True)
    assert "--option learnable_sigma=false" in caught.value.do


def test_a_model_that_cannot_be_built_is_an_error_of_the_recipe() -> None:
    with pytest.raises(ConfigError, match="cannot be built") as caught:
        plan(recipe_of("ocgnet_cvogl_drone", click_encoding="gausian"), (0.1,), learnable=False)
    assert "gausian" in caught.value.found


# --- which sigma was learnt ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DrawnOptions(ClickMapOptions):
    anchors_wh_px: tuple[tuple[float, float], ...] = ((24.0, 30.0), (12.0, 12.0))
    window_px: int = 128
    frame_hw_px: tuple[int, int] = (64, 64)


class Drawn(TinyModel):
    """The tiny model, but cells of the frame count by what is drawn there."""

    name: ClassVar[str] = "drawn"

    def __init__(self, **options: object) -> None:
        super().__init__()
        known = [f.name for f in fields(DrawnOptions)]
        kept = {k: v for k, v in options.items() if k in known}
        self.options = msgspec.convert(kept, DrawnOptions)
        self.click_map = ClickMap(self.options)

    def fuse(self, frame: Tensor, reference: Tensor, clicks: Clicks) -> HeadMaps:
        queries = self.body(frame / 255 - 0.5)
        drawn = self.click_map(clicks.xy_px, frame.shape[2:])
        weight = torch.nn.functional.avg_pool2d(drawn, 16)
        q = (queries[clicks.frame] * weight).sum((2, 3))
        v = q[:, :, None, None] * reference[clicks.window]
        similarity = v.sum(1)
        return HeadMaps(self.head(v).unflatten(1, (2, 5)), similarity, similarity)


def test_the_learnt_sigma_is_in_the_results_the_table_and_the_plot(
    small_folder, tmp_path, monkeypatch
) -> None:
    for place in ("training.tasks.opening", "training.checkpoints.weights"):
        monkeypatch.setattr(f"{place}.build", lambda name, **options: Drawn(**options))
    drawn: dict[str, list[float]] = {}
    plain = Axes.errorbar

    def errorbar(axis, x, *arguments, label, **named):
        drawn[label] = list(x)
        return plain(axis, x, *arguments, label=label, **named)

    monkeypatch.setattr(Axes, "errorbar", errorbar)
    out = tmp_path / "sweep"
    command = ("sigma-sweep", "ocgnet_cvogl_drone", "--from-scratch", "--sigma", 0.1, "--learnable")
    command += on_squares(small_folder, out)
    done = call(*command)
    assert done.exit_code == 0, done.exception
    fixed, learnt = written(out)["rows"]
    model, _ = load_weights(out / "runs" / "learnt-from-0.1-13" / "best.safetensors")
    sigma = math.exp(model.click_map.log_sigma.item())
    assert sigma != pytest.approx(0.1, abs=1e-5), "it was trained"
    assert learnt["x"] == learnt["mean"]["learnt_sigma"] == pytest.approx(sigma, rel=1e-6)
    assert fixed["x"] == 0.1 and "learnt_sigma" not in fixed["mean"]
    table = (out / "table.txt").read_text()
    cells = " ".join(x.split("│")[1].strip() for x in table.splitlines() if "│" in x)
    assert f"learnt from 0.1: sigma {sigma:.4f}" in cells
    assert drawn["acc@0.5"] == [0.1], "the line is of the chosen ones"
    assert drawn["acc@0.5, learnt"] == [learnt["x"]]


def test_sigmas_of_several_seeds_are_averaged() -> None:
    outcomes = [
        Outcome("learnt", sigma, seed, {"acc@0.5": 0.5, LEARNT_SIGMA: sigma})
        for seed, sigma in enumerate((0.08, 0.1, 0.08))
    ]
    (row,) = summarise(outcomes)
    assert row.x == row.mean[LEARNT_SIGMA] == pytest.approx(np.mean([0.08, 0.1, 0.08]))
    assert (row.low[LEARNT_SIGMA], row.high[LEARNT_SIGMA]) == (0.08, 0.1)
