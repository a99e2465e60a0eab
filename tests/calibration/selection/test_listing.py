"""What sources hold, how candidates are spread over them, and requests that cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_flights import make_flight, make_request, make_video, save, texture

from calibration.selection.listing import list_sources
from calibration.selection.request import ImageSource, SelectionRequest, checked, parse_source
from edge.errors import SourceError, TelemetryError, UsageError


@pytest.fixture
def flight(tmp_path):
    return make_flight(tmp_path / "town", 11)


def test_natural_order_and_every_kth(flight):
    (listed,) = list_sources(make_request([flight], ["map"], most_frame_candidates=12))
    assert [path.name for path in listed.pictures] == [f"f{n}.png" for n in range(11)]
    assert (listed.stride, listed.found, listed.looked_at) == (1, 11, 11)
    (listed,) = list_sources(make_request([flight], ["map"], most_frame_candidates=4))
    assert (listed.stride, listed.looked_at) == (3, 4)


def test_a_long_flight_leaves_the_short_one_its_candidates(flight, tmp_path):
    short = make_flight(tmp_path / "port", 3, first_seed=50)
    request = make_request([flight, short], ["map"], most_frame_candidates=8)
    town, port = list_sources(request)
    assert (port.stride, port.looked_at) == (1, 3)
    assert town.looked_at <= 5
    assert town.looked_at + port.looked_at <= 8


def test_videos_of_a_folder_and_alone(tmp_path):
    (tmp_path / "film").mkdir()
    path = make_video(tmp_path / "film" / "one.avi", 10, fps=5)
    alone, folder = list_sources(make_request([path, path.parent], ["m"], most_frame_candidates=10))
    for listed in (alone, folder):
        (found,) = listed.videos
        assert (found.count, found.fps, found.stride) == (10, 5.0, 2)
        assert listed.looked_at == 5
    assert listed.pictures == ()


def test_identity_follows_names_and_content(flight):
    def identity():
        return list_sources(make_request([flight], ["map"]))[0].identity

    first = identity()
    assert identity() == first
    save(flight / "f3.png", texture(500))
    second = identity()
    assert second != first
    (flight / "f9.png").rename(flight / "g9.png")
    assert identity() not in (first, second)


def test_a_folder_without_pictures_or_nothing_at_all(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(SourceError, match="holds no pictures and no videos"):
        list_sources(make_request([tmp_path], ["map"]))
    with pytest.raises(SourceError, match="does not exist"):
        list_sources(make_request([tmp_path / "nowhere"], ["map"]))
    (tmp_path / "bad.mp4").write_bytes(b"no video" * 9)
    with pytest.raises(SourceError, match="cannot be read"):
        list_sources(make_request([tmp_path / "bad.mp4"], ["map"]))


@pytest.mark.parametrize("live", ["0", "rtsp://camera/1", "/dev/video7"])
def test_a_live_source_is_refused(live):
    with pytest.raises(UsageError, match="is a live source") as caught:
        list_sources(make_request([live], ["map"]))
    assert caught.value.exit_code == 2


def test_telemetry_of_several_videos_is_refused(tmp_path):
    for name in ("a.avi", "b.avi"):
        make_video(tmp_path / name, 2)
    table = tmp_path / "telemetry.csv"
    table.write_text("frame,alt_m\n0,90\n")
    source = ImageSource(tmp_path, telemetry=table)
    with pytest.raises(UsageError, match="cannot belong to all of") as caught:
        list_sources(make_request([source], ["map"]))
    assert "0 pictures and 2 videos" in str(caught.value)


@pytest.mark.parametrize("rows", ["frame,yaw_deg\n0,90\n", "frame,alt_m\n0,\n"])
def test_telemetry_without_an_altitude_is_refused(flight, tmp_path, rows):
    table = tmp_path / "telemetry.csv"
    table.write_text(rows)
    with pytest.raises(TelemetryError, match="tells no altitude") as caught:
        list_sources(make_request([ImageSource(flight, telemetry=table)], ["map"]))
    assert "column alt_m" in caught.value.do and caught.value.expected and caught.value.found


def test_sites_are_named_after_folders(tmp_path):
    for folder in ("north/frames", "south/frames", "port"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "film.avi").write_bytes(b"")
    names = [tmp_path / x for x in ("north/frames", "south/frames", "port", "film.avi")]
    request = checked(make_request([*names, ImageSource(names[0], site="mine")], ["m"]))
    sites = [source.site for source in request.sources]
    assert sites == ["north/frames", "south/frames", "port", "film", "mine"]


def test_parse_source(tmp_path, monkeypatch):
    assert parse_source("flights/a") == ImageSource(Path("flights/a"))
    assert parse_source("port=flights/a") == ImageSource(Path("flights/a"), site="port")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x=y").mkdir()
    assert parse_source("x=y") == ImageSource(Path("x=y"))
    for text in ("=a", "b="):
        with pytest.raises(UsageError, match="a source cannot be read"):
            parse_source(text)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sources": ()}, "no frames were given"),
        ({"maps": ()}, "no map was given"),
        ({"frame_px": (0, 4)}, "the size of a frame cannot be used"),
        ({"window_px": (64, 32)}, "the window is not square"),
        ({"gsd_m": float("nan")}, "the ground sampling distance cannot be used"),
        ({"frames": 8}, "32 to 4096 frames: with 32 seen"),
        ({"windows": 8}, "16 to 2048 windows: with 16 seen"),
        ({"frames": 5000}, "found:    5000"),
        ({"least_frames": 0}, "a least number of 0"),
    ],
)
def test_a_request_that_cannot_be_meant(change, words):
    source = (ImageSource(Path("a")),)
    values = {
        "sources": source,
        "maps": source,
        "frame_px": (64, 64),
        "window_px": (64, 64),
        "gsd_m": 1,
    }
    with pytest.raises(UsageError) as caught:
        checked(SelectionRequest(**{**values, **change}))
    assert words in str(caught.value)
    assert "--help" not in caught.value.do
    assert isinstance(checked(SelectionRequest(**values)).gsd_m, float)


@pytest.mark.parametrize(
    ("change", "found", "do"),
    [
        ({"frames": 8}, "8 frames", "give --frame-count 32"),
        ({"windows": 3}, "3 windows", "give --window-count 16"),
        ({"windows": 4000}, "4000 windows", "give --window-count 2048"),
        (
            {"frames": 8, "windows": 3},
            "8 frames, 3 windows",
            "give --frame-count 32 --window-count 16",
        ),
    ],
)
def test_numbers_are_refused_at_once_and_the_options_named(change, found, do):
    source = (ImageSource(Path("a")),)
    sides = {"frame_px": (64, 64), "window_px": (64, 64), "gsd_m": 1.0}
    with pytest.raises(UsageError) as caught:
        checked(SelectionRequest(sources=source, maps=source, **sides, **change))
    assert (caught.value.found, caught.value.do) == (found, do)
    names = " and ".join(name for name in ("frames", "windows") if name in change)
    assert caught.value.what == f"the number of {names} cannot be used"
