"""Calls of `tilefix experiment` on rendered squares, and what they leave."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from training.datasets.pair_folder import PairFolder
from training.experiments.command import experiment


def call(*arguments: object) -> Result:
    return CliRunner().invoke(experiment, [str(a) for a in arguments])


def on_squares(folder: PairFolder, out: Path) -> tuple[str, ...]:
    """What makes one short epoch on the folder of any published recipe."""
    changes = ("data.set=rendered", "data.train=all", "data.validate=all", "data.test=all")
    changes += ("run.epochs=1", "run.batch=6", "run.workers=1")
    small = ("frame_hw_px=[64,64]", "window_px=128", "anchors_wh_px=[[24,30],[12,12]]")
    return (
        *(part for change in changes for part in ("--set", change)),
        *(part for option in small for part in ("--option", option)),
        *("--data", str(folder.path), "--out", str(out)),
    )


def written(out: Path) -> dict:
    """results.json, beside a table and a plot."""
    for name in ("table.txt", "plot.png"):
        assert (out / name).stat().st_size > 0
    assert (out / "plot.png").read_bytes().startswith(b"\x89PNG")
    return json.loads((out / "results.json").read_text())
