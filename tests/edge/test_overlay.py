"""Pictures of fixes: what is where, in which colour; films; labels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.errors import OutputError
from edge.feature_cache import FeatureCache
from edge.film import OverlayFilm, encode_image, write_image
from edge.labels import Labels
from edge.overlay import FRAME_WH_PX, HEAD_PX, MAP_PX, MARGIN_PX, SIZE_PX, draw_overlay
from edge.palette import FOOTPRINT, VERDICT_COLOURS, VERDICT_WORDS, text_width_px
from edge.pipeline import Pipeline
from edge.types import Click, FramePose, Verdict
from edge.window_choice import LatticeWindows

MAP_LEFT = 2 * MARGIN_PX + FRAME_WH_PX[0]


def result_of(parts, objects, clicks, pose=None, placer=None, grid=None):
    grid = grid or parts.PlainGrid()
    localizer = parts.FakeLocalizer(objects)
    windows = LatticeWindows(FeatureCache(localizer, grid), grid)
    pose = pose or FramePose(grid.lon_lat_deg(1500, 1500))
    return Pipeline(localizer, windows, placer).process(parts.frame(), clicks, pose), grid


def count(picture, colour, left, right):
    """Pixels of nearly a colour between two columns, above the legend."""
    part = picture[HEAD_PX : HEAD_PX + MAP_PX, left:right].astype(int)
    return int((np.abs(part - colour).max(axis=2) < 24).sum())


def test_clicks_and_boxes_have_the_colour_of_their_verdict(parts):
    clicks = (Click("a", 16, 24), Click("b", 50, 24))
    result, grid = result_of(parts, {"a": (1500, 1500)}, clicks)
    picture = draw_overlay(result, grid)
    assert picture.shape == (SIZE_PX[1], SIZE_PX[0], 3) and picture.dtype == np.uint8
    green, red = VERDICT_COLOURS[Verdict.ACCEPTED], VERDICT_COLOURS[Verdict.NOT_HERE]
    middle = MARGIN_PX + FRAME_WH_PX[0] // 2
    assert count(picture, green, MARGIN_PX, middle) > 300  # the click on the left is accepted
    assert count(picture, green, middle, MAP_LEFT - MARGIN_PX) == 0
    assert count(picture, red, middle, MAP_LEFT - MARGIN_PX) > 300
    assert count(picture, green, MAP_LEFT, SIZE_PX[0]) > 300
    assert count(picture, red, MAP_LEFT, SIZE_PX[0]) > 100


def test_truth_is_drawn_where_it_is(parts):
    clicks = (Click("a", 16, 24),)
    result, grid = result_of(parts, {"a": (1500, 1500)}, clicks)
    x, y = 1500 + parts.LEFT_PX - result.place.left_px, 1500 + parts.TOP_PX - result.place.top_px
    plain = draw_overlay(result, grid)
    near = draw_overlay(result, grid, {"a": (x - 40.0, y - 40.0, x + 40.0, y + 40.0)})
    white = (255, 255, 255)
    assert (
        count(near, white, MAP_LEFT, SIZE_PX[0]) > count(plain, white, MAP_LEFT, SIZE_PX[0]) + 500
    )
    # dashes run along the sides of the box, not across it
    zoom = MAP_PX / 260.0
    panel = near[HEAD_PX : HEAD_PX + MAP_PX, MAP_LEFT:]
    rows = np.flatnonzero((panel.min(axis=2) > 250).sum(axis=1) > 60)
    assert rows.min() == pytest.approx(MAP_PX / 2 - 40 * zoom, abs=3)
    assert rows.max() == pytest.approx(MAP_PX / 2 + 40 * zoom, abs=3)


class Placed:
    """A frame that lies square on the map."""

    inliers = 60

    def __init__(self, place, left, top, scale):
        self.place = place
        self.homography = np.array([[scale, 0, left], [0, scale, top], [0, 0, 1.0]])

    def prior(self, clicks):
        from edge.types import Prior

        return Prior.none(len(clicks))


class Placer:
    note = ""

    def __init__(self, left, top):
        self.left, self.top = left, top

    def place(self, frame, pose, windows):
        return Placed(windows.places[0], self.left, self.top, 5.0)

    def close(self):
        pass


def test_the_outline_of_an_aligned_frame_is_drawn(parts):
    result, grid = result_of(
        parts, {"a": (1500, 1500)}, (Click("a", 16, 24),), placer=Placer(400.0, 420.0)
    )
    picture = draw_overlay(result, grid)
    assert count(picture, FOOTPRINT, MAP_LEFT, SIZE_PX[0]) > 500
    without, _ = result_of(parts, {"a": (1500, 1500)}, (Click("a", 16, 24),))
    assert count(draw_overlay(without, grid), FOOTPRINT, MAP_LEFT, SIZE_PX[0]) == 0


def test_a_frame_off_the_map_says_so_in_words(parts):
    result, grid = result_of(parts, {}, (Click("a", 16, 24),), pose=FramePose((10.0, 10.0)))
    picture = draw_overlay(result, grid)
    assert count(picture, VERDICT_COLOURS[Verdict.NO_WINDOW], MARGIN_PX, MAP_LEFT) > 300
    panel = picture[HEAD_PX : HEAD_PX + MAP_PX, MAP_LEFT : MAP_LEFT + MAP_PX]
    assert 300 < int((panel.max(axis=2) > 120).sum()) < 20_000  # words on an empty panel
    assert grid.reads == []


def test_every_verdict_has_a_colour_and_a_word():
    assert set(VERDICT_COLOURS) == set(VERDICT_WORDS) == set(Verdict)
    assert len(set(VERDICT_COLOURS.values())) == len(Verdict)


def test_labels_keep_out_of_each_others_way_and_inside():
    image = np.zeros((200, 300, 3), np.uint8)
    labels = Labels(image)
    for number in range(5):
        labels.put(f"b{number}", (150.0 + 2 * number, 100.0), 9, 15, (0, 255, 0))
    boxes = labels._taken
    for index, a in enumerate(boxes):
        for b in boxes[index + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    for corner in ((-50.0, -50.0), (400.0, 300.0)):
        labels.put("far", corner, 9, 15, (0, 255, 0))
    assert all(x1 >= 0 and y1 >= 0 and x2 < 300 and y2 < 200 for x1, y1, x2, y2 in labels._taken)


def test_wider_words_are_wider():
    assert text_width_px("accepted", 16) > text_width_px("acc", 16) > 0
    assert text_width_px("accepted", 30) > text_width_px("accepted", 16)


def test_one_frame_makes_a_picture_several_a_film(tmp_path):
    tint = [np.full((64, 96, 3), 40 * n + 20, np.uint8) for n in range(4)]
    alone = OverlayFilm(tmp_path / "one")
    alone.write(tint[0], 0.0, 1)
    alone.close()
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["overlay.png"]
    film = OverlayFilm(tmp_path)
    for n, accepted in enumerate((1, 5, 5, 2)):
        film.write(tint[n], n / 4, accepted)
    film.close()
    best = cv2.imread(str(tmp_path / "overlay.png"))
    assert best[0, 0].tolist() == [60, 60, 60]  # the first of the two with five
    video = cv2.VideoCapture(str(tmp_path / "overlay.mp4"))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(4.0)
    levels = []
    while (read := video.read())[0]:
        levels.append(int(read[1].mean()))
    assert levels == pytest.approx([20, 60, 100, 140], abs=6)


def test_pictures_keep_their_colours_and_errors_their_words(tmp_path):
    image = np.zeros((8, 8, 3), np.uint8)
    image[:] = (200, 40, 10)
    write_image(tmp_path / "a" / "p.png", image)
    assert cv2.imread(str(tmp_path / "a" / "p.png"))[0, 0].tolist() == [10, 40, 200]
    assert encode_image(image, ".jpg", 80)[:2] == b"\xff\xd8"
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError) as caught:
        write_image(tmp_path / "file" / "p.png", image)
    for word in ("p.png cannot be written", "is no folder", "--out"):
        assert word in str(caught.value)


def test_a_film_that_cannot_be_opened_says_what_is_missing(tmp_path):
    film = OverlayFilm(tmp_path)
    film.video.mkdir()  # where the video should be is a folder
    film.write(np.zeros((64, 96, 3), np.uint8), 0.0, 0)
    with pytest.raises(OutputError) as caught:
        film.write(np.zeros((64, 96, 3), np.uint8), 0.1, 0)
    for word in ("overlay.mp4 cannot be written", "mp4v", "--overlay"):
        assert word in str(caught.value)
