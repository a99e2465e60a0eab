import json
import os
import subprocess
import sysconfig
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from made_box_lists import write_box_lists, write_lists
from made_cvogl import MadeCvogl, write_cvogl, write_masks

from edge.errors import DataError, UsageError
from training.datasets.command import datasets
from training.datasets.faults import FaultKind
from training.datasets.pair_folder import render
from training.datasets.registry import KINDS, detect, find_kind, open_dataset
from training.datasets.sample import PairSample


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> MadeCvogl:
    return write_cvogl(tmp_path_factory.mktemp("made") / "CVOGL", counts={"train": 3, "val": 1})


@pytest.fixture
def made(original, tmp_path) -> MadeCvogl:
    copy = original.copied_to(tmp_path / "CVOGL")
    torch.save(copy.lists["val"], copy.home / "CVOGL_DroneAerial_test.pth")
    return copy


def check(*arguments: object) -> tuple[str, DataError | None]:
    """What `tilefix datasets check` prints, and the error that it ends with."""
    done = CliRunner().invoke(datasets, ["check", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, DataError):
        raise done.exception
    return done.output, done.exception


def faults_of(name: str, root: Path, split: str) -> list[tuple[FaultKind, str, str]]:
    report = find_kind(name).inspect(root, split, iter)
    return [(fault.kind, fault.where, fault.found) for fault in report.problems]


def edited(record: tuple, field: int, value: object) -> tuple:
    return (*record[:field], value, *record[field + 1 :])


def test_a_whole_download_is_said_to_be_right(made) -> None:
    text, error = check(made.root)
    assert error is None
    said = "No problems in 5 samples, but notes: other number of samples: 3."
    assert said in text, "a list that was cut short is no fault, and not as it should be either"
    assert "as they should be" not in text
    for split in ("train", "val", "test"):
        assert f"cvogl_drone/{split}: other number of samples (note): 1" in text
    assert "expected 4343, as published; found 3" in text


def test_everything_that_is_wrong_is_said_at_once(made) -> None:
    train, home = made.lists["train"], made.home
    (home / "query" / train[0][1]).unlink()
    (home / "satellite" / train[0][2]).write_bytes(b"<html>not found</html>")
    cv2.imwrite(str(home / "query" / train[1][1]), np.zeros((128, 256, 3), np.uint8))
    train[1] = edited(train[1], 5, [900.0, 10.0, 1100.0, 90.0])
    train[2] = edited(edited(train[2], 5, [500.0, 600.0, 500.0, 700.0]), 4, (300, 20))
    made.rewrite("train")
    (home / "CVOGL_DroneAerial_val.pth").unlink()
    (home / "CVOGL_DroneAerial_test.pth").write_bytes(b"x" * 100)

    kinds = [kind for kind, _, _ in faults_of("cvogl_drone", made.root, "train")]
    assert sorted(kinds) == sorted(
        [
            FaultKind.MISSING_IMAGE,
            FaultKind.UNREADABLE_IMAGE,
            FaultKind.WRONG_SIZE,
            FaultKind.BOX_OUTSIDE,
            FaultKind.EMPTY_BOX,
            FaultKind.CLICK_OUTSIDE,
        ]
    )
    text, error = check(made.root)
    assert error is not None and error.exit_code == 12
    for words in (
        f"{train[0][1]} (query, cvogl_drone/train record 101): expected a picture; found no such",
        f"{train[0][2]} (satellite picture, cvogl_drone/train record 101)",
        "expected 256 x 256 px (width x height); found 256 x 128 px",
        "a box inside 1024 x 1024 px; found (900, 10, 1100, 90)",
        "expected x1 < x2 and y1 < y2; found (500, 600, 500, 700)",
        "a click inside 256 x 256 px; found (300.5, 20.5)",
        "cvogl_drone/val: missing split: 1",
        "cvogl_drone/test: broken list: 1",
        "8 problems in 3 samples.",
    ):
        assert words in text, text
    assert "missing split: 1" in error.found and "box outside: 1" in error.found


def test_boxes_a_rounding_outside_are_not_faults(made) -> None:
    made.lists["train"][0] = edited(made.lists["train"][0], 5, [-0.6, 0.0, 1024.9, 1024.0])
    made.rewrite("train")
    assert faults_of("cvogl_drone", made.root, "train") == []


def test_broken_records_are_all_listed_and_the_others_still_looked_at(made) -> None:
    train = made.lists["train"]
    (made.home / "query" / train[2][1]).unlink()
    train[0], train[1] = train[0][:7], edited(train[1], 7, None)
    made.rewrite("train")
    found = faults_of("cvogl_drone", made.root, "train")
    assert [kind for kind, _, _ in found] == [
        FaultKind.BROKEN_RECORD,
        FaultKind.BROKEN_RECORD,
        FaultKind.MISSING_IMAGE,
    ]


def test_notes_do_not_fail_the_check(made) -> None:
    record = made.lists["val"][0]
    (made.home / "satellite" / record[2]).rename(made.home / "satellite" / "lake.jpg")
    made.lists["val"] = [edited(edited(record, 2, "lake.jpg"), 6, [0.0] * 8)]
    for split in ("val", "test"):
        torch.save(made.lists["val"], made.home / f"CVOGL_DroneAerial_{split}.pth")
    text, error = check(made.root)
    assert error is None
    assert "no georeference (note): 1" in text and "polygon apart from box (note): 1" in text


def test_masks_are_looked_at_where_they_are(made) -> None:
    folder = write_masks(made)
    assert [kind.name for kind in detect(made.root)] == ["cvogl_drone_seg"]
    assert faults_of("cvogl_drone_seg", made.root, "train") == []
    masks = sorted(folder.glob("*.jpg"))
    masks[0].unlink()
    cv2.imwrite(str(masks[1]), np.zeros((1024, 1024), np.uint8))
    kinds = {kind for kind, _, _ in faults_of("cvogl_drone_seg", made.root, "train")}
    assert kinds == {FaultKind.MISSING_IMAGE, FaultKind.EMPTY_MASK}
    for mask in masks[1:]:
        mask.unlink()
    folder.rmdir()
    assert [kind.name for kind in detect(made.root)] == ["cvogl_drone"]
    found = faults_of("cvogl_drone_seg", made.root, "train")
    assert "the masks of CVOGL_DroneAerial are missing" in found[0][1]


def test_long_lists_are_cut_and_say_how_to_see_the_rest(made) -> None:
    for path in (made.home / "query").iterdir():
        path.unlink()
    text, _ = check(made.root, "--show", 1, "--split", "train")
    assert "and 2 more; --show 0 lists all" in text and "missing image: 3" in text
    text, _ = check(made.root, "--show", 0, "--split", "train")
    assert "more;" not in text and text.count("no such file") == 3


def test_box_lists_note_unequal_counts_and_find_faults(tmp_path) -> None:
    pairs = write_box_lists(tmp_path, {"train": 3, "val": 1})
    name, frame_boxes, window_boxes = pairs["train"][0]
    pairs["train"][0] = (name, frame_boxes, window_boxes[1:])
    name, frame_boxes, window_boxes = pairs["train"][1]
    pairs["train"][1] = (name, frame_boxes, [(700, 700, 760, 740)] * len(window_boxes))
    write_lists(tmp_path, "train", pairs["train"])
    (tmp_path / "data/dataset/panos" / f"{pairs['train'][2][0]}.jpg").unlink()
    text, error = check(tmp_path)
    assert error is not None
    assert "cvusa_boxes/train: unequal counts (note): 1" in text
    assert "line 2 satellite picture box 1: expected a box inside 750 x 750 px" in text
    assert "cvusa_boxes/train: missing image: 1" in text
    report = find_kind("cvusa_boxes").inspect(tmp_path, "val", iter)
    assert (report.samples, report.objects, report.faults) == (1, len(pairs["val"][0][1]), ())
    assert check(tmp_path, "--split", "val")[1] is None


def draw(index: int) -> PairSample:
    picture = np.full((64, 64, 3), 90, np.uint8)
    box = np.array([[1, 2, 30, 40]], np.float32)
    click = np.array([[3.5, 4.5]], np.float32)
    there = np.array([True])
    return PairSample(picture, picture, click, box, there, np.full((1, 2), 9.0), "test")


def test_rendered_folders(tmp_path) -> None:
    for split in ("train", "val"):
        render(tmp_path / split, 3, draw, made_by={})
    assert [kind.name for kind in detect(tmp_path)] == ["rendered"]
    text, error = check(tmp_path)
    assert error is None and "All 6 samples are as they should be." in text
    assert check(tmp_path / "val")[1] is None
    assert len(open_dataset("rendered", tmp_path, "val")) == 3
    listing = tmp_path / "train" / "samples.jsonl"
    lines = listing.read_text().splitlines()
    first = json.loads(lines[0]) | {"click_xy_px": [[70, 4]], "box_xyxy_px": [[1, 2, 90, 40]]}
    listing.write_text("\n".join([json.dumps(first), "{}", lines[2]]))
    (tmp_path / "train" / "000002_window.jpg").write_bytes(b"")
    kinds = [kind for kind, _, _ in faults_of("rendered", tmp_path, "train")]
    assert kinds == [
        FaultKind.CLICK_OUTSIDE,
        FaultKind.BOX_OUTSIDE,
        FaultKind.BROKEN_RECORD,
        FaultKind.UNREADABLE_IMAGE,
    ]
    listing.write_bytes(b"\xff\xfe\n" + "\n".join(lines[1:]).encode())
    found = faults_of("rendered", tmp_path, "train")
    assert [kind for kind, _, _ in found] == [FaultKind.BROKEN_RECORD, FaultKind.UNREADABLE_IMAGE]
    assert "line 1" in found[0][1], "the other lines are looked at"


def test_pairs_files(tmp_path) -> None:
    cv2.imwrite(str(tmp_path / "map.png"), np.zeros((30, 40, 3), np.uint8))
    values = {
        "schema": "tilefix-pairs/1",
        "map": {"file": "map.png", "width": 40, "height": 30, "gsd_m": 0.5},
        "objects": [{"id": "a", "box_xyxy_px": [1, 2, 30, 20]}],
        "frames": [
            {
                "file": "1.png",
                "width": 8,
                "height": 8,
                "clicks": [{"object_id": "a", "x": 5, "y": 5}],
            }
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(values))
    (tmp_path / "b.json").write_text(json.dumps(values | {"objects": []}))
    found = faults_of("pairs", tmp_path, "all")
    assert [kind for kind, _, _ in found] == [FaultKind.MISSING_IMAGE, FaultKind.BROKEN_LIST]
    (tmp_path / "b.json").unlink()
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((8, 16, 3), np.uint8))
    ((kind, _, text),) = faults_of("pairs", tmp_path, "all")
    assert kind is FaultKind.REFUSED_IMAGE and "16 x 8" in text
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((8, 8, 3), np.uint8))
    assert check(tmp_path)[1] is None and check(tmp_path / "a.json")[1] is None


