"""The whole way from flights and a map to a selection folder."""

from __future__ import annotations

import errno
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_flights import FRAME_PX, make_flight, make_map, make_request, make_video, save, texture

import calibration.selection.selector as selector
import edge.sinks
from calibration.selection.candidate import FeatureMaker
from calibration.selection.record import SelectionFolder
from calibration.selection.request import ImageSource
from calibration.selection.selector import select
from edge.errors import CalibrationError, OutputError
from edge.frames import read_image
from edge.letterbox import letterbox


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """A flight of pictures, a video and a map; nobody writes into it."""
    folder = tmp_path_factory.mktemp("town")
    make_flight(folder / "flight", 14)
    make_video(folder / "film.avi", 9, first_seed=200)
    make_map(folder / "map.mbtiles")
    return folder


def asked(town: Path, **changes):
    return make_request([town / "flight", town / "film.avi"], [town / "map.mbtiles"], **changes)


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_folder_is_what_its_record_says(town, tmp_path):
    folder = select(asked(town), tmp_path / "out")
    chosen = folder.selection
    assert [len(folder.frames), len(folder.windows)] == [12, 8]
    sites = Counter(image.site for image in folder.frames)
    assert min(sites["flight"], sites["film"]) >= 3  # half of an equal share, the rest is free
    assert sites["flight"] + sites["film"] == 12
    beside = {"selection.json", "contact_sheet.jpg", "request.json"}
    assert {x.file for x in chosen.images} | beside == set(content(folder.path))
    for image in folder.frames:
        if image.site != "flight":
            continue
        boxed = letterbox(read_image(town / "flight" / image.source), *FRAME_PX)
        assert np.array_equal(folder.read(image), boxed.image)
        assert image.frame_affine == tuple(boxed.affine.reshape(-1).tolist())
    for image in folder.windows:
        assert folder.read(image).shape == (64, 64, 3)
        assert image.frame_affine == ()
    assert not (tmp_path / "out.part").exists()
    assert [(x.site, x.found, x.chosen) for x in chosen.sources[:2]] == [
        ("flight", 14, sites["flight"]),
        ("film", 9, sites["film"]),
    ]


def test_the_same_request_gives_the_same_bytes(town, tmp_path):
    one = select(asked(town), tmp_path / "one")
    shutil.copytree(town, tmp_path / "copy")  # other times, other place
    other = select(asked(tmp_path / "copy"), tmp_path / "other")
    assert content(one.path) == content(other.path)
    assert one.selection.digest() == other.selection.digest()
    seeded = select(asked(town, seed=1), tmp_path / "seeded")
    assert seeded.selection.digest() != one.selection.digest()


