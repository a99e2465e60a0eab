"""Labels that the judge would refuse are refused before any picture of a flight is opened."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from advised_commands import parsed
from small_graphs import small_bundle
from tiny_flight import write_tiny_pairs

from calibration import calibrate as course
from calibration.request import CalibrationRequest
from edge.errors import CalibrationError, DataError, PairsError
from training.datasets.pair_folder import render
from training.datasets.sample import PairSample


class Enough(Exception):  # noqa: N818 - no error: all labels were taken
    pass


@pytest.fixture
def request_of(tiny, tmp_path, monkeypatch) -> CalibrationRequest:
    """Of a small bundle; where the flights would be opened the course ends."""

    def enough(*_):
        raise Enough

    monkeypatch.setattr(course, "observe", enough)
    monkeypatch.setattr(course, "selected", enough)
    bundle = small_bundle(tmp_path / "bundle", tiny.tiny_manifest())
    return CalibrationRequest(bundle.path, tmp_path / "out", frames=(), maps=())


def samples_in(folder: Path, window_px: int, count: int = 3, present: bool = True) -> Path:
    def draw(index: int) -> PairSample:
        random = np.random.default_rng(index)
        frame = random.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        window = random.integers(0, 255, (window_px, window_px, 3), dtype=np.uint8)
        click, box = np.array([[3.5, 4.5]], np.float32), np.array([[1, 2, 30, 40]], np.float32)
        there, expected = np.array([present]), np.array([[15, 20]], np.float32)
        return PairSample(frame, window, click, box, there, expected, f"test/{index}")

    render(folder, count, draw, made_by={"kind": "test", "seed": 0})
    return folder


def refused(request: CalibrationRequest, kind: type[Exception], **change):
    """The error, which the run of one shard meets as well."""
    asked = dataclasses.replace(request, **change)
    with pytest.raises(kind) as caught:
        course.calibrate(asked)
    with pytest.raises(kind) as again:
        course.observe_shard(dataclasses.replace(asked, shard=0))
    assert str(again.value) == str(caught.value)
    return caught.value


def side_px(tiny) -> int:
    return tiny.tiny_manifest().window.width_px


def test_labels_that_can_be_judged_on_go_through(request_of, tiny, tmp_path) -> None:
    samples = samples_in(tmp_path / "samples", side_px(tiny))
    pairs = write_tiny_pairs(tmp_path)
    asked = dataclasses.replace(request_of, samples=(samples,), pairs=(pairs,))
    with pytest.raises(Enough):
        course.calibrate(asked)


def test_a_folder_without_samples_and_how_they_are_made(request_of, tiny, tmp_path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    error = refused(request_of, DataError, samples=(empty,))
    assert error.what == f"{empty} holds no rendered samples" and error.found == "no such file"
    ((verb, given),) = parsed(error.do)
    assert verb == "datasets render"
    assert (given["kind"], given["window_px"]) == ("scenes", side_px(tiny))


def test_windows_of_another_size_than_the_bundles(request_of, tiny, tmp_path) -> None:
    side = side_px(tiny)
    right = samples_in(tmp_path / "right", side)
    wrong = samples_in(tmp_path / "wrong", side + 16)
    error = refused(request_of, DataError, samples=(right, wrong))
    assert str(wrong) in error.what
    assert (error.expected, error.found) == (f"{side} x {side} px", f"{side + 16} x {side + 16} px")
    assert f"--window-px {side} " in error.do and parsed(error.do)


@pytest.mark.parametrize("name", ["000002_frame.jpg", "000001_window.jpg"])
def test_a_sample_without_its_picture(request_of, tiny, tmp_path, name) -> None:
    samples = samples_in(tmp_path / "samples", side_px(tiny))
    (samples / name).unlink()
    error = refused(request_of, DataError, samples=(samples,))
    assert name in error.what
    with pytest.raises(Enough):  # nobody would look at it
        course.calibrate(dataclasses.replace(request_of, samples=(samples,), every=9))


def test_samples_that_show_nothing_that_was_clicked(request_of, tiny, tmp_path) -> None:
    samples = samples_in(tmp_path / "samples", side_px(tiny), present=False)
    error = refused(request_of, CalibrationError, samples=(samples,))
    assert "nothing that was clicked" in error.what


def test_pairs_without_their_images(request_of, tmp_path) -> None:
    pairs = write_tiny_pairs(tmp_path)
    (tmp_path / "frame2.png").unlink()
    error = refused(request_of, PairsError, pairs=(pairs,))
    assert "frame2.png" in error.expected and "--images" in error.do


def test_pairs_without_their_map_and_pairs_that_are_none(request_of, tmp_path) -> None:
    pairs = write_tiny_pairs(tmp_path)
    (tmp_path / "map.png").unlink()
    assert "map" in str(refused(request_of, PairsError, pairs=(pairs,)))
    pairs.write_text(json.dumps({"schema": "tilefix-pairs/9"}))
    refused(request_of, PairsError, pairs=(pairs,))
