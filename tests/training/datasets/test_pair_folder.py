import json

import numpy as np
import pytest
from small_lite import small_lite

from edge.errors import DataError, OutputError
from training.datasets.feature_cache import FeatureCache, backbone_id
from training.datasets.pair_folder import PairFolder, render
from training.datasets.sample import PairSample

MADE_BY = {"kind": "test", "seed": 0}


def draw(index: int) -> PairSample:
    rng = np.random.default_rng(index)
    picture = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    click = np.array([[3.5, 4.5], [5, 6]], np.float32)
    box = np.array([[1, 2, 30, 40], [0, 0, 0, 0]], np.float32)
    expected = np.array([[15, 20], [np.nan, np.nan]], np.float32)
    there = np.array([True, False])
    return PairSample(picture, picture[::-1], click, box, there, expected, f"test/{index}")


def test_reads_back_what_was_drawn(tmp_path) -> None:
    folder = render(tmp_path, 2, draw, made_by=MADE_BY)
    got, true = folder.read(1), draw(1)
    assert np.array_equal(got.click_xy_px, true.click_xy_px)
    assert np.array_equal(got.box_xyxy_px, true.box_xyxy_px)
    assert got.present.tolist() == [True, False]
    assert np.array_equal(got.expected_xy_px, true.expected_xy_px, equal_nan=True)
    assert got.source == "test/1"


def test_resumed_render_equals_a_whole_one(tmp_path) -> None:
    whole = render(tmp_path / "whole", 5, draw, made_by=MADE_BY)
    render(tmp_path / "parts", 2, draw, made_by=MADE_BY)
    drawn = []
    parts = render(tmp_path / "parts", 5, lambda i: (drawn.append(i), draw(i))[1], made_by=MADE_BY)
    assert drawn == [2, 3, 4]
    for name in ("samples.jsonl", "000004_frame.jpg", "000000_window.jpg"):
        assert (whole.path / name).read_bytes() == (parts.path / name).read_bytes()


@pytest.mark.parametrize("harm", ["a line that a kill cut", "a picture that is not there"])
def test_a_render_goes_on_from_the_first_sample_that_is_not_there(tmp_path, harm) -> None:
    whole = render(tmp_path / "whole", 4, draw, made_by=MADE_BY)
    hurt = render(tmp_path / "hurt", 3, draw, made_by=MADE_BY).path
    listing = hurt / "samples.jsonl"
    if harm == "a line that a kill cut":
        listing.write_bytes(listing.read_bytes()[:-20])
    else:
        (hurt / "000002_window.jpg").unlink()
    drawn = []
    render(hurt, 4, lambda i: (drawn.append(i), draw(i))[1], made_by=MADE_BY)
    assert drawn == [2, 3]
    for path in whole.path.iterdir():
        assert (hurt / path.name).read_bytes() == path.read_bytes()


def test_a_picture_that_cannot_be_written_is_not_listed(tmp_path) -> None:
    (tmp_path / "000001_window.jpg.part").mkdir()
    with pytest.raises(OutputError, match=r"000001_window\.jpg cannot be written"):
        render(tmp_path, 2, draw, made_by=MADE_BY)
    assert [line.id for line in PairFolder.open(tmp_path).lines] == ["000000"]


def test_a_picture_that_is_broken_says_what_brings_it_back(tmp_path) -> None:
    folder = render(tmp_path, 1, draw, made_by=MADE_BY)
    (tmp_path / "000000_frame.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match="remove it, and render the folder again"):
        folder.read(0)


def test_folder_of_another_command_is_refused(tmp_path) -> None:
    render(tmp_path, 1, draw, made_by=MADE_BY)
    with pytest.raises(DataError, match="begun by another command"):
        render(tmp_path, 2, draw, made_by={**MADE_BY, "seed": 1})


def test_broken_line_is_named(tmp_path) -> None:
    folder = render(tmp_path, 2, draw, made_by=MADE_BY)
    lines = (folder.path / "samples.jsonl").read_text().splitlines()
    broken = json.loads(lines[1])
    broken["bbox"] = broken.pop("box_xyxy_px")
    (folder.path / "samples.jsonl").write_text(lines[0] + "\n" + json.dumps(broken) + "\n")
    with pytest.raises(DataError, match=r"line 2 cannot be read"):
        PairFolder.open(tmp_path)


def test_a_line_that_is_no_text_is_named_by_whatever_reads_it(tmp_path) -> None:
    folder = render(tmp_path, 2, draw, made_by=MADE_BY)
    listing = folder.path / "samples.jsonl"
    lines = listing.read_bytes().splitlines(keepends=True)
    listing.write_bytes(lines[0] + lines[1].replace(b'"id"', b'"\xff"'))
    with pytest.raises(DataError, match=r"line 2 cannot be read(.|\n)*utf-8"):
        PairFolder.open(tmp_path)
    with pytest.raises(DataError, match=r"line 2 cannot be read(.|\n)*utf-8"):
        render(tmp_path, 3, draw, made_by=MADE_BY)


def test_empty_folder_says_how_to_fill_it(tmp_path) -> None:
    with pytest.raises(DataError, match="tilefix datasets render"):
        PairFolder.open(tmp_path)


def test_features_must_be_cached_first_and_resume(tmp_path) -> None:
    folder = render(tmp_path, 3, draw, made_by=MADE_BY)
    backbone, other = (small_lite(seed).backbone for seed in (0, 1))
    with pytest.raises(DataError, match="tilefix datasets cache"):
        FeatureCache.open(folder, backbone)
    whole = {k: v.copy() for k, v in FeatureCache.build(folder, backbone).arrays.items()}
    header_path = tmp_path / "features" / "header.json"
    header = json.loads(header_path.read_text())
    header_path.write_text(json.dumps({**header, "done": 1}))
    damaged = np.load(tmp_path / "features" / "window_s16.npy", mmap_mode="r+")
    damaged[1:] = 0
    damaged.flush()
    again = FeatureCache.build(folder, backbone).arrays
    assert all(np.array_equal(whole[k], again[k]) for k in whole)
    assert again["window_s32"].shape == (3, 320, 2, 2)
    with pytest.raises(DataError, match="of another backbone than the model's") as caught:
        FeatureCache.open(folder, other)
    assert f"expected: those of the weights {backbone_id(other)[:12]}" in str(caught.value)
    FeatureCache.build(folder, other)
    assert not np.array_equal(
        FeatureCache.open(folder, other).arrays["frame_s8"], whole["frame_s8"]
    )


def test_several_processes_draw_the_same_samples(tmp_path) -> None:
    one = render(tmp_path / "one", 5, draw, made_by=MADE_BY)
    lines: list[str] = []
    two = render(
        tmp_path / "two",
        5,
        draw,
        made_by=MADE_BY,
        jobs=2,
        progress=lambda drawn: (lines.append(x) or x for x in drawn),
    )
    assert len(lines) == 5
    for name in ("samples.jsonl", "000004_frame.jpg", "000000_window.jpg"):
        assert (one.path / name).read_bytes() == (two.path / name).read_bytes()
