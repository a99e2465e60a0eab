"""Fixes against truth, the numbers made of them, and the page that shows them."""

from __future__ import annotations

import html.parser
import json
import re

import numpy as np
import pytest

from edge.demo_report import ShownFrame, demo_score, fix_table, merit, object_table, summary_line
from edge.feature_cache import FeatureCache
from edge.geodesy import AffineGeometry
from edge.pairs import read_pairs
from edge.pipeline import Pipeline
from edge.report_page import MOST_FRAMES, PageMap, page
from edge.truth import Outcome, Truth, by_geometry
from edge.types import Click, FramePose, Timings
from edge.window_choice import LatticeWindows

HALF_WORLD_M = np.pi * 6378137.0


@pytest.fixture
def pairs(tmp_path, parts):
    """The map of `PlainGrid` with two objects; a third click is on something absent."""
    step = 2 * HALF_WORLD_M / parts.WORLD_PX
    corner = parts.LEFT_PX * step - HALF_WORLD_M, HALF_WORLD_M - parts.TOP_PX * step
    file = {
        "schema": "tilefix-pairs/1",
        "map": {
            "file": "map.png", "width": 4096, "height": 4096, "gsd_m": 0.2036, "epsg": 3857,
            "geotransform": [corner[0], step, 0, corner[1], 0, -step],
        },
        "objects": [
            {"id": "barn", "class": "building", "box_xyxy_px": [1491, 1493, 1509, 1507]},
            {"id": "pool", "class": "pool", "box_xyxy_px": [1700, 1500, 1720, 1520]},
        ],
        "frames": [{
            "file": "frames/000.jpg", "width": 640, "height": 480,
            "clicks": [
                {"object_id": "barn", "x": 100, "y": 100},
                {"object_id": "pool", "x": 300, "y": 200},
                {"object_id": None, "x": 500, "y": 400},
            ],
        }],
    }  # fmt: skip
    (tmp_path / "truth.json").write_text(json.dumps(file))
    return read_pairs(tmp_path / "truth.json")


CLICKS = (Click("<b>1", 10, 10), Click("p2", 30, 20), Click("x3", 50, 40))  # of a 64 x 48 frame


def judged(parts, pairs, objects, clicks=CLICKS, pose=None):
    grid, localizer = parts.PlainGrid(), parts.FakeLocalizer(objects)
    pipeline = Pipeline(localizer, LatticeWindows(FeatureCache(localizer, grid), grid), None)
    pose = pose or FramePose(grid.lon_lat_deg(1500, 1500))
    result = pipeline.process(parts.frame(), clicks, pose)
    return Truth(pairs, by_geometry(pairs), 0.2036).judge(result), result


def test_right_wrong_missed_and_declined(parts, pairs):
    found, result = judged(parts, pairs, {"<b>1": (1500, 1500), "p2": (1740, 1510)})
    right, wrong, declined = found
    assert (right.outcome, right.object_id, right.object_class) == (
        Outcome.RIGHT,
        "barn",
        "building",
    )
    assert right.iou == pytest.approx(1.0, abs=1e-6) and right.error_m < 1e-3
    assert (wrong.outcome, wrong.iou) == (Outcome.WRONG, pytest.approx(0.0))
    assert wrong.error_m == pytest.approx(30 * 0.2036, rel=0.01)
    assert (declined.outcome, declined.object_id, declined.iou) == (Outcome.DECLINED, None, None)
    x1, y1, _, _ = right.truth_box_px
    assert (x1 + result.place.left_px - parts.LEFT_PX) == pytest.approx(1491, abs=1e-5)
    assert (y1 + result.place.top_px - parts.TOP_PX) == pytest.approx(1493, abs=1e-5)
    missed, _, accepted_though_absent = judged(parts, pairs, {"x3": (1500, 1500)})[0]
    assert missed.outcome is Outcome.MISSED
    assert accepted_though_absent.outcome is Outcome.WRONG


def test_a_click_without_a_label_is_not_judged_and_off_the_map_is_missed(parts, pairs):
    found, _ = judged(parts, pairs, {}, clicks=(Click("z", 1, 1), CLICKS[0]))
    assert [each.fix.click_id for each in found] == ["<b>1"]
    found, _ = judged(parts, pairs, {}, pose=FramePose((10.0, 10.0)))
    assert [each.outcome for each in found] == [Outcome.MISSED, Outcome.MISSED, Outcome.DECLINED]
    assert found[0].truth_box_px is None and found[0].error_m is None