# --- the registry --------------------------------------------------------------------------------


def test_names_of_the_registry_open_their_reader(made, tmp_path) -> None:
    assert open_dataset("cvogl_drone", made.root, "train").name == "cvogl_drone/train"
    root = tmp_path / "other"
    write_box_lists(root / "CMLocation_V2", {"train": 1})
    assert [kind.name for kind in detect(root)] == ["cmlocation_v2"]
    text, _ = check(root)
    assert text.count("missing split: 1") == 2 and "cmlocation_v2/test" in text, "val and test"
    assert open_dataset("cmlocation_v2", root, "train").name == "cmlocation_v2/train"


def test_several_data_sets_in_one_root_are_all_recognised(made) -> None:
    write_cvogl(made.root, "CVOGL_SVI", (512, 256), {"train": 1})
    write_box_lists(made.root / "CMLocation_V1", {"train": 1, "val": 1})
    torch.save(made.lists["val"], made.home / "few_shot_train.pth")
    names = [kind.name for kind in detect(made.root)]
    assert names == ["cvogl_drone", "cvogl_svi", "cvogl_fewshot", "cmlocation_v1"]


@pytest.mark.parametrize("name", list(KINDS))
def test_no_data_set_is_recognised_in_an_empty_folder(tmp_path, name) -> None:
    assert not KINDS[name].detect(tmp_path) and KINDS[name].splits(tmp_path) == ()
    with pytest.raises(DataError, match="an empty folder"):
        detect(tmp_path)
    with pytest.raises(DataError):
        open_dataset(name, tmp_path, "train")
    report = KINDS[name].inspect(tmp_path, "train", iter)
    assert [fault.kind for fault in report.faults] == [FaultKind.MISSING_SPLIT]


