import json

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from made_cvogl import write_cvogl
from safetensors.torch import load_file
from small_lite import small_lite
from tiny_model import tiny_build

from edge.errors import ConfigError, TilefixError, UsageError
from training.checkpoints.weights import save_weights
from training.datasets.feature_cache import FeatureCache
from training.models.folded_norms import fold_batch_norms
from training.trainer.command import train


def call(*arguments: str):
    return CliRunner().invoke(train, list(arguments))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes build a model of a few thousand parameters instead of their own."""

    monkeypatch.setattr("training.tasks.opening.build", tiny_build)


def squares(folder, out, *more: str) -> tuple[str, ...]:
    """Arguments that train the recipe of MOGeo on the rendered squares."""
    changes = ("data.set=rendered", "data.train=all", "data.validate=all", "run.workers=1")
    settings = [part for change in changes for part in ("--set", change)]
    small = ("frame_hw_px=[64,64]", "window_px=128", "anchors_wh_px=[[24,30],[12,12]]")
    settings += [part for option in small for part in ("--option", option)]
    data = ("--data", str(folder.path), "--out", str(out), "--from-scratch")
    return ("mogeo_cvogl_drone", *data, *settings, *more)


def test_a_recipe_is_trained_and_taken_up_again(
    small_folder, tmp_path, tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    command = list(squares(small_folder, out, "--epochs", "2", "--batch", "4"))
    result = call(*command)
    assert result.exit_code == 0, result.output
    assert f"done: {out / 'best.safetensors'}" in result.output
    assert "acc@0.5" in result.output
    config = json.loads((out / "config.json").read_text())
    assert config["recipe"]["run"]["epochs"] == 2
    assert config["recipe"]["run"]["batch"] == 4
    assert config["given"]["data"] == [str(small_folder.path)]
    lines = (out / "log.jsonl").read_text().splitlines()
    assert {"object_similarity", "softmax_confidence", "box_mse"} <= json.loads(lines[0]).keys()
    monkeypatch.chdir(small_folder.path.parent)
    typed = [small_folder.path.name if arg == str(small_folder.path) else arg for arg in command]
    assert typed != command, "the same folder, typed in another way"
    again = call(*typed)
    assert again.exit_code == 0, again.exception
    assert (out / "log.jsonl").read_text().splitlines() == lines, "there was nothing left to do"


def test_few_shot_fine_tuning_goes_on_from_a_checkpoint(tmp_path, tiny, monkeypatch) -> None:
    """CVOGL-fewshot as on disk: two more lists in the folder of the drone set."""
    made = write_cvogl(tmp_path / "data", counts={"val": 3, "test": 2})
    for split, records in (("train", made.lists["val"]), ("test", made.lists["test"])):
        torch.save(records, made.home / f"few_shot_{split}.pth")
    monkeypatch.setattr("training.checkpoints.weights.build", tiny_build)
    monkeypatch.setattr("training.tasks.opening.name_of", lambda model: "ocgnet")
    model = tiny_build("ocgnet", frame_hw_px=(256, 256), window_px=1024)
    save_weights(model, tmp_path / "drone.safetensors", {})
    result = call(
        *("ocgnet_fewshot", "--data", str(made.root), "--out", str(tmp_path / "run")),
        *("--init", str(tmp_path / "drone.safetensors"), "--epochs", "1", "--batch", "3"),
        *("--set", "run.workers=1"),
    )
    assert result.exit_code == 0, result.exception
    last = tmp_path / "run" / "last.safetensors"
    said = f"done: {last} (best.safetensors was chosen by the samples that are to judge it)"
    assert said in result.output
    tuned = load_file(tmp_path / "run" / "last.safetensors")
    start = model.state_dict()
    moved = {k: float((tuned[k] - start[k]).abs().max()) for k in ("head.weight", "body.0.weight")}
    assert all(0 < distance < 0.01 for distance in moved.values()), moved  # one step of 1e-4


def test_short_options_and_set_replace_values(small_folder, tmp_path, tiny) -> None:
    more = ("--epochs", "1", "--batch", "6", "--learning-rate", "0.01", "--seed", "3")
    more += ("--set", "run.ema_decay=0.9", "--mixed-precision", "--option", "min_max=true")
    result = call(*squares(small_folder, tmp_path / "run", *more))
    assert result.exit_code == 0, result.output
    recipe = json.loads((tmp_path / "run" / "config.json").read_text())["recipe"]
    assert recipe["optimizer"]["learning_rate"] == 0.01
    assert (recipe["run"]["seed"], recipe["run"]["ema_decay"]) == (3, 0.9)
    assert recipe["run"]["precision"] == "bfloat16"
    assert recipe["model"]["options"]["min_max"] is True


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        (("detgeo_cvogl_dron",), ConfigError, "write detgeo_cvogl_drone"),
        (("--option", "widht=64"), UsageError, "--option width=64"),
        (("--set", "run.epohcs=1"), ConfigError, "write `run.epochs`"),
        (("detgeo_cvogl_drone", "--window-px", "640"), ConfigError, "does not train lite"),
        (("--init", "a.safetensors", "--option", "width=8"), UsageError, "nothing beside --init"),
        (
            ("--init", "a.safetensors", "--set", "model.options.width=8"),
            UsageError,
            "leave out --set model.options.width=8",
        ),
        (("--set", "run.seed=-1"), ConfigError, "run.seed"),
        (("--seed", "-1"), ConfigError, "run.seed"),
        (("--deepen", "query_depth=4"), UsageError, "--deepen means nothing without --init"),
        (("--deepen", "depth=4"), UsageError, "--deepen query_depth=4"),
        (("detgeo_cvogl_drone", "--val", "a"), UsageError, "--val means nothing"),
        (("ocgnet_fewshot",), UsageError, "goes on from trained weights"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_all_work(arguments, kind, says, tmp_path) -> None:
    result = call(*arguments, "--data", str(tmp_path), "--out", str(tmp_path / "run"))
    assert isinstance(result.exception, kind), result.exception
    assert says in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_a_refused_command_leaves_its_folder_to_the_corrected_one(tmp_path, tiny) -> None:
    """A batch too large, then pictures of another size in either split."""
    made = write_cvogl(tmp_path / "data", counts={"train": 3, "val": 1, "test": 1})
    out = tmp_path / "run"
    frames = {split: made.home / "query" / made.lists[split][0][1] for split in ("train", "val")}
    whole = {split: path.read_bytes() for split, path in frames.items()}
    command = ("detgeo_cvogl_drone", "--data", str(made.root), "--out", str(out), "--epochs", "1")
    command += ("--set", "run.workers=1")

    def refused(words: str, *more: str) -> None:
        result = call(*command, *more)
        assert isinstance(result.exception, TilefixError), result.exception
        assert words in str(result.exception)
        assert not out.exists(), "nothing was begun"

    refused("add --from-scratch")
    refused("make run.batch smaller", "--from-scratch")
    last = ("--from-scratch", "--batch", "3")
    for split, file in frames.items():
        cv2.imwrite(str(file), np.zeros((64, 64, 3), np.uint8))
        refused("64 x 64", *last)
        file.write_bytes(whole[split])
    size = ("--option", "frame_hw_px=[64,64]")
    refused("sample 0 of cvogl_drone/val has pictures of another size", *last, *size)
    result = call(*command, *last)
    assert result.exit_code == 0, result.exception


def test_what_is_refused_at_the_first_step_leaves_the_folder_too(
    small_folder, tmp_path, tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a window too small for a module of the model; a run that has saved something stays."""
    out = tmp_path / "run"
    command = squares(small_folder, out, "--epochs", "1", "--batch", "4")
    with monkeypatch.context() as patch:

        def too_small(*_):
            raise UsageError("too small", expected="a", found="b", do="c")

        patch.setattr("training.tasks.published.PublishedTask.losses", too_small)
        assert "too small" in str(call(*command).exception)
        assert list(out.iterdir()) == []
        assert call(*command, "--seed", "3").exit_code
        patch.undo()
        assert call(*command, "--seed", "3").exit_code == 0
        kept = (out / "config.json").read_text()
        (out / "state.pt").unlink()
        patch.setattr("training.tasks.published.PublishedTask.losses", too_small)
        assert "too small" in str(call(*command, "--seed", "3").exception)
        assert (out / "config.json").read_text() == kept