def test_a_finished_selection_is_handed_back_and_checked(town, tmp_path):
    first = select(asked(town), tmp_path / "out")
    stages = []
    again = select(asked(town), tmp_path / "out", lambda at: stages.append(at.stage))
    assert again.selection == first.selection
    assert stages == []
    with pytest.raises(CalibrationError, match="cannot be written to") as caught:
        select(asked(town, seed=4), tmp_path / "out")
    assert caught.value.found == "seed: wanted 4, found 0"
    save(tmp_path / "out" / first.frames[0].file, texture(77, FRAME_PX))
    with pytest.raises(CalibrationError, match="was altered"):
        select(asked(town), tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/letter.txt").write_text("x")
    with pytest.raises(CalibrationError, match="files that are no selection"):
        select(asked(town), tmp_path / "full")


def test_frames_of_other_sizes_are_letterboxed_and_told(town, tmp_path):
    shutil.copytree(town / "flight", tmp_path / "mixed")
    save(tmp_path / "mixed/wide.png", texture(300, (160, 40)))
    save(tmp_path / "mixed/tiny.png", texture(301, (20, 30)))
    request = make_request([tmp_path / "mixed"], [town / "map.mbtiles"], frames=16)
    folder = select(request, tmp_path / "out")
    assert {"wide.png", "tiny.png"} <= {image.source for image in folder.frames}
    assert folder.selection.notes[0].startswith("mixed: frames of 3 sizes, 20 x 30, 96 x 72, 160 x")
    for image in folder.frames:
        assert folder.read(image).shape == (FRAME_PX[1], FRAME_PX[0], 3)


def test_poor_frames_are_left_out_and_counted(town, tmp_path):
    shutil.copytree(town / "flight", tmp_path / "poor")
    save(tmp_path / "poor/black.png", np.zeros((72, 96, 3), np.uint8))
    save(tmp_path / "poor/copy.png", texture(0))
    save(tmp_path / "poor/soft.png", cv2.GaussianBlur(texture(400), (0, 0), 2.5))
    (tmp_path / "poor/torn.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    request = make_request([tmp_path / "poor"], [town / "map.mbtiles"], frames=20)
    folder = select(request, tmp_path / "out")
    assert folder.selection.left_out == {
        "unreadable": 1,
        "black": 1,
        "blurred": 1,
        "near-duplicate": 1,
    }
    assert len(folder.frames) == 14  # all that are left
    assert folder.selection.notes[0] == "all 14 usable frames are taken, 20 were wanted"
    names = {image.source for image in folder.frames}
    assert not names & {"black.png", "soft.png", "torn.jpg", "f0.png"} or "copy.png" not in names
    assert any("torn.jpg" in note for note in folder.selection.notes)


def test_a_flight_that_is_too_short(town, tmp_path):
    request = make_request([town / "film.avi"], [town / "map.mbtiles"], frames=40, least_frames=32)
    with pytest.raises(CalibrationError, match="too few frames to calibrate with") as caught:
        select(request, tmp_path / "out")
    assert "9 usable of 9 looked at" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_season_height_and_balance(town, tmp_path):
    flight = make_flight(tmp_path / "high", 20, first_seed=600)
    for n in range(20):
        (flight / f"f{n}.png").rename(flight / f"2024-{7 if n < 17 else 12:02d}-01_{n}.png")
    table = tmp_path / "telemetry.csv"
    rows = [f"{n},{100 if n % 2 else 40}" for n in range(20)]
    table.write_text("frame,alt_m\n" + "\n".join(rows) + "\n")
    source = ImageSource(flight, telemetry=table)
    folder = select(make_request([source], [town / "map.mbtiles"], frames=8), tmp_path / "out")
    seasons = Counter(image.season for image in folder.frames)
    assert seasons["Dec-Feb"] >= 2  # of three, among 17 others: half of an equal share
    assert {image.altitude_m for image in folder.frames} == {40, 100}
    given = ImageSource(flight, season="monsoon")
    folder = select(make_request([given], [town / "map.mbtiles"], frames=8), tmp_path / "given")
    assert {image.season for image in folder.frames} == {"monsoon"}


def test_a_networks_features_take_part_and_are_part_of_the_request(town, tmp_path):
    made = []

    def vector(image):
        made.append(image.shape)
        return np.array([image.mean(), image.std(), 1.0], np.float32)

    plain = select(asked(town), tmp_path / "plain")
    maker = FeatureMaker("mean and spread", vector, vector)
    folder = select(asked(town), tmp_path / "out", features=maker)
    assert set(made) == {(48, 64, 3), (64, 64, 3)}
    for_frames = FeatureMaker("mean and spread of frames", vector, None)
    mixed = select(asked(town), tmp_path / "frames", features=for_frames)
    assert mixed.frames == folder.frames
    assert mixed.windows == plain.windows
    assert folder.selection.request_sha256 != plain.selection.request_sha256
    assert folder.selection.digest() != plain.selection.digest()


def test_a_full_disk_keeps_what_was_done(town, tmp_path, monkeypatch):
    write, calls = Path.write_bytes, []

    def full(self, data):
        calls.append(self)
        if len(calls) == 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(edge.sinks.Path, "write_bytes", full)
    with pytest.raises(OutputError, match="cannot be written") as caught:
        select(asked(town), tmp_path / "out")
    assert "No space left" in str(caught.value)
    monkeypatch.undo()
    kept = content(tmp_path / "out.part")
    assert any(name.startswith("frames/") for name in kept)
    assert not (tmp_path / "out").exists()
    resumed = select(asked(town), tmp_path / "out")
    assert content(resumed.path) == content(select(asked(town), tmp_path / "plain").path)


def test_sources_that_change_meanwhile_are_noticed(town, tmp_path):
    shutil.copytree(town / "flight", tmp_path / "live")

    def change(at):
        if at.stage == "choosing":
            for path in (tmp_path / "live").iterdir():
                save(path, texture(900))

    with pytest.raises(CalibrationError, match="changed while pictures were selected from it"):
        select(make_request([tmp_path / "live"], [town / "map.mbtiles"]), tmp_path / "out", change)


def test_another_request_does_not_go_on_with_this_one(town, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(selector, "scan_windows", stop)
    with pytest.raises(KeyboardInterrupt):
        select(asked(town), tmp_path / "out")
    monkeypatch.undo()
    with pytest.raises(
        CalibrationError, match="holds the first part of another selection"
    ) as caught:
        select(asked(town, seed=3, frames=10), tmp_path / "out")
    assert caught.value.found == "number of frames: wanted 10, found 12; seed: wanted 3, found 0"
    assert isinstance(select(asked(town), tmp_path / "out"), SelectionFolder)


def test_two_at_once_are_refused(town, tmp_path):
    def second(at):
        if at.stage == "choosing":
            with pytest.raises(CalibrationError, match="another process is making"):
                select(asked(town), tmp_path / "out")

    select(asked(town), tmp_path / "out", second)
