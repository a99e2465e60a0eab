import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_box_lists import colour_of, write_box_lists, write_lists

from edge.errors import DataError
from training.datasets.box_lists import CMLOCATION_V1, CMLOCATION_V2, CVUSA_BOXES, BoxLists


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    home = tmp_path_factory.mktemp("made") / "det_geo_2"
    return home, write_box_lists(home, {"train": 3, "val": 1})


@pytest.fixture
def home(original, tmp_path) -> Path:
    return shutil.copytree(original[0], tmp_path / "det_geo_2")


def alike(seen, colour) -> np.ndarray:
    return (np.abs(seen.astype(int) - colour) < 40).all(-1)


def test_each_click_and_box_hold_the_same_object(original) -> None:
    home, made = original
    lists = BoxLists.open(CVUSA_BOXES, home, "train")
    assert lists.name == "cvusa_boxes/train" and len(lists) == 3
    assert len({len(pair[1]) for pair in made["train"]}) > 1, "pairs with several objects"
    for index, (_, frame_boxes, _) in enumerate(made["train"]):
        sample = lists.read(index)
        assert sample.frame.shape == (256, 512, 3) and sample.window.shape == (1024, 1024, 3)
        assert len(sample.click_xy_px) == len(sample.box_xyxy_px) == len(frame_boxes)
        assert sample.present.all() and sample.geometry is None
        for k, (click, box) in enumerate(zip(sample.click_xy_px, sample.box_xyxy_px, strict=True)):
            assert alike(sample.frame[int(click[1]), int(click[0])], colour_of(k))
            rows, columns = np.nonzero(alike(sample.window, colour_of(k)))
            drawn = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert np.abs(box - drawn).max() < 3


def test_boxes_are_scaled_as_the_published_loader_does(original) -> None:
    home, made = original
    sample = BoxLists.open(CVUSA_BOXES, home, "val").read(0)
    _, frame_boxes, window_boxes = made["val"][0]
    x1, y1, x2, y2 = frame_boxes[0]
    assert sample.click_xy_px[0] == pytest.approx(
        [(x1 + x2) / 2 * 512 / 1232, (y1 + y2) / 2 * 256 / 224]
    )
    assert sample.box_xyxy_px[0] == pytest.approx([v * 1024 / 750 for v in window_boxes[0]])


@pytest.mark.parametrize("layout", [CMLOCATION_V1, CMLOCATION_V2])
def test_cmlocation_is_the_same_format_at_any_size(tmp_path, layout) -> None:
    home = tmp_path / layout.folder
    write_box_lists(home, {"train": 1, "test": 1}, frame_wh=(512, 256), window_wh=(1024, 1024))
    assert layout.splits(tmp_path) == layout.splits(home) == ("train", "test")
    lists = BoxLists.open(layout, tmp_path, "test")
    assert lists.name == f"{layout.name}/test"
    assert lists.read(0).frame.shape == (256, 512, 3)


def test_lines_with_unequal_counts_are_left_out_and_counted(home, original) -> None:
    pairs = list(original[1]["train"])
    name, frame_boxes, window_boxes = pairs[1]
    pairs[1] = (name, frame_boxes, [*window_boxes, (1, 2, 30, 40)])
    pairs.append((name, [], []))
    write_lists(home, "train", pairs)
    lists = BoxLists.open(CVUSA_BOXES, home, "train")
    assert [pair.line for pair in lists.pairs] == [1, 3]
    assert [fault.where for fault in lists.skipped] == [
        "panos_train.txt and sat_train.txt line 2",
        "panos_train.txt and sat_train.txt line 4",
    ]
    assert "the line is left out" in lists.skipped[0].found


@pytest.mark.parametrize("folder", ["dataset", ".", "data/dataset"])
def test_paths_of_the_authors_machine_are_found_by_their_end(home, folder) -> None:
    for split in ("train", "val"):
        for side in ("panos", "sat"):
            path = home / f"{side}_{split}.txt"
            path.write_text(path.read_text().replace("data/", "/raid/someone/data/"))
    for side in ("panos", "sat"):
        source = home / "data" / "dataset" / side
        if folder != "data/dataset":
            (home / folder).mkdir(exist_ok=True)
            shutil.move(source, home / folder / side)
    assert len(BoxLists.open(CVUSA_BOXES, home, "val").read(0).click_xy_px) > 0


def test_a_path_cannot_leave_the_folder(home) -> None:
    (home.parent / "secret.jpg").write_bytes(b"x")
    line = (home / "sat_val.txt").read_text().split(" ", 1)
    (home / "sat_val.txt").write_text(f"../secret.jpg {line[1]}")
    lists = BoxLists.open(CVUSA_BOXES, home, "val")
    with pytest.raises(DataError, match="missing image"):
        lists.read(0)


# --- bad input -----------------------------------------------------------------------------------


def test_root_without_the_split_names_the_lists(home) -> None:
    with pytest.raises(DataError) as caught:
        BoxLists.open(CVUSA_BOXES, home, "test")
    assert caught.value.what.endswith("has no split 'test'")
    assert caught.value.expected == "panos_test.txt and sat_test.txt"
    assert "panos_train.txt" in caught.value.found
    (home / "sat_val.txt").unlink()
    assert CVUSA_BOXES.splits(home) == ("train",)


def test_other_folder_is_refused(tmp_path) -> None:
    with pytest.raises(DataError, match=r"does not hold cmlocation_v1(.|\n)*an empty folder"):
        BoxLists.open(CMLOCATION_V1, tmp_path, "train")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("a.jpg 1,2,3", "'1,2,3' in the line of a.jpg"),
        ("a.jpg 1,2,3,x", "'1,2,3,x'"),
        ("a.jpg 1,2,nan,4", "'1,2,nan,4'"),
        ("a.jpg 1,2,3,inf", "'1,2,3,inf'"),
        ("1,2,3,4", "no path"),
        ("", "no path"),
    ],
)
def test_broken_line_is_named(home, line, found) -> None:
    path = home / "sat_train.txt"
    lines = path.read_text().splitlines()
    lines[1] = line
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"sat_train\.txt line 2") as caught:
        BoxLists.open(CVUSA_BOXES, home, "train")
    assert found in caught.value.found


def test_lists_of_unequal_length_cannot_be_paired(home) -> None:
    path = home / "sat_train.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:2]))
    with pytest.raises(DataError, match=r"as many lines in both(.|\n)*3 lines and 2 lines"):
        BoxLists.open(CVUSA_BOXES, home, "train")


def test_list_that_is_no_text_is_refused(home) -> None:
    (home / "sat_train.txt").write_bytes(b"\xff\xfe\x00\xd8" * 9)
    with pytest.raises(DataError, match=r"broken list(.|\n)*no text"):
        BoxLists.open(CVUSA_BOXES, home, "train")


def test_picture_of_another_size_would_misplace_its_boxes(home, original) -> None:
    name = original[1]["val"][0][0]
    path = home / "data/dataset/sat" / f"{name}.jpg"
    cv2.imwrite(str(path), np.zeros((256, 256, 3), np.uint8))
    with pytest.raises(DataError, match=r"750 x 750 px(.|\n)*256 x 256 px"):
        BoxLists.open(CVUSA_BOXES, home, "val").read(0)
