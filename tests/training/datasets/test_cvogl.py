from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from made_cvogl import MadeCvogl, colour_of, write_cvogl, write_masks
from pyproj import Transformer

from edge.errors import DataError
from training.datasets.cvogl import DRONE, DRONE_SEG, FEWSHOT, G2D, SVI, SVI_SEG, CvoglFolder


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> MadeCvogl:
    return write_cvogl(tmp_path_factory.mktemp("made") / "CVOGL")


@pytest.fixture
def made(original, tmp_path) -> MadeCvogl:
    return original.copied_to(tmp_path / "CVOGL")


def alike(seen: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return (np.abs(seen.astype(int) - colour) < 25).all(-1)


@pytest.mark.parametrize(
    ("layout", "wh"), [(DRONE, (256, 256)), (SVI, (512, 256)), (G2D, (512, 256))]
)
def test_click_box_and_polygon_hold_what_was_drawn(tmp_path, layout, wh) -> None:
    made = write_cvogl(tmp_path, layout.folder, wh)
    folder = CvoglFolder.open(layout, tmp_path, "train")
    assert folder.name == f"{layout.name}/train" and len(folder) == 2
    for index, record in enumerate(made.lists["train"]):
        sample = folder.read(index)
        colour = colour_of(record[0])
        assert sample.frame.shape == (wh[1], wh[0], 3) and sample.window.shape == (1024, 1024, 3)
        column, row = sample.click_xy_px[0].astype(int)  # the models truncate
        assert (column, row) == record[4]
        assert alike(sample.frame[row, column], colour)
        rows, columns = np.nonzero(alike(sample.window, colour))
        drawn = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(sample.box_xyxy_px[0] - drawn).max() < 3
        corners = sample.polygon_xy_px[0]
        inside = corners.mean(0) + 0.9 * (corners - corners.mean(0))
        assert all(alike(sample.window[int(y), int(x)], colour) for x, y in inside)
        assert sample.class_names == (record[7],) and sample.present.tolist() == [True]
        assert np.isnan(sample.expected_xy_px).all() and sample.mask is None


def test_position_is_what_pyproj_says_of_the_file_name(made) -> None:
    sample = CvoglFolder.open(DRONE, made.root, "test").read(0)
    east, north, extent, epsg = map(int, Path(made.lists["test"][0][2]).stem.split("_"))
    xy = np.array([[512.0, 512.0], [100.0, 900.0]])
    got = sample.geometry.lon_lat_deg(xy)
    step = extent / 1024
    plane = [(east + (x - 512) * step, north - (y - 512) * step) for x, y in xy]
    to_wgs84 = Transformer.from_crs(epsg, 4326, always_xy=True)
    assert np.allclose(got, [to_wgs84.transform(*point) for point in plane], atol=1e-9)
    assert np.allclose(sample.geometry.metres_per_px(xy), step, rtol=2e-3)


def test_name_without_position_gives_none_and_g2d_never_has_one(tmp_path, made) -> None:
    record = made.lists["val"][0]
    (made.home / "satellite" / record[2]).rename(made.home / "satellite" / "lake.jpg")
    made.lists["val"] = [(*record[:2], "lake.jpg", *record[3:])]
    made.rewrite("val")
    assert CvoglFolder.open(DRONE, made.root, "val").read(0).geometry is None
    write_cvogl(tmp_path / "other", "G2D", (512, 256))
    assert CvoglFolder.open(G2D, tmp_path / "other", "val").read(0).geometry is None


@pytest.mark.parametrize("layout", [DRONE_SEG, SVI_SEG])
def test_mask_is_the_object(tmp_path, layout) -> None:
    made = write_cvogl(tmp_path / "CVOGL", layout.folder, layout.frame_wh_px)
    write_masks(made)
    sample = CvoglFolder.open(layout, made.root, "train").read(1)
    assert sample.mask.shape == (1, 1024, 1024) and sample.mask.dtype == bool
    drawn = alike(sample.window, colour_of(made.lists["train"][1][0]))
    assert (sample.mask[0] != drawn).mean() < 0.002


def test_the_data_sets_own_folder_may_be_the_root(made) -> None:
    assert len(CvoglFolder.open(DRONE, made.home, "train")) == 2
    write_masks(made)
    assert CvoglFolder.open(DRONE_SEG, made.home, "test").read(0).mask.any()


@pytest.mark.parametrize("name", ["few_shot_train.pth", "CVOGL_DroneAerial_train_fewshot.pth"])
def test_fewshot_list_reads_the_pictures_of_the_drone_set(made, name) -> None:
    torch.save(made.lists["val"], made.home / name)
    folder = CvoglFolder.open(FEWSHOT, made.root, "train")
    assert folder.name == "cvogl_fewshot/train" and len(folder) == 1
    assert folder.read(0).class_names == (made.lists["val"][0][7],)
    assert FEWSHOT.splits(made.root) == ("train",)
    assert len(CvoglFolder.open(DRONE, made.root, "train")) == 2, "not mistaken for the own list"
    torch.save([], made.home / "few_train_2.pth")
    with pytest.raises(DataError, match="has several lists for the split 'train'"):
        CvoglFolder.open(FEWSHOT, made.root, "train")


# --- bad input -----------------------------------------------------------------------------------


def test_root_without_the_split_names_what_is_there(made) -> None:
    (made.home / "CVOGL_DroneAerial_val.pth").unlink()
    with pytest.raises(DataError) as caught:
        CvoglFolder.open(DRONE, made.root, "val")
    assert caught.value.what.endswith("has no split 'val'")
    assert caught.value.expected == "one file CVOGL_DroneAerial_val.pth"
    assert caught.value.found == "CVOGL_DroneAerial_test.pth, CVOGL_DroneAerial_train.pth"
    with pytest.raises(DataError, match=r"expected: one of the splits train, val, test"):
        CvoglFolder.open(DRONE, made.root, "valid")


def test_root_without_the_data_set_shows_its_content(made, tmp_path) -> None:
    with pytest.raises(DataError) as caught:
        CvoglFolder.open(SVI, made.root, "train")
    assert "a folder CVOGL_SVI" in str(caught.value) and "CVOGL_DroneAerial" in caught.value.found
    with pytest.raises(DataError, match="found:    no such folder"):
        CvoglFolder.open(SVI, tmp_path / "nowhere", "train")
    with pytest.raises(DataError, match="unpack CVOGL-Seg beside"):
        CvoglFolder.open(DRONE_SEG, made.root, "train")


def test_picture_of_the_wrong_size_gives_both_sizes(made) -> None:
    path = made.home / "query" / made.lists["train"][0][1]
    cv2.imwrite(str(path), np.zeros((256, 512, 3), np.uint8))
    with pytest.raises(DataError) as caught:
        CvoglFolder.open(DRONE, made.root, "train").read(0)
    assert str(path) in caught.value.what and "record 101" in caught.value.what
    assert caught.value.expected.startswith("256 x 256 px")
    assert caught.value.found == "512 x 256 px"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_cut_off_picture_is_not_read_as_grey(made, share) -> None:
    path = made.home / "satellite" / made.lists["train"][0][2]
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"unreadable image(.|\n)*a whole JPEG or PNG"):
        CvoglFolder.open(DRONE, made.root, "train").read(0)


