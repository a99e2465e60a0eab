"""Running predictors over sites, with predictors whose answers are known."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from edge.evaluation import median_box_m, open_sites, run_site
from edge.pairs import read_pairs
from edge.predictors import LitePredictor, Prediction
from edge.scoring import score

BOXES = {"a": [40, 40, 60, 60], "b": [100, 80, 140, 100]}


@pytest.fixture
def make_pairs(tmp_path):
    def make(name, shade, gsd_m=0.3):
        folder = tmp_path / name
        folder.mkdir()
        cv2.imwrite(str(folder / "map.png"), np.full((200, 200, 3), shade, np.uint8))
        cv2.imwrite(str(folder / "f.png"), np.full((48, 64, 3), shade, np.uint8))
        clicks = [{"object_id": k, "x": 10 * n, "y": 5} for n, k in enumerate(["a", "b", None])]
        values = {
            "schema": "tilefix-pairs/1",
            "map": {"file": "map.png", "width": 200, "height": 200, "gsd_m": gsd_m},
            "objects": [{"id": key, "box_xyxy_px": box} for key, box in BOXES.items()],
            "frames": [
                {"file": "f.png", "width": 64, "height": 48, "yaw_deg": 12.0, "clicks": clicks}
            ],
        }
        (folder / "pairs.json").write_text(json.dumps(values))
        return read_pairs(folder / "pairs.json")

    return make


class Oracle:
    """Knows all boxes; accepts on the map whose shade is that of the frame."""

    name = "oracle"

    def __init__(self):
        self.asked = []

    def predict(self, frame, click_xy_px, windows):
        self.asked.append((frame.pose.yaw_deg, click_xy_px.tolist(), len(windows)))
        middle = windows[0].window.image[windows[0].window.valid][0]
        here = bool((frame.image[0, 0] == middle).all())
        answers = [Prediction(tuple(box), here) for box in BOXES.values()]
        return [*answers, Prediction((0, 0, 1, 1), accepted=False)]


def test_every_frame_is_run_on_its_own_map_and_on_the_others(make_pairs):
    sites = open_sites([make_pairs("one", 50), make_pairs("two", 90)], 0.3, 128)
    assert [site.name for site in sites] == ["pairs", "pairs-2"]  # both files are pairs.json
    oracle, seen = Oracle(), []
    run = run_site(oracle, sites[0], [sites[1]], on_frame=seen.append)
    assert len(oracle.asked) == 2
    assert oracle.asked[0][:2] == (12.0, [[0, 5], [10, 5], [20, 5]])
    assert oracle.asked[0][2] > 1  # 200 px of map in windows of 128 px
    scores = score(run.own, run.other_site)
    assert (scores["n_clicks"], scores["n_absent"], scores["n_other_site"]) == (2, 1, 3)
    assert scores["acc@0.5"] == 1.0
    assert scores["wrong_rate"] == 0.0
    assert scores["false_accept_rate_other_site"] == 0.0
    assert scores["coverage"] == pytest.approx(2 / 3)
    (result,) = seen
    assert result.predictions[0].box_xyxy_px == (40, 40, 60, 60)


def test_a_look_alike_site_spoils_the_wrong_rate(make_pairs):
    sites = open_sites([make_pairs("one", 50), make_pairs("two", 50)], 0.3, 128)
    run = run_site(Oracle(), sites[0], [sites[1]])
    scores = score(run.own, run.other_site)
    assert scores["false_accept_rate_other_site"] == pytest.approx(2 / 3)
    assert scores["wrong_rate"] == 0.5
    assert scores["wrong_rate_own_map"] == 0.0


def test_errors_are_in_metres_of_the_map(make_pairs):
    class Shifted(Oracle):
        def predict(self, frame, click_xy_px, windows):
            moved = [(x1 + 4, y1, x2 + 4, y2) for x1, y1, x2, y2 in BOXES.values()]
            return [Prediction(box, accepted=True) for box in (*moved, moved[0])]

    (site,) = open_sites([make_pairs("one", 50, gsd_m=0.25)], 0.3, 128)
    scores = score(run_site(Shifted(), site).own)
    assert scores["centre_error_px_median"] == 4.0
    assert scores["centre_error_m_median"] == 1.0


def test_the_median_box_is_in_metres(make_pairs):
    (site,) = open_sites([make_pairs("one", 50, gsd_m=0.5)], 0.5, 128)
    assert median_box_m([site]) == (15.0, 10.0)  # of 20 x 20 and 40 x 20 px


def test_a_bundle_locates_what_is_in_the_map(make_tiny_bundle, tmp_path):
    """The tiny bundle knows frames cut from its window on the grid of 16 px."""
    from edge.localizer import Localizer
    from edge.pairs_images import PairsMapImage, window_for
    from edge.types import Frame

    bundle = make_tiny_bundle(tmp_path / "bundle")
    noise = np.random.default_rng(3).integers(0, 255, (128, 128, 3)).astype(np.uint8)
    windows = window_for(
        PairsMapImage(noise, np.ones((128, 128), bool), 0.3, None, "m", None), 0.3, 128
    )
    frame = Frame(noise[32:96, 16:80].copy(), 0, 0.0, "cut")
    predictor = LitePredictor(Localizer.open(bundle))
    assert predictor.name == "lite without prior"
    clicks = np.array([[8.0, 8.0], [40.0, 24.0]])
    first, second = predictor.predict(frame, clicks, windows)
    for answer, place in ((first, (24, 40)), (second, (56, 56))):
        x1, y1, x2, y2 = answer.box_xyxy_px
        assert abs((x1 + x2) / 2 - place[0]) <= 8 and abs((y1 + y2) / 2 - place[1]) <= 8
        threshold = bundle.manifest.acceptance.threshold_unaligned
        assert answer.accepted == (answer.probability >= threshold)
    assert first.accepted


def test_padding_is_no_missing_imagery(make_tiny_bundle, tmp_path):
    """A map that fills a ninth of its window is still judged by the probability alone."""
    from edge.localizer import Localizer
    from edge.pairs_images import PairsMapImage, window_for
    from edge.types import Frame

    bundle = make_tiny_bundle(tmp_path / "bundle")
    noise = np.random.default_rng(3).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    (window,) = window_for(
        PairsMapImage(noise, np.ones((32, 32), bool), 0.3, None, "m", None), 0.3, 128
    )
    assert window.window.coverage < 0.1
    frame = Frame(window.window.image[32:96, 32:96].copy(), 0, 0.0, "cut")
    (answer,) = LitePredictor(Localizer.open(bundle)).predict(
        frame, np.array([[24.0, 24.0]]), [window]
    )
    assert answer.accepted
