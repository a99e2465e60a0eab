"""What the scan sees of frames and videos."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_flights import FRAME_PX, make_flight, make_request, make_video, texture

import calibration.selection.scan as scan
from calibration.selection.candidate import FeatureMaker
from calibration.selection.listing import VideoFile, list_sources
from calibration.selection.look import look_at
from calibration.selection.record import pixels_sha256
from calibration.selection.request import ImageSource
from calibration.selection.scan import frames_of, inside, scan_frames
from edge.frames import Video
from edge.letterbox import letterbox


class Kept(dict):
    """Shards in memory."""

    def put(self, name, candidates):
        self[name] = candidates


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(scan, "SHARD", 4)


def test_frames_of_a_video_are_those_of_the_run(tmp_path):
    path = make_video(tmp_path / "a.avi", 11)
    found = list(frames_of(VideoFile(path, 11, 10.0, 3), lambda n: n != 6))
    assert [index for index, _ in found] == [0, 3, 9]
    run = [frame.image for frame in Video(path)]
    for index, image in found:
        assert np.array_equal(image, run[index])


def test_a_video_that_breaks_off_says_so_and_keeps_what_there_is(tmp_path, small_shards):
    path = make_video(tmp_path / "a.avi", 11)
    request = make_request([path], ["m"])
    (listed,) = list_sources(request)
    longer = dataclasses.replace(listed, videos=(VideoFile(path, 40, 10.0, 1),))
    shards = Kept()
    found = scan_frames((longer,), request, shards, None, lambda n: None)
    assert len(found) == 12
    assert found[-1].poor == "unreadable"
    assert found[-1].detail == "the video breaks off after 11 of 40 frames"
    assert len(shards) == 10  # the shards behind the end are known to be empty
    assert scan_frames((longer,), request, shards, None, lambda n: None) == found


def test_a_statement_that_is_a_little_too_high_is_no_error(tmp_path):
    path = make_video(tmp_path / "a.avi", 10)
    found = list(frames_of(VideoFile(path, 12, 10.0, 1), lambda n: True))
    assert len(found) == 10
    assert all(image is not None for _, image in found)


@pytest.mark.parametrize("lost", [0, 1, 2, 3])
def test_any_lost_shard_is_made_again_alike(tmp_path, small_shards, lost):
    video = make_video(tmp_path / "a.avi", 14)
    request = make_request([video, make_flight(tmp_path / "f", 6, first_seed=50)], ["m"])
    sources = list_sources(request)
    shards = Kept()
    whole = scan_frames(sources, request, shards, None, lambda n: None)
    assert [each.words for each in whole] == [f"frame {n}" for n in (*range(14), *range(6))]
    names = sorted(shards)
    del shards[names[lost]]
    assert scan_frames(sources, request, shards, None, lambda n: None) == whole
    assert sorted(shards) == names


def test_a_candidate_is_the_letterboxed_frame_without_its_borders(tmp_path):
    folder = tmp_path / "2024-07-01"
    make_flight(folder, 3, size_px=(96, 40))
    table = tmp_path / "t.csv"
    table.write_text("frame,alt_m\nf1.png,77.125\n2,\n")
    request = make_request([ImageSource(folder, telemetry=table)], ["m"])
    found = scan_frames(list_sources(request), request, Kept(), None, lambda n: None)
    assert [each.altitude_m for each in found] == [None, 77.12, None]
    for n, each in enumerate(found):
        image = texture(n, (96, 40))
        boxed = letterbox(image, *FRAME_PX)
        assert each.sha256 == pixels_sha256(boxed.image)
        look = look_at(inside(boxed, (96, 40)))
        assert (each.brightness, each.sharpness) == (look.brightness, look.sharpness)
        assert each.size_px == (96, 40)
        assert each.season == "Jun-Aug"  # of the folder's name


def test_inside_cuts_exactly_the_borders():
    for size in ((96, 40), (40, 96), (64, 48), (31, 77), (1, 50)):
        image = np.full((size[1], size[0], 3), 9, np.uint8)
        boxed = letterbox(image, *FRAME_PX)
        part = inside(boxed, size)
        assert (part == 9).all()
        assert part.size == (boxed.image == 9).sum()


def test_features_are_made_of_what_enters_the_graph(tmp_path):
    folder = make_flight(tmp_path / "f", 3)
    (folder / "f3.png").write_bytes(b"broken")
    request = make_request([folder], ["m"])
    shapes = []

    def vector(image):
        shapes.append(image.shape)
        return image.mean(axis=(0, 1))

    maker = FeatureMaker("mean", vector, vector)
    found = scan_frames(list_sources(request), request, Kept(), maker, lambda n: None)
    assert shapes == [(FRAME_PX[1], FRAME_PX[0], 3)] * 3
    assert [len(each.feature) for each in found] == [12, 12, 12, 0]
    assert found[3].poor == "unreadable"
