import json

import numpy as np
import pytest
from asked_experiments import call, on_squares, written
from tiny_model import Squares, TinyModel

from edge.errors import UsageError
from training.checkpoints.weights import save_weights
from training.datasets.pair_folder import PairFolder
from training.experiments import ablation, few_shot
from training.experiments.variants import slug
from training.recipes.reading import read_recipe

MODELS = ("detgeo", "ocgnet", "attengeo", "mogeo", "trogeo")


# --- what is asked -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_an_ablation_leaves_out_one_part_a_row(name: str) -> None:
    rows = ablation.plan(read_recipe(f"{name}_cvogl_drone"))
    assert rows[0].label == "whole"
    assert len({str(r.recipe.model) + str(r.recipe.loss) for r in rows}) == len(rows)
    from training.models import options_class

    for row in rows:
        known = options_class(row.recipe.model.name).__dataclass_fields__
        assert set(row.recipe.model.options) <= set(known)


def test_labels_of_ablations_are_those_of_the_papers() -> None:
    from training.evaluation.published_results import published_rows

    for row in published_rows():
        if row.variant:
            assert row.variant in ablation.PARTS[row.model]


def test_lite_has_no_ablation() -> None:
    with pytest.raises(UsageError, match="no parts to leave out"):
        ablation.plan(read_recipe("lite"))


def test_shots_are_drawn_per_class_and_from_each_seed_others() -> None:
    class Classed(Squares):
        def class_of(self, index: int) -> str:
            return "abc"[index % 3] if index < 12 else "rare"

    source = Classed(13)
    drawn = few_shot.draw_shots(source, 2, seed=0)
    kinds = sorted(source.class_of(i) for i in drawn.indices)
    assert kinds == ["a", "a", "b", "b", "c", "c", "rare"], "all of a class that has fewer"
    assert drawn.indices == few_shot.draw_shots(source, 2, seed=0).indices
    assert drawn.indices != few_shot.draw_shots(source, 2, seed=1).indices
    with pytest.raises(UsageError, match="does not know the classes"):
        few_shot.draw_shots(Squares(3), 1, 0)
    recipe = read_recipe("ocgnet_fewshot")
    assert [v.shots for v in few_shot.plan(recipe, (7, 0, 7))] == [0, 7]
    with pytest.raises(UsageError, match="cannot be drawn"):
        few_shot.plan(recipe, (-1,))


def test_labels_become_names_of_folders() -> None:
    assert slug("CVCAM for the cosine fusion") == "cvcam-for-the-cosine-fusion"
    assert slug("sigma 0.05") == "sigma-0.05"


# --- from end to end -----------------------------------------------------------------------------


def test_a_sweep_is_trained_told_and_taken_up_again(small_folder, tmp_path, tiny) -> None:
    out = tmp_path / "sweep"
    command = ("sigma-sweep", "ocgnet_cvogl_drone", "--from-scratch", "--seed", 1, "--seed", 2)
    command += ("--sigma", 0.05, "--sigma", 0.1, *on_squares(small_folder, out))
    done = call(*command)
    assert done.exit_code == 0, done.exception
    assert "measured here" in done.output
    assert "4 of 4: sigma 0.1, seed 2" in done.output
    values = written(out)
    assert [row["label"] for row in values["rows"]] == ["sigma 0.05", "sigma 0.1"]
    assert all(row["seeds"] == 2 for row in values["rows"])
    for row in values["rows"]:
        assert row["low"]["acc@0.5"] <= row["mean"]["acc@0.5"] <= row["high"]["acc@0.5"]
    assert values["command"] and values["machine"] and values["date"]

    tested = out / "runs" / "sigma-0.05-1" / "test.json"
    kept = tested.read_text()
    (out / "runs" / "sigma-0.1-2" / "test.json").unlink()
    again = call(*command)
    assert again.exit_code == 0, again.exception
    assert "4 of 4" in again.output and "1 of 4" not in again.output, "only what is missing"
    assert tested.read_text() == kept
    assert written(out)["rows"] == values["rows"], "the same in the end"

    other = call(*command, "--learnable")
    assert isinstance(other.exception, UsageError)
    assert "holds another experiment" in str(other.exception)
    assert 'variants.2.label: nothing there, "learnt from 0.1" here' in other.exception.found


def test_an_ablation_trains_without_each_part(small_folder, tmp_path, tiny) -> None:
    out = tmp_path / "ablation"
    done = call("ablation", "mogeo_cvogl_drone", "--from-scratch", *on_squares(small_folder, out))
    assert done.exit_code == 0, done.exception
    values = written(out)
    labels = ["whole", "without L_s", "without CVMF", "without MOPE"]
    assert [row["label"] for row in values["rows"]] == labels
    first = (out / "runs" / "without-l-s-13" / "log.jsonl").read_text().splitlines()[0]
    assert "object_similarity" not in first
    whole = (out / "runs" / "whole-13" / "log.jsonl").read_text().splitlines()[0]
    assert "object_similarity" in whole