def test_missing_picture_is_named(made) -> None:
    path = made.home / "satellite" / made.lists["test"][0][2]
    path.unlink()
    with pytest.raises(DataError) as caught:
        CvoglFolder.open(DRONE, made.root, "test").read(0)
    assert str(path) in caught.value.what and caught.value.found == "no such file"


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        (4, (200,), "click"),
        (4, ("a", "b"), "click"),
        (5, [1.0, 2.0, 3.0], "box"),
        (5, [1.0, 2.0, 3.0, float("nan")], "box"),
        (6, None, "polygon"),
        (1, "../../etc/passwd", "query file"),
        (2, 7, "satellite file"),
        (7, None, "class None"),
    ],
)
def test_broken_field_is_named(made, field, value, found) -> None:
    record = made.lists["train"][1]
    made.lists["train"][1] = (*record[:field], value, *record[field + 1 :])
    made.rewrite("train")
    with pytest.raises(DataError) as caught:
        CvoglFolder.open(DRONE, made.root, "train")
    assert "CVOGL_DroneAerial_train.pth record 1" in caught.value.what
    assert caught.value.found.startswith(found)


@pytest.mark.parametrize("value", [{"a": 1}, [(1, 2)], [7]])
def test_list_of_something_else_is_described(made, value) -> None:
    torch.save(value, made.home / "CVOGL_DroneAerial_train.pth")
    with pytest.raises(DataError, match=r"type dict|a tuple of 2|a int, not a tuple"):
        CvoglFolder.open(DRONE, made.root, "train")
