"""A selection folder that was altered on the way."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from made_flights import texture

from calibration.selection.record import (
    ChosenImage,
    Selection,
    SelectionFolder,
    decode_png,
    encode_png,
    pixels_sha256,
    record_bytes,
)
from edge.errors import CalibrationError

FRAME, WINDOW = texture(1, (32, 24)), texture(2, (16, 16))


def image(kind: str, file: str, pixels, **fields) -> ChosenImage:
    values = {"source": "a.mp4", "place": "frame 1", "site": "town"}
    looks = {"brightness": 100.5, "contrast": 20.25, "sharpness": 300.0}
    return ChosenImage(
        kind=kind, file=file, sha256=pixels_sha256(pixels), **{**values, **looks, **fields}
    )


def selection(**changes) -> Selection:
    images = (
        image("frame", "frames/0000.png", FRAME, frame_affine=(0.5, 0, 0, 0, 0.5, 1.5)),
        image("window", "windows/0000.png", WINDOW),
    )
    values = {"seed": 3, "frame_px": (32, 24), "window_px": (16, 16), "gsd_m": 0.25}
    return Selection(**{**values, "images": images, "left_out": {"black": 2}, **changes})


@pytest.fixture
def folder(tmp_path):
    for name, pixels in (("frames", FRAME), ("windows", WINDOW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0000.png").write_bytes(encode_png(pixels))
    (tmp_path / "selection.json").write_bytes(record_bytes(selection()))
    return tmp_path


def test_round_trip(folder):
    opened = SelectionFolder.open(folder)
    assert opened.selection == selection()
    assert np.array_equal(opened.read(opened.frames[0]), FRAME)
    assert np.array_equal(opened.read(opened.windows[0]), WINDOW)
    other = cv2.imread(str(folder / "frames/0000.png"))[:, :, ::-1]  # RGB for everybody else too
    assert np.array_equal(other, FRAME)


def test_the_digest_is_of_what_ranges_depend_on():
    digest = selection().digest()
    assert selection(gsd_m=0.25, seed=9, notes=("x",), left_out={}).digest() == digest
    assert selection(gsd_m=1).digest() == selection(gsd_m=1.0).digest()
    assert selection(gsd_m=0.3).digest() != digest
    assert selection(images=selection().images[::-1]).digest() != digest
    changed = image("frame", "frames/0000.png", 255 - FRAME, frame_affine=(0.5, 0, 0, 0, 0.5, 1.5))
    assert selection(images=(changed, selection().images[1])).digest() != digest


def test_one_altered_pixel_is_noticed(folder):
    opened = SelectionFolder.open(folder)
    pixels = FRAME.copy()
    pixels[5, 5, 1] ^= 1
    (folder / "frames/0000.png").write_bytes(encode_png(pixels))
    with pytest.raises(CalibrationError, match=r"frames/0000.png was altered") as caught:
        opened.read(opened.frames[0])
    assert opened.frames[0].sha256 in str(caught.value)
    (folder / "frames/0000.png").write_bytes(encode_png(FRAME)[:200])
    with pytest.raises(CalibrationError):
        opened.read(opened.frames[0])
    (folder / "frames/0000.png").write_bytes(encode_png(WINDOW))
    with pytest.raises(CalibrationError, match="found:    16 x 16 px"):
        opened.read(opened.frames[0])
    (folder / "frames/0000.png").unlink()
    with pytest.raises(CalibrationError, match="is not complete"):
        SelectionFolder.open(folder)
    assert decode_png(folder / "frames/0000.png") is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: values.update(seed=4), "content of sha256"),
        (lambda values: values.update(schema="tilefix-selection/9"), "tilefix-selection/9"),
        (lambda values: values.pop("selection_sha256"), "content of sha256 None"),
    ],
)
def test_an_altered_record(folder, change, words):
    values = json.loads((folder / "selection.json").read_text())
    change(values)
    (folder / "selection.json").write_text(json.dumps(values))
    with pytest.raises(CalibrationError, match="was altered") as caught:
        SelectionFolder.open(folder)
    assert words in str(caught.value)
    assert caught.value.exit_code == 15


@pytest.mark.parametrize(
    "file", ["../secret.png", "frames/../../x.png", "/etc/x.png", "windows/1.png"]
)
def test_a_picture_outside_its_folder(folder, file):
    bad = selection(images=(image("frame", file, FRAME),))
    (folder / "selection.json").write_bytes(record_bytes(bad))
    with pytest.raises(CalibrationError, match="was altered"):
        SelectionFolder.open(folder)


def test_no_selection_at_all(tmp_path):
    with pytest.raises(CalibrationError, match="no readable selection") as caught:
        SelectionFolder.open(tmp_path)
    assert "tilefix calibrate" in str(caught.value)
    (tmp_path / "selection.json").write_text("[1")
    with pytest.raises(CalibrationError, match="no readable selection"):
        SelectionFolder.open(tmp_path)
    (tmp_path / "selection.json").write_text("[1]")
    with pytest.raises(CalibrationError, match="was altered"):
        SelectionFolder.open(tmp_path)
