import json

import numpy as np
import pytest
import torch

from edge.errors import CheckpointError
from training.batches.lite import Collection
from training.checkpoints.weights import load_weights, save_weights
from training.datasets.feature_cache import FeatureCache
from training.models import build
from training.models.lite import Lite
from training.models.strict_loading import load_strict
from training.recipes.reading import read_recipe, with_values
from training.tasks.lite import LiteTask
from training.trainer.loop import train

RECIPE = with_values(
    read_recipe("lite"),
    {
        "run.epochs": 2,
        "run.batch": 4,
        "run.save_every_s": 60.0,
        "run.precision": "float32",
        "schedule.warmup_steps": 1,
        "lite.window_px": 128,
    },
    "a test",
)


def run(model: Lite, samples: Collection, out, changes: dict | None = None, report=None) -> None:
    recipe = with_values(RECIPE, changes or {}, "a test")
    task = LiteTask(model, samples, samples, recipe.lite, validation_batch=4)
    train(task, recipe, out, report=report or (lambda _: None))


def fresh() -> Lite:
    torch.manual_seed(0)
    return build("lite", frame_px=64, window_px=128, width=16, embedding=16, hidden=16)


@pytest.fixture(scope="module")
def samples(small_folder) -> Collection:
    backbone = fresh().backbone
    FeatureCache.build(small_folder, backbone)
    return Collection.open([small_folder], backbone)


class KilledError(Exception):
    pass


def test_resumed_run_ends_with_the_same_weights(samples: Collection, tmp_path) -> None:
    run(fresh(), samples, tmp_path / "whole")

    def kill(line: dict) -> None:
        if line.get("epoch") == 1:
            raise KilledError

    each_step = {"run.save_every_s": 0.0}
    with pytest.raises(KilledError):
        run(fresh(), samples, tmp_path / "cut", each_step, kill)
    run(fresh(), samples, tmp_path / "cut", each_step)
    whole, cut = (
        load_weights(tmp_path / n / "last.safetensors")[0].state_dict() for n in ("whole", "cut")
    )
    assert all(torch.allclose(whole[k], cut[k], atol=1e-6) for k in whole)


def test_loss_falls_on_a_handful(samples: Collection, tmp_path) -> None:
    run(fresh(), samples, tmp_path, {"run.epochs": 12, "optimizer.learning_rate": 5e-3})
    lines = [json.loads(x) for x in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [x["loss"] for x in lines if "loss" in x]
    assert losses[-1] < 0.7 * losses[0], losses


def test_frozen_backbone_stays_as_it_was(samples: Collection, tmp_path) -> None:
    model = fresh()
    before = {k: v.clone() for k, v in model.backbone.state_dict().items()}
    run(model, samples, tmp_path, {"run.epochs": 1})
    assert all(torch.equal(before[k], v) for k, v in model.backbone.state_dict().items())


def test_whole_network_trains_from_pictures(small_folder, tmp_path) -> None:
    pictures = Collection.open([small_folder], preload=True)
    model = fresh()
    before = model.backbone._conv_stem.weight.clone()
    changes = {
        "run.epochs": 1,
        "run.batch": 6,
        "lite.freeze_backbone": False,
        "lite.turn_pictures": True,
    }
    run(model, pictures, tmp_path, changes)
    assert not torch.equal(before, model.backbone._conv_stem.weight)


def test_checkpoint_builds_its_model_again(tmp_path) -> None:
    model = fresh().eval()
    save_weights(model, tmp_path / "a.safetensors", {"step": 7})
    loaded, record = load_weights(tmp_path / "a.safetensors")
    assert loaded.options == model.options
    assert record == {"step": 7}
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in model.state_dict().items())


def test_weights_that_do_not_fit_are_listed(tmp_path) -> None:
    tensors = fresh().state_dict()
    tensors["head.extra"] = tensors.pop("head.alpha")
    tensors["head.b"] = torch.zeros(3)
    with pytest.raises(CheckpointError) as caught:
        load_strict(fresh(), tensors, "x")
    for word in ("missing: ['head.alpha']", "unexpected: ['head.extra']", "shape: ['head.b']"):
        assert word in str(caught.value)
    (tmp_path / "text").write_text("no checkpoint")
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        load_weights(tmp_path / "text")


def test_preloaded_pictures_are_those_on_disk(small_folder) -> None:
    read, held = (Collection.open([small_folder], None, preload) for preload in (False, True))
    for view in ("frame", "window"):
        ours, theirs = (c.views[0].batch(view, [3, 0])[1] for c in (read, held))
        assert ours.dtype == torch.uint8
        assert torch.equal(ours, theirs)


def test_turned_samples_keep_boxes_clicks_and_priors_on_their_objects(small_folder) -> None:
    """The square of a sample has one colour, in frame and window, whatever the turn."""
    collection = Collection.open([small_folder])
    batch = collection.batch(
        list(range(12)),
        np.random.default_rng(3),
        window_px=128,
        frame_px=64,
        prior_share=1.0,
        swap_share=0.0,
        prior_sigma_px=(0.01, 0.01),
    )
    for k in torch.nonzero(batch.present).flatten().tolist():
        x, y = batch.click_xy_px[k].long().tolist()
        clicked = batch.frame[1][batch.frame_of_click[k], :, y, x].float()
        px, py = batch.prior_xy_px[k].long().tolist()
        there = batch.window[1][batch.window_of_click[k], :, py, px].float()
        assert (clicked - there).abs().max() < 30  # JPEG
        x1, y1, x2, y2 = batch.box_xyxy_px[k].tolist()
        assert abs((x1 + x2) / 2 - px) < 1.5
        assert abs((y1 + y2) / 2 - py) < 1.5
        assert {round(x2 - x1), round(y2 - y1)} == {24, 30}