def test_an_ablation_stands_beside_the_papers_rows(
    small_folder, tmp_path, tiny, monkeypatch
) -> None:
    for place in ("tasks.opening", "experiments.variants"):
        monkeypatch.setattr(
            f"training.{place}.open_sources", lambda *_: PairFolder.open(small_folder.path)
        )
    out = tmp_path / "ablation"
    command = ("ablation", "mogeo_cvogl_drone", "--from-scratch", *on_squares(small_folder, out))
    command += ("--set", "data.set=cvogl_drone", "--set", "data.test=test")
    done = call(*command)
    assert done.exit_code == 0, done.exception
    lines = [[cell.strip() for cell in x.split("│")[1:4]] for x in done.output.splitlines()]
    told = [(*row[:2], x) for row, x in zip(lines, done.output.splitlines(), strict=True) if row]
    papers = {name: x for name, source, x in told if source == "paper"}
    for name, percent in (("mogeo", "66.39"), ("mogeo without MOPE", "54.88")):
        assert percent in papers[name], "MOGeo's paper, table of its ablation"
    assert set(papers) == {"mogeo", *(f"mogeo without {part}" for part in ("L_s", "CVMF", "MOPE"))}
    ours = [name for name, source, _ in told if source == "measured here"]
    assert ours == ["whole", "without L_s", "without CVMF", "without MOPE"]
    assert "54.88" in (out / "table.txt").read_text()


def test_few_shots_go_on_from_a_checkpoint(tmp_path, tiny, monkeypatch) -> None:
    class Classed(Squares):
        def class_of(self, index: int) -> str:
            return "ab"[index % 2]

    def open_sources(recipe, data, split):
        return Classed(12 if split == "train" else 4)

    for place in ("few_shot", "variants"):
        monkeypatch.setattr(f"training.experiments.{place}.open_sources", open_sources)
    monkeypatch.setattr("training.tasks.opening.name_of", lambda model: "ocgnet")
    start, out = tmp_path / "start.safetensors", tmp_path / "few"
    save_weights(TinyModel(), start, {})
    command = ("few-shot", "ocgnet_fewshot", "--init", start, "--data", tmp_path, "--out", out)
    command += ("--shots", 0, "--shots", 2, "--set", "run.epochs=2", "--set", "run.workers=1")
    command += ("--set", "data.augmentation=none")
    done = call(*command)
    assert done.exit_code == 0, done.exception
    rows = written(out)["rows"]
    assert [row["x"] for row in rows] == [0, 2]
    assert not (out / "runs" / "0-shots-13" / "log.jsonl").exists(), "nothing was trained"
    config = json.loads((out / "runs" / "2-shots-13" / "config.json").read_text())
    assert config["recipe"]["run"]["batch"] == 4, "two of each of two classes are a batch"
    assert np.isfinite(rows[1]["mean"]["mean_iou"])
    for text in (("--option", "sigma=0.05"), ("--set", "model.options.sigma=0.05")):
        refused = call(*command, "--out", tmp_path / "other", *text).exception
        assert isinstance(refused, UsageError)
        assert f"{' '.join(text)}" in refused.found, "the checkpoint has its own"
        assert not (tmp_path / "other").exists()


def test_ctrl_c_says_that_the_experiment_goes_on(small_folder, tmp_path, tiny, monkeypatch) -> None:
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.experiments.variants.train", interrupted)
    out = tmp_path / "ablation"
    done = call("ablation", "mogeo_cvogl_drone", "--from-scratch", *on_squares(small_folder, out))
    assert done.exit_code == 130
    assert "goes on with what is missing" in done.output


def test_a_kill_while_scoring_costs_no_training(small_folder, tmp_path, tiny, monkeypatch) -> None:
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    out = tmp_path / "sweep"
    command = ("sigma-sweep", "ocgnet_cvogl_drone", "--from-scratch", "--sigma", 0.1)
    command += on_squares(small_folder, out)
    with monkeypatch.context() as patch:
        patch.setattr("training.experiments.variants.score_test", interrupted)
        assert call(*command).exit_code == 130
    (log,) = out.glob("runs/*/log.jsonl")
    steps = log.read_text()
    assert steps and (log.parent / "state.pt").exists()
    done = call(*command)
    assert done.exit_code == 0, done.exception
    assert log.read_text() == steps, "trained once"
    assert not (log.parent / "state.pt").exists(), "nothing is left to resume"
