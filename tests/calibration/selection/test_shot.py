"""Dates and heights: EXIF as another library writes it, and names of files."""

from __future__ import annotations

import io

import pytest

from calibration.selection.shot import Shot, month_in_name, read_exif, shot_of

Image = pytest.importorskip("PIL.Image")


def jpeg(date: str | None = None, altitude=None, below: int = 0, only_time: str | None = None):
    image = Image.new("RGB", (8, 8))
    exif = image.getexif()
    if only_time:
        exif[0x0132] = only_time
    if date:
        exif.get_ifd(0x8769)[0x9003] = date
    if altitude is not None:
        gps = exif.get_ifd(0x8825)
        gps[5] = bytes([below])
        gps[6] = altitude
    stream = io.BytesIO()
    image.save(stream, "JPEG", exif=exif.tobytes())
    return stream.getvalue()


def test_exif():
    assert read_exif(jpeg("2023:08:02 12:45:27", 59.75)) == Shot(8, 59.75)
    assert read_exif(jpeg("2023:08:02 12:45:27")).season == "Jun-Aug"
    assert read_exif(jpeg(altitude=12.5, below=1)) == Shot(None, -12.5)
    assert read_exif(jpeg(only_time="2021:12:24 18:00:00")).season == "Dec-Feb"


def test_the_date_of_the_shot_counts_before_that_of_the_file():
    assert read_exif(jpeg("2020:03:01 10:00:00", only_time="2024:10:05 09:00:00")).month == 3


@pytest.mark.parametrize(
    "date", ["0000:00:00 00:00:00", "1970:01:01 00:00:00", "2020:13:01 0", "x"]
)
def test_a_clock_that_was_never_set_says_nothing(date):
    assert read_exif(jpeg(date)).month is None


def test_broken_exif_says_nothing_and_harms_nothing():
    whole = jpeg("2023:08:02 12:45:27", 59.75)
    start = whole.index(b"Exif\0\0")
    assert read_exif(b"") == read_exif(b"\x89PNG....") == Shot()
    for end in range(2, start + 60):
        read_exif(whole[:end])
    for at in range(start + 6, start + 60):
        read_exif(whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :])


@pytest.mark.parametrize(
    ("name", "month"),
    [
        ("DJI_20240511123045_0001.JPG", 5),
        ("flight_2024-11-03.mp4", 11),
        ("2023_02_28_north.png", 2),
        ("IMG_20230830_1.jpg", 8),
        ("DJI_0612.JPG", None),
        ("frame_20241305.png", None),
        ("12024051.png", None),
        ("2024-0511.png", None),
    ],
)
def test_dates_in_names(name, month):
    assert month_in_name(name) == month


def test_exif_counts_before_the_name(tmp_path):
    path = tmp_path / "DJI_20240511123045.jpg"
    path.write_bytes(jpeg("2023:08:02 12:45:27"))
    assert shot_of(path).month == 8
    path.write_bytes(jpeg())
    assert shot_of(path).month == 5