def test_the_way_through_wgs84_needs_a_position(pairs):
    assert isinstance(pairs.map.geometry, AffineGeometry)
    import dataclasses

    nowhere = dataclasses.replace(pairs, map=dataclasses.replace(pairs.map, geometry=None))
    with pytest.raises(ValueError, match="no position"):
        by_geometry(nowhere)


def shown(parts, pairs, objects, index=0):
    fixes, result = judged(parts, pairs, objects)
    left, top = result.place.left_px, result.place.top_px

    def moved(box):
        return box[0] + left, box[1] + top, box[2] + left, box[3] + top

    return ShownFrame(
        index=index,
        name="000.jpg",
        judged=tuple(fixes),
        timings=Timings(preprocess_ms=1.0, localize_ms=4.0 + index, total_ms=9.0),
        inliers=50,
        overlay_jpeg=b"\xff\xd8overlay",
        outline_px=np.array([[left, top], [left + 9, top], [left + 9.0, top + 9]]),
        boxes_px={each.fix.click_id: moved(each.fix.box_xyxy_px) for each in fixes},
        truth_px={e.fix.click_id: moved(e.truth_box_px) for e in fixes if e.truth_box_px},
    )


@pytest.fixture
def frames(parts, pairs):
    good = shown(parts, pairs, {"<b>1": (1500, 1500), "p2": (1740, 1510)}, 0)
    poor = shown(parts, pairs, {"x3": (1500, 1500)}, 2)
    return [poor, good]


def test_the_score_counts_what_it_says(frames):
    score = demo_score(frames)
    assert score.counts == {
        Outcome.RIGHT: 1, Outcome.WRONG: 2, Outcome.MISSED: 2, Outcome.DECLINED: 1,
    }  # fmt: skip
    assert (score.fixes, score.objects, score.absent) == (6, 2, 1)
    # of the accepted fixes on what is there: one exact, one 30 px away
    assert score.median_error_m == pytest.approx(15 * 0.2036, rel=0.01)
    assert score.locate_ms == 6.0
    line = summary_line(score)
    assert "median error 3.1 m" in line and "of 6 fixes 1 accepted and right" in line
    assert "2 accepted and wrong, 3 rejected (1 of them rightly" in line
    assert merit(frames[1]) > merit(frames[0])
    assert "no accepted fix" in summary_line(demo_score([]))


def test_the_tables_name_every_object(frames, capsys):
    from rich.console import Console

    console = Console(width=160)
    console.print(object_table(frames))
    console.print(fix_table(frames))
    text = capsys.readouterr().out
    for word in ("<b>1", "building", "rejected, though there", "accepted, wrong", "0.00", "1.00"):
        assert word in text


class Page(html.parser.HTMLParser):
    """Collects what a browser would load and run."""

    def __init__(self):
        super().__init__()
        self.links, self.texts, self._in, self.stack = [], {}, None, []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.links += [values[key] for key in ("src", "href") if values.get(key)]
        self._in = values.get("id") or tag

    def handle_data(self, data):
        self.texts[self._in] = self.texts.get(self._in, "") + data


CHART = PageMap(b"\xff\xd8map", 600, 400, 69_881_856 + 1300.0, 47_206_912 + 1400.0, 0.5, 0.4)


def test_the_page_stands_alone_and_holds_its_data(frames):
    words = "a <script>alert(1)</script> & more"
    text = page("A flight", words, frames, demo_score(frames), CHART, ["made <code>here</code>"])
    assert "<script>alert" not in text
    found = Page()
    found.feed(text)
    assert all(link.startswith("data:image/jpeg;base64,") for link in found.links)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)  # that one is a name
    assert "import(" not in text and "fetch(" not in text and "@import" not in text
    data = json.loads(found.texts["data"])
    assert data["first"] == 1 and [frame["index"] for frame in data["frames"]] == [2, 0]
    fix = data["frames"][1]["fixes"][0]
    assert (fix["id"], fix["id_html"], fix["outcome"]) == ("<b>1", "&lt;b&gt;1", "right")
    assert fix["box"] == [95.5, 46.5, 104.5, 53.5]  # (1491 - 1300) / 2 and so on
    assert fix["truth"] == fix["box"]
    assert "3.1 m" in text and ">not on the map<" in text


def test_a_long_flight_does_not_make_an_endless_page(frames):
    text = page("t", "w", frames * 60, demo_score(frames), CHART, [])
    found = Page()
    found.feed(text)
    assert 20 <= len(json.loads(found.texts["data"])["frames"]) <= MOST_FRAMES
