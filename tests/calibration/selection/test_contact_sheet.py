"""The contact sheet shows each picture, its brightness and what was left out."""

from __future__ import annotations

import cv2
import numpy as np

from calibration.selection import contact_sheet
from calibration.selection.contact_sheet import BAR, COLUMNS, THUMB_PX, WIDTH_PX, draw_sheet
from calibration.selection.record import ChosenImage, Selection, encode_png
from edge.palette import PAPER


def sheet_of(folder, colours, monkeypatch, size=(64, 64), affine=()):
    """A sheet over plain pictures, and every text that was put on it."""
    texts = []

    def put(image, text, *rest):
        texts.append(text)
        return 10

    monkeypatch.setattr(contact_sheet, "put_text", put)
    images = []
    (folder / "frames").mkdir()
    for n, (site, colour) in enumerate(colours):
        name = f"frames/{n:04d}.png"
        pixels = np.full((size[1], size[0], 3), colour, np.uint8)
        (folder / name).write_bytes(encode_png(pixels))
        images.append(
            ChosenImage(
                kind="frame",
                file=name,
                sha256="",
                source="",
                place="",
                brightness=float(np.mean(colour)),
                contrast=0,
                sharpness=0,
                site=site,
                season="Jun-Aug",
                altitude_m=50.0 + n,
                frame_affine=affine,
            )
        )
    selection = Selection(
        seed=7,
        frame_px=size,
        window_px=(8, 8),
        gsd_m=1,
        images=tuple(images),
        left_out={"blurred": 3, "near-duplicate": 4},
        notes=("a note that somebody should read",),
    )
    return draw_sheet(selection, folder), texts


def test_every_picture_is_there_with_a_bar_as_long_as_it_is_bright(tmp_path, monkeypatch):
    colours = [("town", (20 + n, 200, 90)) for n in range(12)] + [("port", (250, 30, 5))]
    sheet, texts = sheet_of(tmp_path, colours, monkeypatch)
    assert sheet.shape[1] == WIDTH_PX
    flat = sheet.reshape(-1, 3)
    for _, colour in colours:
        assert (flat == colour).all(axis=1).sum() == THUMB_PX**2
    bars = (sheet == BAR).all(axis=2).sum(axis=1)
    long = round(THUMB_PX * np.mean((250, 30, 5)) / 255)
    assert long in bars.tolist()
    assert tuple(sheet[-1, 0]) == PAPER
    assert {"town", "port", "0012", "13 frames  ·  0 windows"} <= set(texts)
    assert texts.index("port") < texts.index("town")
    assert any(text.startswith("Left out: 3 blurred, 4 near-duplicate") for text in texts)
    assert "a note that somebody should read" in texts
    assert "12 frames  ·  Jun-Aug  ·  50 to 61 m" in texts


def test_borders_of_the_letterbox_are_not_shown(tmp_path, monkeypatch):
    sheet, _ = sheet_of(
        tmp_path, [("a", (9, 99, 199))], monkeypatch, size=(64, 64), affine=(1, 0, 0, 0, 1, 16)
    )
    rows = (sheet == (9, 99, 199)).all(axis=2).any(axis=1).sum()
    assert rows == THUMB_PX // 2


def test_rows_are_as_many_as_are_needed(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    full, _ = sheet_of(tmp_path / "a", [("s", (1, 2, 3))] * COLUMNS, monkeypatch)
    more, _ = sheet_of(tmp_path / "b", [("s", (1, 2, 3))] * (COLUMNS + 1), monkeypatch)
    assert more.shape[0] - full.shape[0] == THUMB_PX + contact_sheet.CAPTION_PX + 12


def test_the_jpeg_is_the_sheet(tmp_path, monkeypatch):
    sheet, _ = sheet_of(tmp_path, [("s", (200, 10, 10))], monkeypatch)
    data = contact_sheet.sheet_bytes(sheet)
    back = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert back.shape == sheet.shape
    assert abs(back.astype(int) - sheet).mean() < 3
