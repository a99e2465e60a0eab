"""`tilefix evaluate` from end to end on a made-up site and the tiny bundle."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edge.commands.evaluate import evaluate
from edge.errors import BundleError, OutputError, PairsError, UsageError


@pytest.fixture
def make_site(tmp_path):
    def make(name, seed):
        folder = tmp_path / name
        folder.mkdir()
        noise = np.random.default_rng(seed).integers(0, 255, (16, 16, 3)).astype(np.uint8)
        image = cv2.resize(noise, (128, 128), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / "map.png"), image)
        cv2.imwrite(str(folder / "f.png"), image[32:96, 16:80])
        values = {
            "schema": "tilefix-pairs/1",
            "map": {"file": "map.png", "width": 128, "height": 128, "gsd_m": 0.3},
            "objects": [
                {"id": "a", "box_xyxy_px": [14, 33, 34, 47]},
                {"id": "b", "box_xyxy_px": [46, 49, 66, 63]},
            ],
            "frames": [
                {
                    "file": "f.png",
                    "width": 64,
                    "height": 64,
                    "clicks": [
                        {"object_id": "a", "x": 8, "y": 8},
                        {"object_id": "b", "x": 40, "y": 24},
                        {"object_id": None, "x": 60, "y": 60},
                    ],
                }
            ],
        }
        path = folder / f"{name}.json"
        path.write_text(json.dumps(values))
        return path

    return make


def run(*arguments):
    return CliRunner().invoke(evaluate, [str(a) for a in arguments], catch_exceptions=False)


def test_two_sites_are_scored_and_written(make_site, tiny_bundle, tmp_path):
    one, two, out = make_site("one", 1), make_site("two", 2), tmp_path / "out" / "scores.json"
    done = run(
        *("--pairs", one, "--pairs", two, "--bundle", tiny_bundle.path, "--json", out),
        *("--prior", "none", "--overlay", tmp_path / "pictures"),
    )
    assert done.exit_code == 0, done.output
    rows = ("row 1 of 6: lite without prior, one, 1 frame\n", "row 6 of 6: window centre, two")
    for word in ("SIFT", "all", "4/4/2", "median size", *rows):
        assert word in done.output
    values = json.loads(out.read_text())
    assert values["schema"] == "tilefix-scores/1" and values["partial"] is False
    assert values["method"] == "lite without prior"
    assert (values["n_clicks"], values["n_objects"], values["n_absent"]) == (4, 4, 2)
    assert values["n_other_site"] == 6  # each frame also on the other map
    for key in ("acc@0.25", "acc@0.5", "centre_error_m_median", "coverage"):
        assert values[f"{key}_lo"] <= values[key] <= values[f"{key}_hi"]
    assert "wrong_rate" in values
    assert values["bundle"]["model_id"] == tiny_bundle.model_id
    assert [len(each["sha256"]) for each in values["pairs"]] == [64, 64]
    rows = {(row["method"], row["site"]): row for row in values["rows"]}
    assert len(rows) == 3 * 3
    assert rows["window centre", "all"]["false_accept_rate_other_site"] == 1.0
    pictures = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert pictures == ["one_f.png", "two_f.png"]
    assert cv2.imread(str(tmp_path / "pictures" / "one_f.png")).shape[0] == 930
    assert not list(out.parent.glob("tmp*"))  # written under another name, then renamed


@pytest.fixture
def ctrl_c(monkeypatch):
    """Presses Ctrl-C while SIFT works on its n-th frame and map."""

    def press_at(call):
        from edge.baselines import SiftPredictor

        plain, calls = SiftPredictor.predict, []

        def predict(self, *arguments):
            calls.append(arguments)
            if len(calls) == call:
                raise KeyboardInterrupt
            return plain(self, *arguments)

        monkeypatch.setattr(SiftPredictor, "predict", predict)

    return press_at


def with_two_frames(path):
    values = json.loads(path.read_text())
    values["frames"].append({**values["frames"][0], "file": "g.png"})
    path.write_text(json.dumps(values))
    (path.parent / "g.png").write_bytes((path.parent / "f.png").read_bytes())
    return path


def test_ctrl_c_keeps_what_was_scored(make_site, tiny_bundle, tmp_path, ctrl_c):
    one, two = with_two_frames(make_site("one", 1)), make_site("two", 2)
    ctrl_c(4)  # own map, other map; own map of the second frame, its other map: that frame is lost
    out = tmp_path / "scores.json"
    done = run(
        *("--pairs", one, "--pairs", two, "--bundle", tiny_bundle.path, "--json", out),
        *("--prior", "none"),
    )
    assert done.exit_code == 130
    assert "stopped after 3 of 9 frames of all rows: what was scored is above" in done.output
    assert "one (1 of 2 frames)" in done.output
    values = json.loads(out.read_text())
    assert values["partial"] is True
    rows = {(row["method"], row["site"]): row for row in values["rows"]}
    assert {name: row["partial"] for name, row in rows.items()} == {
        ("lite without prior", "one"): False,
        ("SIFT + RANSAC homography", "one"): True,
    }
    assert rows["SIFT + RANSAC homography", "one"]["n_clicks"] == 2
    assert rows["SIFT + RANSAC homography", "one"]["n_other_site"] == 3
    assert rows["lite without prior", "one"]["n_clicks"] == 4
    assert "acc@0.25" not in values  # the headline is over all sites, and the other one is missing


def test_a_complete_headline_keeps_its_keys_after_ctrl_c(make_site, tiny_bundle, tmp_path, ctrl_c):
    ctrl_c(1)
    out = tmp_path / "scores.json"
    done = run(
        *("--pairs", make_site("one", 1), "--bundle", tiny_bundle.path, "--json", out),
        *("--prior", "none"),
    )
    assert done.exit_code == 130
    values = json.loads(out.read_text())
    assert values["partial"] is True and values["n_clicks"] == 2
    assert [row["method"] for row in values["rows"]] == ["lite without prior"]


def test_ctrl_c_before_anything_was_scored_writes_nothing(make_site, tiny_bundle, tmp_path):
    out = tmp_path / "scores.json"
    out.write_text("of another day")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "edge.evaluation.read_frame", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        done = run(
            *("--pairs", make_site("one", 1), "--bundle", tiny_bundle.path, "--json", out),
            *("--click-noise", 2, "--plot", tmp_path / "a.png"),
            *("--prior", "none"),
        )
    assert done.exit_code == 130
    assert "stopped after 0 of 4 frames of all rows: nothing was scored" in done.output
    assert "no plot" in done.output and not (tmp_path / "a.png").exists()
    assert out.read_text() == "of another day"


def test_one_site_alone_has_no_other(make_site, tiny_bundle):
    done = run(
        *("--pairs", make_site("one", 1), "--bundle", tiny_bundle.path),
        *("--no-alignment", "--no-baselines"),
    )
    assert done.exit_code == 0, done.output
    assert "SIFT" not in done.output
    assert "2/2/1" in done.output
    assert "all" not in done.output.split("Averaged")[0]


def test_another_map_can_be_given_without_scoring_it(make_site, tiny_bundle, tmp_path):
    out = tmp_path / "scores.json"
    done = run(
        *("--pairs", make_site("one", 1), "--other", make_site("two", 2), "--no-baselines"),
        *("--bundle", tiny_bundle.path, "--prior", "none", "--json", out),
    )
    assert done.exit_code == 0, done.output
    values = json.loads(out.read_text())
    assert (values["n_clicks"], values["n_other_site"]) == (2, 3)


def test_a_bundle_without_alignment_says_so(make_site, tiny_bundle):
    site = make_site("one", 1)
    done = run("--pairs", site, "--bundle", tiny_bundle.path, "--no-baselines")
    assert done.exit_code == 0, done.output
    assert "no row with alignment" in done.output
    with pytest.raises(BundleError) as caught:
        run("--pairs", site, "--bundle", tiny_bundle.path, "--prior", "alignment")
    assert "cannot align frames" in str(caught.value)


def test_options_that_contradict_each_other_are_refused(make_site, tiny_bundle):
    with pytest.raises(UsageError) as caught:
        run("--pairs", make_site("one", 1), "--no-alignment", "--prior", "alignment")
    assert "contradict each other" in str(caught.value)


def test_missing_images_are_named(make_site, tiny_bundle, tmp_path):
    with pytest.raises(PairsError) as caught:
        run(
            *("--pairs", make_site("one", 1), "--bundle", tiny_bundle.path),
            *("--images", tmp_path / "nowhere"),
        )
    text = str(caught.value)
    assert str(tmp_path / "nowhere" / "map.png") in text and "--images DIR" in text


def test_a_broken_file_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(PairsError) as caught:
        run("--pairs", tmp_path / "x.json", "--bundle", tmp_path / "no bundle")
    assert "another schema" in str(caught.value)


def test_scores_that_cannot_be_written_are_an_error(make_site, tiny_bundle, tmp_path, monkeypatch):
    from edge import evaluation

    out, plain = tmp_path / "scores.json", evaluation.run_site

    def with_a_folder_in_the_way(*arguments, **named):
        (out / "inside").mkdir(parents=True, exist_ok=True)
        return plain(*arguments, **named)

    monkeypatch.setattr(evaluation, "run_site", with_a_folder_in_the_way)
    with pytest.raises(OutputError) as caught:
        run(
            *("--pairs", make_site("one", 1), "--bundle", tiny_bundle.path, "--no-alignment"),
            *("--no-baselines", "--json", out),
        )
    assert "cannot be written" in str(caught.value) and "with --json" in caught.value.do
    assert not list(tmp_path.glob("tmp*")), "no half file is left"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--json", "{}"), "is a folder"),
        (("--json", "{}/file/scores.json"), "is no folder"),
        (("--plot", "{}", "--click-noise", 2), "is a folder"),
        (("--overlay", "{}/file"), "is no folder"),
    ],
)
def test_places_that_cannot_hold_results_are_refused_before_all_work(tmp_path, arguments, what):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError) as caught:
        run("--pairs", "none.json", *(str(a).format(tmp_path) for a in arguments))
    assert f"{arguments[0]} {tmp_path}" in caught.value.what and what in caught.value.what


def test_careless_clicks_get_rows_of_their_own(make_site, tiny_bundle, tmp_path):
    out = tmp_path / "scores.json"
    done = run(
        *("--pairs", make_site("one", 1), "--bundle", tiny_bundle.path, "--prior", "none"),
        *("--no-baselines", "--click-noise", 2, "--click-noise", 8, "--json", out),
        *("--plot", tmp_path / "plots" / "noise.png"),
    )
    assert done.exit_code == 0, done.output
    values = json.loads(out.read_text())
    assert [row["method"] for row in values["rows"]] == [
        "lite without prior",
        "lite without prior, clicks off by 2 px",
        "lite without prior, clicks off by 8 px",
    ]
    assert values["method"] == "lite without prior", "exact clicks stay the headline"
    assert (tmp_path / "plots" / "noise.png").read_bytes().startswith(b"\x89PNG")
