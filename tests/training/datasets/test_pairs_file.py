import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import DataError, PairsError
from training.datasets.pairs_file import PairsSource, pairs_files, pairs_splits

UTM = [500000.0, 0.5, 0.0, 5000000.0, 0.0, -0.5]
COLOURS = {"near": (250, 30, 20), "far": (20, 240, 30)}
BOXES = {"near": (40, 60, 100, 140), "far": (485, 200, 545, 260)}  # map pixels, 600 x 300 at 0.5 m


def write_site(folder: Path, name: str = "site", **of_map) -> Path:
    """A map of 300 x 150 m with two coloured objects, and a frame with a click on each."""
    folder.mkdir(parents=True, exist_ok=True)
    ground = np.full((300, 600, 3), 110, np.uint8)
    frame = np.full((480, 640, 3), 100, np.uint8)
    clicks = []
    for k, (object_id, (x1, y1, x2, y2)) in enumerate(BOXES.items()):
        ground[y1:y2, x1:x2] = COLOURS[object_id]
        cv2.circle(frame, (100 + 300 * k, 200), 20, COLOURS[object_id], -1)
        clicks.append({"object_id": object_id, "x": 100 + 300 * k, "y": 200})
    clicks.append({"object_id": None, "x": 10, "y": 470})
    cv2.imwrite(str(folder / f"{name}.png"), ground[..., ::-1].copy())
    cv2.imwrite(str(folder / f"{name}_1.png"), frame[..., ::-1].copy())
    values = {
        "schema": "tilefix-pairs/1",
        "map": {
            "file": f"{name}.png",
            "width": 600,
            "height": 300,
            "gsd_m": 0.5,
            "epsg": 32633,
            "geotransform": UTM,
            **of_map,
        },
        "objects": [{"id": i, "class": f"a {i}", "box_xyxy_px": b} for i, b in BOXES.items()],
        "frames": [{"file": f"{name}_1.png", "width": 640, "height": 480, "clicks": clicks}],
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(values))
    return path


def test_a_window_larger_than_the_map_shows_all_objects(tmp_path) -> None:
    source = PairsSource.open([write_site(tmp_path)], window_px=1024, gsd_m=0.5)
    assert source.name == "pairs/all" and len(source) == 1
    sample = source.read(0)
    assert sample.frame.shape == (512, 512, 3) and sample.window.shape == (1024, 1024, 3)
    assert sample.present.tolist() == [True, True, False]
    assert sample.class_names == ("a near", "a far", "")
    for k, colour in enumerate(COLOURS.values()):
        x, y = sample.click_xy_px[k].astype(int)
        assert np.abs(sample.frame[y, x].astype(int) - colour).max() < 10
        rows, columns = np.nonzero((np.abs(sample.window.astype(int) - colour) < 10).all(-1))
        drawn = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert sample.box_xyxy_px[k] == pytest.approx(drawn)
    assert (sample.box_xyxy_px[2] == 0).all()
    assert np.isnan(sample.expected_xy_px).all()
    # the box's corner by the geotransform, through the window's own geometry
    lon_lat = sample.geometry.lon_lat_deg(sample.box_xyxy_px[:1, :2].astype(np.float64))
    corner = PairsSource.open([tmp_path / "site.json"], window_px=256, gsd_m=0.5).views[0]
    there = corner.site.pairs.map.geometry.xy_px(lon_lat)[0]
    assert there == pytest.approx(BOXES["near"][:2], abs=1e-3)


def test_each_window_of_a_large_map_has_its_own_presence(tmp_path) -> None:
    source = PairsSource.open([write_site(tmp_path)], window_px=256, gsd_m=0.5)
    seen = [tuple(source.read(i).present.tolist()) for i in range(len(source))]
    assert (True, False, False) in seen and (False, True, False) in seen
    for index, view in enumerate(source.views):
        sample = source.read(index)
        for k, (click, present) in enumerate(view.clicks):
            if click.object_id is None:
                assert not present
                continue
            x1, y1, x2, y2 = BOXES[click.object_id]
            apart = np.abs(sample.window.astype(int) - COLOURS[click.object_id]).max(-1)
            shown = (apart < 10).sum() / ((x2 - x1) * (y2 - y1))
            assert present == sample.present[k] == (shown > 0.5)
            assert present or shown < 0.03


def test_an_object_cut_by_the_windows_edge_is_left_out(tmp_path) -> None:
    """Windows begin at 0, 128, 256, 384: the third ends at 512 and holds 45 % of "far"."""
    source = PairsSource.open([write_site(tmp_path)], window_px=256, gsd_m=0.5)
    named = {}
    for view in source.views:
        left, top = view.site.windows[view.window].offset_xy_px
        named[left, top] = {c.object_id: present for c, present in view.clicks}
    assert "far" not in named[256, 128] and "far" not in named[256, 0]
    assert named[384, 128]["far"] is True and named[128, 128]["far"] is False


def test_without_absent_clicks_each_sample_has_a_box(tmp_path) -> None:
    source = PairsSource.open([write_site(tmp_path)], window_px=256, gsd_m=0.5, keep_absent=False)
    for index in range(len(source)):
        sample = source.read(index)
        assert sample.present.all() and (sample.box_xyxy_px[:, 2] > 0).all()


def test_files_of_a_split(tmp_path) -> None:
    for split, name in (("train", "a"), ("train", "b"), ("val", "c")):
        write_site(tmp_path / split, name)
    assert [p.name for p in pairs_files(tmp_path, "train")] == ["a.json", "b.json"]
    assert pairs_splits(tmp_path) == ("train", "val")
    files = pairs_files(tmp_path, "val")
    assert PairsSource.open(files, "val").name == "pairs/val"
    assert pairs_splits(files[0]) == pairs_splits(files[0].parent) == ("all",)
    assert pairs_files(files[0], "all") == pairs_files(tmp_path / "val", "all") == files
    write_site(tmp_path / "flat", "test")
    assert [p.name for p in pairs_files(tmp_path / "flat", "test")] == ["test.json"]


def test_missing_split_says_where_files_are_sought(tmp_path) -> None:
    path = write_site(tmp_path / "train")
    with pytest.raises(DataError, match=r"has no split 'val'(.|\n)*val/\*\.json"):
        pairs_files(tmp_path, "val")
    with pytest.raises(DataError, match="which is the split 'all'"):
        pairs_files(path, "train")


def test_nothing_to_train_on_is_an_error(tmp_path) -> None:
    path = write_site(tmp_path)
    values = json.loads(path.read_text())
    values["frames"][0]["clicks"] = values["frames"][0]["clicks"][2:]
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match="no click can be trained on"):
        PairsSource.open([path], keep_absent=False)


def test_map_of_another_size_is_refused(tmp_path) -> None:
    with pytest.raises(PairsError, match="another size"):
        PairsSource.open([write_site(tmp_path, width=601)])
