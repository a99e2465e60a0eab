import json
import shutil

import pytest
from asked_experiments import call, written
from tiny_model import TinyModel

from edge.errors import DataError, UsageError
from training.checkpoints.weights import save_weights


@pytest.fixture
def checkpoint(tmp_path, tiny):
    path = tmp_path / "model.safetensors"
    save_weights(TinyModel(), path, {})
    return path


def on(folder, out, *sigmas: object) -> tuple[object, ...]:
    noise = (part for sigma in sigmas for part in ("--click-noise", sigma))
    return ("--data", folder, "--set", "rendered", "--split", "all", "--out", out, *noise)


def test_clicks_are_moved_and_nothing_is_measured_twice(
    small_folder, tmp_path, tiny, monkeypatch
) -> None:
    files = []
    for k in range(2):
        files.append(tmp_path / f"model{k}.safetensors")
        save_weights(TinyModel(), files[-1], {"recipe": f"recipe{k}"})
    out = tmp_path / "noise"
    command = ("click-noise", *files, *on(small_folder.path, out, 0, 4))
    done = call(*command)
    assert done.exit_code == 0, done.exception
    rows = written(out)["rows"]
    assert [row["x"] for row in rows] == [0, 4, 0, 4]
    assert [row["series"] for row in rows] == [str(f) for f in files for _ in range(2)]
    monkeypatch.setattr("training.experiments.click_noise.score_model", None)
    assert call(*command).exit_code == 0
    assert call(*command, "--click-noise", 8).exit_code != 0, "this one is new"


@pytest.mark.parametrize("number", ["-1", "nan", "inf"])
def test_clicks_cannot_be_off_by_less_than_nothing_or_without_end(
    small_folder, checkpoint, tmp_path, number
) -> None:
    refused = call("click-noise", checkpoint, *on(small_folder.path, tmp_path / "out", 2, number))
    assert isinstance(refused.exception, UsageError)
    assert "cannot be off" in refused.exception.what
    assert refused.exception.found == f"2, {number}"
    assert not (tmp_path / "out").exists()


def test_scores_of_one_folder_are_not_those_of_another(small_folder, checkpoint, tmp_path) -> None:
    other = tmp_path / "other"
    shutil.copytree(small_folder.path, other)
    lines = (other / "samples.jsonl").read_text().splitlines(keepends=True)
    (other / "samples.jsonl").write_text("".join(line for line in lines[:-1] if "true" in line))
    out = tmp_path / "noise"
    first = call("click-noise", checkpoint, *on(small_folder.path, out, 0, 3))
    assert first.exit_code == 0, first.exception
    kept = written(out)

    refused = call("click-noise", checkpoint, *on(other, out, 0, 3)).exception
    assert isinstance(refused, UsageError)
    assert "holds another experiment" in refused.what
    assert str(small_folder.path) in refused.found and str(other) in refused.found
    assert written(out) == kept

    (out / "experiment.json").unlink()
    second = call("click-noise", checkpoint, *on(other, out, 0, 3))
    assert second.exit_code == 0, second.exception
    alone = call("click-noise", checkpoint, *on(other, tmp_path / "alone", 0, 3))
    assert alone.exit_code == 0, alone.exception
    assert written(out)["rows"] == written(tmp_path / "alone")["rows"] != kept["rows"]


def test_data_that_do_not_fit_leave_nothing_behind(small_folder, tmp_path, tiny) -> None:
    path, out = tmp_path / "large.safetensors", tmp_path / "noise"
    save_weights(TinyModel(window_px=256), path, {})
    refused = call("click-noise", path, *on(small_folder.path, out, 3))
    assert isinstance(refused.exception, DataError)
    assert not out.exists()


def test_a_damaged_measurement_is_named(small_folder, checkpoint, tmp_path) -> None:
    command = ("click-noise", checkpoint, *on(small_folder.path, tmp_path / "noise", 3))
    assert call(*command).exit_code == 0
    (file,) = (tmp_path / "noise/measured").iterdir()
    whole = json.loads(file.read_text())
    for text in ("", "{", "[]", "{}"):
        file.write_text(text)
        refused = call(*command).exception
        assert isinstance(refused, DataError)
        assert str(file) in refused.what and "remove it" in refused.do
    file.unlink()
    assert call(*command).exit_code == 0
    assert json.loads(file.read_text()) == whole
