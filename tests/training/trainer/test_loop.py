import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_model import Squares, TinyModel, tiny_recipe

from edge.errors import CheckpointError, ConfigError, DataError, TrainingError
from training.batches.samples import SampleReader
from training.recipes.schema import OptimizerSection, ScheduleSection
from training.tasks.published import PublishedTask
from training.trainer.loop import train
from training.trainer.optimization import build_optimizer, rate_factor
from training.trainer.run_folder import RunFolder

RECIPE = tiny_recipe()


def task(samples: int = 12, bad: int | None = None, precision: str = "float32") -> PublishedTask:
    torch.manual_seed(0)
    readers = [
        SampleReader(source, (64, 64), 128) for source in (Squares(samples, bad), Squares(4))
    ]
    return PublishedTask(
        TinyModel(), *readers, RECIPE.loss, validation_batch=4, precision=precision
    )


class KilledError(Exception):
    pass


def kill_at(step: int):
    def report(line: dict) -> None:
        if line["step"] >= step:
            raise KilledError

    return report


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("ema", [None, 0.9])
@pytest.mark.parametrize("killed_at", [0, 1, 2, 4, 5])
def test_a_run_killed_at_any_step_ends_with_the_very_same_weights(
    killed_at: int, ema: float | None, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.trainer.loop.LOG_EVERY_STEPS", 1)
    changes = {} if ema is None else {"batch": f"batch = 4\nema_decay = {ema}"}
    recipe = tiny_recipe(**changes)
    train(task(), recipe, tmp_path / "whole")
    with pytest.raises(KilledError):
        train(task(), recipe, tmp_path / "cut", report=kill_at(killed_at))
    train(task(), recipe, tmp_path / "cut")
    for name in ("last", "best"):
        whole, cut = (load_file(tmp_path / run / f"{name}.safetensors") for run in ("whole", "cut"))
        assert equal(whole, cut)
    whole, cut = (RunFolder(tmp_path / r, _config(tmp_path / r)).lines() for r in ("whole", "cut"))
    strip = [[{k: v for k, v in x.items() if k != "time_s"} for x in log] for log in (whole, cut)]
    assert strip[0] == strip[1], "the log has each step once, whatever was done twice"


def _config(path) -> dict:
    import json

    return json.loads((path / "config.json").read_text())


def test_parts_of_a_batch_add_up_to_it(tmp_path) -> None:
    """Without batch norm and dropout, two parts of two give the gradient of one of four."""
    weights = []
    for accumulate in (1, 2):
        t = task()
        t.model.dropout.p = 0.0
        t.model.body[1] = torch.nn.Identity()
        recipe = tiny_recipe(batch=f"batch = 4\naccumulate = {accumulate}", epochs="epochs = 1")
        train(t, recipe, tmp_path / str(accumulate))
        weights.append(load_file(tmp_path / str(accumulate) / "last.safetensors"))
    assert all(torch.allclose(weights[0][k], weights[1][k], atol=1e-5) for k in weights[0])


def test_the_loss_falls_and_the_best_validation_is_kept(tmp_path) -> None:
    lines: list[dict] = []
    recipe = tiny_recipe(epochs="epochs = 18", save_every_s="save_every_s = 60.0")
    train(task(), recipe, tmp_path, report=lines.append)
    losses = [x["loss"] for x in lines if "loss" in x]
    assert losses[-1] < 0.7 * losses[0], losses
    epochs = [x for x in lines if "epoch" in x]
    assert len(epochs) == 18
    best = max(x["acc@0.5"] for x in epochs)
    from safetensors import safe_open

    with safe_open(tmp_path / "best.safetensors", "pt") as stream:
        record = stream.metadata()["record"]
    assert f'"acc@0.5": {best}' in record


def test_averaged_weights_are_what_is_kept(tmp_path) -> None:
    recipe = tiny_recipe(batch="batch = 4\nema_decay = 0.5", epochs="epochs = 1")
    t = task()
    start = {k: v.clone() for k, v in t.model.state_dict().items()}
    steps: list[dict] = []
    update = "training.trainer.averaging.WeightAverage.update"
    from training.trainer.averaging import WeightAverage

    original = WeightAverage.update

    def spy(self, model) -> None:
        steps.append({k: v.clone() for k, v in model.state_dict().items()})
        original(self, model)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(update, spy)
        train(t, recipe, tmp_path)
    wanted = start["head.weight"]
    for n, step in enumerate(steps):
        keep = min(0.5, (1 + n) / (10 + n))
        wanted = keep * wanted + (1 - keep) * step["head.weight"]
    kept = load_file(tmp_path / "last.safetensors")["head.weight"]
    assert torch.allclose(kept, wanted, atol=1e-6)
    assert not torch.allclose(kept, steps[-1]["head.weight"])


def same_state(a: object, b: object) -> bool:
    """Whether two states hold the same values, all of them finite but the best merit."""
    if isinstance(a, torch.Tensor):
        same = torch.equal(a, b)
        return same and bool(torch.isfinite(a).all())
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_state(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same_state, a, b))
    return a == b


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, recipe = task(), tiny_recipe()
    with pytest.raises(KilledError):
        train(good, recipe, tmp_path, report=kill_at(3))
    before = {p.name: p.read_bytes() for p in tmp_path.glob("*.safetensors")}
    assert before
    with pytest.raises(TrainingError) as caught:
        train(task(bad=5), recipe, tmp_path)
    text = str(caught.value)
    assert "squares/train[5]" in text, "which batch"
    assert "at step" in text
    assert "last.safetensors is the last good checkpoint" in text
    assert f"begin another run (--init {tmp_path / 'last.safetensors'} --out another)" in text
    assert {p.name: p.read_bytes() for p in tmp_path.glob("*.safetensors")} == before
    assert all(torch.isfinite(v).all() for v in load_file(tmp_path / "last.safetensors").values())
    monkeypatch.setattr("training.trainer.loop.LOG_EVERY_STEPS", 1)
    stopped_at = int(re.search(r"at step (\d+)", text)[1])
    with pytest.raises(KilledError):
        train(task(), recipe, tmp_path / "good", report=kill_at(stopped_at))
    state, wanted = (torch.load(p / "state.pt") for p in (tmp_path, tmp_path / "good"))
    assert state["step"] == stopped_at
    assert same_state(state, wanted), "the bad step left no trace in what a resume needs"


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_trains_too(precision: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("training.trainer.loop.LOG_EVERY_STEPS", 1)
    lines: list[dict] = []
    recipe = tiny_recipe(epochs="epochs = 6", batch=f'batch = 4\nprecision = "{precision}"')
    train(task(precision=precision), recipe, tmp_path, report=lines.append)
    losses = [x["loss"] for x in lines if "loss" in x]
    assert all(math.isfinite(x) for x in losses)
    assert sum(losses[-5:]) < sum(losses[:5])


def test_other_options_batches_and_states_are_refused(tmp_path) -> None:
    train(task(), tiny_recipe(epochs="epochs = 1"), tmp_path / "a")
    with pytest.raises(CheckpointError, match="begun with other options") as caught:
        train(task(), tiny_recipe(), tmp_path / "a")
    assert caught.value.found == "run.epochs: 1 there, 2 here", "that key and no other"
    with pytest.raises(CheckpointError, match="begun with other options") as caught:
        train(task(), tiny_recipe(epochs="epochs = 1"), tmp_path / "a", given={"data": "b"})
    assert caught.value.found == '--data: nothing there, "b" here'
    with pytest.raises(ConfigError, match="cannot be shared out"):
        train(task(), tiny_recipe(batch="batch = 4\naccumulate = 3"), tmp_path / "b")
    with pytest.raises(ConfigError, match="smaller than one batch"):
        train(task(samples=3), tiny_recipe(), tmp_path / "c")
    elsewhere = task()
    elsewhere.training = SampleReader(Squares(12), (64, 64), 256)
    with pytest.raises(DataError, match="pictures of another size"):
        train(elsewhere, tiny_recipe(), tmp_path / "d")
    assert [path.name for path in tmp_path.iterdir()] == ["a"], "no other run was begun"


def test_rates_follow_the_schedule() -> None:
    step = ScheduleSection(name="step", every_epochs=10, factor=0.1)
    factors = [rate_factor(step, s, 5, 125) for s in (0, 49, 50, 99, 100)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    cosine = ScheduleSection(name="cosine", last_share=0.02, warmup_steps=4)
    factors = [rate_factor(cosine, s, 10, 104) for s in (0, 3, 4, 54, 104)]
    assert factors == pytest.approx([0.25, 1, 1, 0.51, 0.02])
    assert rate_factor(ScheduleSection(), 999, 10, 1000) == 1


def test_optimisers_are_those_of_the_recipe() -> None:
    model = torch.nn.Module()
    model.backbone = torch.nn.Linear(2, 2)
    model.head = torch.nn.Linear(2, 2)
    for name, kind in (("rmsprop", torch.optim.RMSprop), ("adam", torch.optim.Adam)):
        made = build_optimizer(model, OptimizerSection(name=name, learning_rate=1e-4))
        assert type(made) is kind
        assert len(made.param_groups) == 1
    section = OptimizerSection(
        name="adamw", learning_rate=1e-3, weight_decay=0.1, backbone_learning_rate=1e-5
    )
    made = build_optimizer(model, section)
    assert [g["lr"] for g in made.param_groups] == [1e-3, 1e-5]
    assert [len(g["params"]) for g in made.param_groups] == [2, 2]
    assert all(g["weight_decay"] == 0.1 for g in made.param_groups)
    defaults = build_optimizer(model, OptimizerSection(name="rmsprop", learning_rate=1e-4))
    group = defaults.param_groups[0]
    assert (group["alpha"], group["eps"], group["momentum"]) == (0.99, 1e-8, 0)


def test_reading_in_threads_changes_nothing() -> None:
    def noisy(sample, rng):
        sample.click_xy_px[:] += rng.normal(0, 3, (1, 2)).astype(np.float32)
        return sample

    one, four = (
        SampleReader(Squares(8), (64, 64), 128, augment=noisy, workers=w).batch(
            list(range(8)), np.random.default_rng(3)
        )
        for w in (1, 4)
    )
    assert torch.equal(one.click_xy_px, four.click_xy_px)
    assert torch.equal(one.window, four.window)


@pytest.mark.slow
def test_a_process_that_is_killed_goes_on_to_the_same_weights(tmp_path) -> None:
    """SIGKILL, twice, wherever it hits: nothing is told to the process."""
    script = Path(__file__).resolve().parents[2] / "support" / "killable_run.py"
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdin is not None and starter.stdout is not None

        def end_of_a_run(out: Path, kill_after_steps: int | None = None) -> str:
            print(out, file=starter.stdin, flush=True)
            process = int(starter.stdout.readline())
            for done, line in enumerate(starter.stdout, 1):
                if line.startswith("ended"):
                    return line.strip()
                if done == kill_after_steps:
                    os.kill(process, signal.SIGKILL)
            return "nothing more was said"

        assert end_of_a_run(tmp_path / "whole") == "ended 0"
        for steps in (5, 12):  # of 36, so that it does not end before the signal
            assert end_of_a_run(tmp_path / "cut", kill_after_steps=steps) == "ended -9"
        assert end_of_a_run(tmp_path / "cut") == "ended 0"
    for name in ("last", "best"):
        whole, cut = (load_file(tmp_path / run / f"{name}.safetensors") for run in ("whole", "cut"))
        assert equal(whole, cut)