def test_missing_data_says_what_to_do(tmp_path) -> None:
    arguments = ["--data", str(tmp_path), "--val", str(tmp_path), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(train, [*arguments, "--from-scratch"])
    assert "tilefix datasets render" in str(result.exception)


def test_lite_is_trained_without_a_recipes_name(small_folder, tmp_path) -> None:
    folder = str(small_folder.path)
    shape = [part for n in ("width", "embedding", "hidden") for part in ("--option", f"{n}=16")]
    result = call(
        *("--data", folder, "--val", folder, "--out", str(tmp_path / "run"), "--from-scratch"),
        *("--train-backbone", "--window-px", "128", "--batch", "6", "--epochs", "1"),
        *("--full-precision", *shape, "--option", "frame_px=64"),
    )
    assert result.exit_code == 0, result.exception
    line = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    assert "prior_acc@0.5" in line
    assert torch.load(tmp_path / "run" / "state.pt", weights_only=True)["step"] == 2


def test_a_folded_lite_is_deepened_and_trained_from_cached_features(small_folder, tmp_path) -> None:
    """As from a bundle: its folded batch norms stay, its backbone too, and it can go on again."""
    model = small_lite()
    fold_batch_norms(model)
    first = tmp_path / "first.safetensors"
    save_weights(model, first, {})
    FeatureCache.build(small_folder, model.backbone)
    folder, shape = str(small_folder.path), ("--window-px", "128", "--batch", "6", "--epochs", "1")
    common = ("--data", folder, "--val", folder, "--full-precision", *shape)
    common += ("--set", "schedule.warmup_steps=0")
    deeper = ("--init", str(first), "--deepen", "reference_depth=4")
    result = call(*common, *deeper, "--out", str(tmp_path / "one"))
    assert result.exit_code == 0, result.exception
    config = json.loads((tmp_path / "one" / "config.json").read_text())
    assert config["given"]["deepen"] == {"reference_depth": 4}
    trained = tmp_path / "one" / "last.safetensors"
    before, after = model.state_dict(), load_file(trained)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"reference_neck.blocks.0.project.weight", "reference_neck.bn.bias"} <= moved
    still = ("backbone.", "reference_neck.bn.weight", "reference_neck.bn.running")
    assert not [name for name in moved if name.startswith(still)]
    assert after["reference_neck.blocks.3.bn_project.weight"].any()
    again = call(*common, "--init", str(trained), "--out", str(tmp_path / "two"))
    assert again.exit_code == 0, again.exception
    other = call(*common, "--out", str(tmp_path / "other"))
    assert "are of another backbone" in str(other.exception)


def test_ctrl_c_says_that_the_run_goes_on(small_folder, tmp_path, tiny, monkeypatch) -> None:
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.trainer.loop.train", interrupted)
    result = call(*squares(small_folder, tmp_path / "run", "--epochs", "1", "--batch", "4"))
    assert result.exit_code == 130
    assert "goes on from the last save" in result.output