def test_unknown_names_and_options_are_refused(tmp_path) -> None:
    with pytest.raises(UsageError, match="write 'cvogl_drone' if that was meant"):
        open_dataset("cvogl_drones", tmp_path, "train")
    with pytest.raises(UsageError, match="takes no options"):
        open_dataset("g2d", tmp_path, "train", gsd_m=0.3)
    with pytest.raises(UsageError, match="has no option 'gsd'"):
        open_dataset("pairs", tmp_path, "train", gsd=0.3)


def test_anchors_of_a_published_data_set(made) -> None:
    arguments = ["anchors", str(made.root), "--name", "cvogl_drone", "--count", "2"]
    done = CliRunner().invoke(datasets, arguments)
    assert done.exit_code == 0, done.output
    assert "3 boxes" in done.output
    widest = max(record[5][2] - record[5][0] for record in made.lists["train"])
    printed = [
        float(line[1:].split(",")[0]) for line in done.output.splitlines() if line[:1] == "("
    ]
    assert max(printed) <= widest + 0.1


def test_the_console_command_ends_with_code_12(tmp_path) -> None:
    command = Path(sysconfig.get_path("scripts")) / "tilefix"
    done = subprocess.run(
        [command, "datasets", "check", str(tmp_path), "--name", "cvogl_svi"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 12, done.stderr
    assert "missing split: 3" in done.stderr
    assert "a folder CVOGL_SVI" in done.stdout
