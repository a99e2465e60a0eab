"""A published model by its own recipe, through the command, the reader and the trainer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from made_cvogl import MadeCvogl, write_cvogl
from quick_weights import quick_random_weights
from small_backbones import shallow_backbones

from training.checkpoints.weights import load_weights
from training.datasets import cvogl, registry
from training.models.mogeo import MOGeo
from training.trainer.command import train

FRAME_PX, WINDOW_PX = 64, 128
FRAME_SHARE, WINDOW_SHARE = FRAME_PX / 256, WINDOW_PX / 1024


def shrink(made: MadeCvogl) -> None:
    """Make pictures, clicks, boxes and corners smaller, so that a step takes a second."""
    for folder, side in (("query", FRAME_PX), ("satellite", WINDOW_PX)):
        for file in (made.home / folder).iterdir():
            picture = cv2.imread(str(file))
            cv2.imwrite(str(file), cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA))
    for split, records in made.lists.items():
        made.lists[split] = [
            (
                *record[:3],
                *(tuple(int(v * FRAME_SHARE) for v in click) for click in record[3:5]),
                *([v * WINDOW_SHARE for v in values] for values in record[5:7]),
                record[7],
            )
            for record in records
        ]


@pytest.fixture
def small_cvogl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeCvogl:
    """CVOGL_DroneAerial of small pictures: ten for training, each listed several times."""
    made = write_cvogl(tmp_path / "data", counts={"train": 10, "val": 4})
    shrink(made)
    made.lists["train"] *= 4
    for split in made.lists:
        made.rewrite(split)
    layout = replace(cvogl.DRONE, frame_wh_px=(FRAME_PX, FRAME_PX))
    monkeypatch.setattr(cvogl, "WINDOW_PX", WINDOW_PX)
    monkeypatch.setitem(registry.KINDS, layout.name, registry._cvogl_kind(layout, "small"))
    return made


@pytest.mark.slow
def test_mogeo_learns_by_its_own_recipe(small_cvogl: MadeCvogl, tmp_path, monkeypatch) -> None:
    """Optimiser, loss terms, augmentation and truncated boxes are the recipe's; sizes are not."""
    monkeypatch.setattr("training.trainer.loop.LOG_EVERY_STEPS", 1)
    out = tmp_path / "run"
    with quick_random_weights(), shallow_backbones():
        result = CliRunner().invoke(
            train,
            [
                *("mogeo_cvogl_drone", "--data", str(small_cvogl.root), "--out", str(out)),
                *("--from-scratch", "--epochs", "2", "--batch", "4"),
                *("--option", f"frame_hw_px=[{FRAME_PX},{FRAME_PX}]"),
                *("--option", f"window_px={WINDOW_PX}"),
            ],
        )
    assert result.exit_code == 0, result.exception
    recipe = json.loads((out / "config.json").read_text())["recipe"]
    assert (recipe["optimizer"]["name"], recipe["optimizer"]["learning_rate"]) == ("adam", 1e-4)
    assert (recipe["data"]["augmentation"], recipe["data"]["whole_pixel_boxes"]) == ("mogeo", True)
    lines = [json.loads(text) for text in (out / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 20
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5]), losses
    with shallow_backbones():
        model, record = load_weights(out / "last.safetensors")
    assert isinstance(model, MOGeo)
    assert record["step"] == 20
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
