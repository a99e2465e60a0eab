import json

import pytest
from click.testing import CliRunner
from made_cvogl import write_cvogl
from tiny_model import TinyModel, tiny_build

from edge.commands.evaluate import evaluate
from edge.errors import DataError, OutputError, UsageError
from training.checkpoints.weights import save_weights


def call(*arguments):
    return CliRunner().invoke(evaluate, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def cvogl(tmp_path_factory):
    return write_cvogl(tmp_path_factory.mktemp("cvogl"), counts={"train": 1, "val": 1, "test": 4})


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr("training.checkpoints.weights.build", tiny_build)
    path = tmp_path / "tiny.safetensors"
    model = TinyModel(frame_hw_px=(256, 256), window_px=1024)
    save_weights(model, path, {"recipe": "detgeo_cvogl_drone"})
    return path


def test_checkpoints_stand_beside_the_papers_rows(cvogl, checkpoint, tmp_path) -> None:
    out = tmp_path / "new" / "scores.json"
    command = ("--checkpoint", checkpoint, "--data", cvogl.root, "--set", "cvogl_drone")
    plot = tmp_path / "curve.png"
    done = call(*command, "--json", out, "--click-noise", 8, "--plot", plot)
    assert done.exit_code == 0, done.exception
    lines = done.output.splitlines()
    assert any("61.97" in x and "paper" in x for x in lines)
    ours = [x for x in lines if "tiny, detgeo_cvogl_drone" in x and "measured here" in x]
    beside = [x for x in ours if "│" in x]
    assert len(beside) == 1, "exact clicks alone stand beside the papers' rows"
    assert [x.split("│")[2].strip() for x in lines if " px │" in x] == ["0 px", "8 px"]
    assert plot.read_bytes().startswith(b"\x89PNG")
    beside_counts = {x.split("│")[1].strip(): x for x in lines if "│ group" in x or "│ class" in x}
    assert "group building" in beside_counts, "as OCGNet groups classes"
    assert "class building_church" in beside_counts, "and each class"
    row = json.loads(out.read_text())["rows"][0]
    key = "acc@0.25_class_building_church"
    cell = f"{100 * row[key]:.2f} ({100 * row[f'{key}_lo']:.1f}..{100 * row[f'{key}_hi']:.1f})"
    assert cell in beside_counts["class building_church"], "with its interval"
    heads = [x.replace("acc@0.25", "").count("acc") for x in lines if "acc@0.25" in x]
    assert len(heads) == 3, "beside the papers, in detail, by the error of clicks"
    assert all(x.index("acc@0.25") < x.index("acc@0.5") for x in lines if "acc@0.25" in x)
    for title in ("mean IoU", "centre accuracy", "centre error, px", "centre error, m"):
        assert any(title in x for x in lines)
    values = json.loads(out.read_text())
    assert values["schema"] == "tilefix-published-scores/1"
    assert [row["click_sigma_px"] for row in values["rows"]] == [0, 8]
    row = values["rows"][0]
    assert row["n_objects"] == row["n_images"] == 4
    assert 0 <= row["acc@0.5"] <= row["acc@0.25"] <= 1
    assert row["centre_error_m_median"] > 0, "from the names of the satellite pictures"
    assert len(values["checkpoints"][str(checkpoint)]) == 64
    for key in ("command", "date", "machine", "version"):
        assert values[key]


def test_new_classes_are_scored_one_by_one(checkpoint, tmp_path) -> None:
    made = write_cvogl(tmp_path / "few", counts={"few_test": 2})
    out = tmp_path / "scores.json"
    command = ("--checkpoint", checkpoint, "--data", made.root, "--set", "cvogl_fewshot")
    done = call(*command, "--json", out)
    assert done.exit_code == 0, done.exception
    (row,) = json.loads(out.read_text())["rows"]
    for name in ("sport_tennis", "man_made_bridge"):
        assert row[f"n_class_{name}"] == 1
        assert row[f"acc@0.5_class_{name}_lo"] <= row[f"acc@0.5_class_{name}"]
        assert f"class {name}" in done.output


def test_validation_split_has_rows_of_its_own(cvogl, checkpoint) -> None:
    command = ("--checkpoint", checkpoint, "--data", cvogl.root, "--set", "cvogl_drone")
    done = call(*command, "--split", "val")
    assert done.exit_code == 0, done.exception
    assert "59.81" in done.output and "61.97" not in done.output


def test_missing_data_and_places_are_refused(cvogl, checkpoint, tmp_path) -> None:
    command = ("--checkpoint", checkpoint, "--data", cvogl.root, "--set")
    assert isinstance(call(*command, "cvogl_svi").exception, DataError)
    assert isinstance(call(*command, "cvogl_dron").exception, UsageError)
    (tmp_path / "file").write_text("")
    done = call(*command, "cvogl_drone", "--json", tmp_path / "file" / "scores.json")
    assert isinstance(done.exception, OutputError)


OF_BUNDLES = (
    *(("--bundle", "nowhere"), ("--images", "nowhere"), ("--other", "a.json"), ("--prior", "none")),
    *(("--no-alignment",), ("--no-baselines",), ("--overlay", "pictures"), ("--precision", "fp32")),
    *(("--executor", "nope"), ("--device-backend", "nope"), ("--no-cuda-graphs",)),
    ("--threads", 1),
)
HALF = ("--checkpoint", "a", "--data", "b", "--set", "cvogl_drone")


@pytest.mark.parametrize("given", OF_BUNDLES, ids=lambda given: given[0])
def test_options_of_bundles_are_refused(given) -> None:
    refused = call(*HALF, *given).exception
    assert isinstance(refused, UsageError)
    assert refused.what == f"{given[0]} would change nothing: it is of a bundle"


def test_all_options_of_bundles_are_named_at_once() -> None:
    refused = call(*HALF, "--overlay", "pictures", "--threads", 2).exception
    assert isinstance(refused, UsageError)
    assert "they are of a bundle" in refused.what
    assert refused.found == "--overlay, --threads", "a default too, where it is given"


def test_a_folder_and_noise_without_end_are_refused_before_all_work(tmp_path) -> None:
    refused = call(*HALF, "--json", tmp_path).exception
    assert isinstance(refused, OutputError)
    assert refused.do == f"write --json {tmp_path / 'scores.json'}"
    for number in ("nan", "inf"):
        refused = call(*HALF, "--click-noise", number).exception
        assert isinstance(refused, UsageError)
        assert refused.found == number


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ((), "none of them"),
        (("--checkpoint", "a"), "--checkpoint"),
        (("--pairs", "a", "--set", "b"), "--pairs, --set"),
    ],
)
def test_half_a_question_is_refused(arguments, found) -> None:
    done = call(*arguments)
    assert isinstance(done.exception, UsageError)
    assert f"found:    {found}" in str(done.exception)
