"""Sources of frames: what is handed out, in which order, and what is said of broken ones."""

from __future__ import annotations

import zlib

import cv2
import numpy as np
import pytest

from edge.errors import SourceError
from edge.frames import Pictures, Video, open_source, read_image
from edge.live import without_password


def picture(seed=0, wide=96, high=64):
    noise = np.random.default_rng(seed).integers(0, 256, (high // 8, wide // 8, 3), dtype=np.uint8)
    return cv2.resize(noise, (wide, high), interpolation=cv2.INTER_CUBIC)


def save(path, image, flags=()):
    done, data = cv2.imencode(path.suffix, image[:, :, ::-1], list(flags))
    assert done
    path.write_bytes(data.tobytes())
    return path


def save_video(path, count, wide=96, high=64, code="MJPG"):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 10.0, (wide, high))
    if not writer.isOpened():
        pytest.skip(f"this OpenCV writes no {code}")
    for index in range(count):
        writer.write(np.full((high, wide, 3), 20 + 5 * index, np.uint8))
    writer.release()
    return path


def test_a_picture_keeps_its_colours(tmp_path):
    image = picture()
    source = open_source(save(tmp_path / "one.png", image))
    frames = list(source)
    assert (source.live, source.count, source.dropped, len(frames)) == (False, 1, 0, 1)
    assert np.array_equal(frames[0].image, image)
    assert (frames[0].index, frames[0].time_s) == (0, 0.0)
    assert frames[0].source.endswith("one.png")


def test_a_folder_is_read_in_natural_order_and_nothing_is_dropped(tmp_path):
    for number in (10, 2, 1, 100):
        save(tmp_path / f"img_{number}.jpg", picture(number))
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.jpg").write_bytes(b"")
    frames = list(open_source(tmp_path))
    names = [frame.source.rsplit("/", 1)[-1] for frame in frames]
    assert names == ["img_1.jpg", "img_2.jpg", "img_10.jpg", "img_100.jpg"]
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert not any(frame.timed for frame in frames)  # a second apart is a guess


def test_every_frame_of_a_video_comes_with_its_time(tmp_path):
    source = open_source(save_video(tmp_path / "flight.avi", 12))
    assert isinstance(source, Video)
    frames = list(source)
    assert [frame.index for frame in frames] == list(range(12))
    assert frames[3].time_s == pytest.approx(0.3) and frames[3].timed
    assert frames[0].image.mean() < frames[11].image.mean() - 40
    source.close()


def test_a_picture_is_turned_as_its_exif_says(tmp_path):
    path = save(tmp_path / "turned.jpg", picture(1, 96, 64))
    data = path.read_bytes()
    # orientation 6: the camera was held upright, rows run from right to left
    tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    path.write_bytes(data[:2] + segment + data[2:])
    assert read_image(path).shape == (96, 64, 3)


def test_pictures_that_cannot_be_read_are_left_out_where_that_is_asked_for(tmp_path):
    for index in (0, 2):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((4, 4, 3), index, np.uint8))
    (tmp_path / "1.png").write_bytes(b"no picture")
    left_out = []
    source = open_source(tmp_path, left_out.append)
    assert [(each.index, each.image[0, 0, 0]) for each in source] == [(0, 0), (2, 2)]
    (error,) = left_out
    assert error.what == f"the picture {tmp_path / '1.png'} cannot be read"
    assert source.count == 3
    with pytest.raises(SourceError, match=r"1\.png cannot be read"):
        list(open_source(tmp_path))
    with pytest.raises(SourceError, match=r"1\.png cannot be read"):
        list(open_source(tmp_path / "1.png", left_out.append))
    for index in (0, 2):
        (tmp_path / f"{index}.png").write_bytes(b"")
    with pytest.raises(SourceError, match="not one picture of") as caught:
        list(open_source(tmp_path, left_out.append))
    assert caught.value.found == "3 that cannot be read"


def test_a_header_of_more_pixels_than_opencv_takes_is_one_bad_picture(tmp_path):
    """Its reader raises an error of its own there."""
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint8))
    data = bytearray(path.read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(bytes(data))
    with pytest.raises(SourceError, match=r"a\.png cannot be read") as caught:
        read_image(path)
    assert "OpenCV refuses" in caught.value.found


@pytest.mark.parametrize("share", [0.2, 0.6, 0.98])
def test_a_truncated_jpeg_is_an_error_not_a_half_grey_frame(tmp_path, share):
    path = save(tmp_path / "cut.jpg", picture(2, 320, 240))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SourceError) as caught:
        list(open_source(path))
    for word in ("cut.jpg cannot be read", "breaks off", "take it out of the folder"):
        assert word in str(caught.value)


def test_a_jpeg_with_a_thumbnail_inside_is_whole_only_if_its_own_scan_ends(tmp_path):
    path = save(tmp_path / "thumb.jpg", picture(3, 320, 240))
    thumb = save(tmp_path / "small.jpg", picture(4, 32, 24)).read_bytes()
    segment = b"\xff\xe1" + (len(thumb) + 8).to_bytes(2, "big") + b"Exif\0\0" + thumb
    data = path.read_bytes()
    whole = data[:2] + segment + data[2:]
    path.write_bytes(whole)
    assert read_image(path).shape == (240, 320, 3)
    path.write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(SourceError, match="breaks off"):
        read_image(path)


def test_bytes_behind_a_jpeg_do_no_harm(tmp_path):
    path = save(tmp_path / "more.jpg", picture(5))
    path.write_bytes(path.read_bytes() + b"\xff\xda maker notes without end")
    assert read_image(path).shape == (64, 96, 3)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("noise.png", b"not a picture at all", ["noise.png cannot be read", "no decoder"]),
        ("empty.jpg", b"", ["empty.jpg cannot be read", "0 bytes"]),
        ("noise.mp4", b"\0" * 4000, ["noise.mp4 cannot be read", "4000 bytes", "H.264"]),
        ("empty.mp4", b"", ["empty.mp4 cannot be read"]),
    ],
)
def test_files_that_are_no_pictures(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        list(open_source(path))
    for word in words:
        assert word in str(caught.value)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_a_video_that_breaks_off_gives_its_frames_and_then_an_error(tmp_path, share):
    path = save_video(tmp_path / "cut.mp4", 40, code="mp4v")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SourceError, match=r"cut\.mp4 (breaks off|cannot be read)"):
        list(open_source(path))


def test_an_early_end_of_a_video_is_noticed(tmp_path, monkeypatch):
    source = Video(save_video(tmp_path / "short.avi", 10))
    source.count = 40  # as a header states that was written before the power went
    frames = []
    with pytest.raises(SourceError) as caught:
        frames.extend(frame.index for frame in source)
    assert frames == list(range(10))
    for word in ("breaks off", "40 frames", "10 that can be decoded", "is kept"):
        assert word in str(caught.value)


def test_sources_that_are_not_there(tmp_path):
    with pytest.raises(SourceError) as caught:
        open_source(tmp_path / "none.mp4")
    for word in ("none.mp4 does not exist", "an RTSP URL", "--source"):
        assert word in str(caught.value)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(SourceError) as caught:
        open_source(tmp_path)
    for word in ("holds no pictures", ".jpg", "1 other files"):
        assert word in str(caught.value)


def test_a_camera_or_stream_that_nobody_answers_at(capfd):
    for source, shown in (
        ("97", "97"),
        ("rtsp://pilot:secret@127.0.0.1:9/main", "rtsp://***@127.0.0.1:9/main"),
    ):
        with pytest.raises(SourceError) as caught:
            open_source(source)
        assert f"the live source {shown} cannot be opened" in str(caught.value)
        assert "tilefix doctor" in str(caught.value)
        assert "secret" not in str(caught.value)


def test_passwords_are_never_shown():
    assert without_password("rtsp://u:p@cam/1?x=a@b") == "rtsp://***@cam/1?x=a@b"
    assert without_password("rtsp://cam/1") == "rtsp://cam/1"
    assert without_password("rtsp://pilot:p@ss@10.0.0.2/main") == "rtsp://***@10.0.0.2/main"
    assert without_password("rtsp://cam?x=a@b") == "rtsp://cam?x=a@b"


def test_a_number_that_is_a_folder_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0").mkdir()
    save(tmp_path / "0" / "a.png", picture())
    assert isinstance(open_source("0"), Pictures)
