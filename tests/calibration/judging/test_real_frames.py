from types import SimpleNamespace

import numpy as np
import pytest

from calibration.judging import real_frames
from calibration.judging.real_frames import RememberedAligner, score_real, verdict
from edge.scoring import JudgedClick
from edge.types import FramePose, Prior, PriorSource, ReferenceFeature, ReferenceWindow

BOX, QUARTER = (0.0, 0.0, 10.0, 10.0), (0.0, 0.0, 10.0, 2.5)


def click(object_id, box, accepted=True):
    truth = None if object_id is None else BOX
    return JudgedClick("f", object_id, truth, box, accepted)


def test_a_verdict_is_acceptance_and_truth():
    assert verdict(click("o", BOX)) == "accepted, right"
    assert verdict(click("o", QUARTER)) == "accepted, wrong"  # an IoU of 0.25 is not more than that
    assert verdict(click(None, BOX, accepted=False)) == "refused, wrong"


def test_an_object_counts_once_however_often_it_was_clicked():
    before = [click("often", BOX)] * 9 + [click("once", BOX), click(None, BOX)]
    after = [click("often", BOX)] * 9 + [click("once", QUARTER), click(None, None)]
    found = score_real(["made.json"], before, after)
    assert (found.accuracy_25_before, found.accuracy_25_after) == (1.0, 0.5)
    assert found.change_25.mean == -50.0
    assert (found.change_25.low, found.change_25.high) == (-100.0, 0.0)
    assert found.sightings == 11
    (changed,) = found.changed  # the absent thing was wrong before, and is without a box
    assert (changed.object_id, changed.iou_before, changed.iou_after) == ("once", 1.0, 0.25)


def test_nothing_labelled_is_no_change():
    found = score_real(["made.json"], [], [])
    assert (found.change_25.mean, found.accuracy_25_before, found.changed) == (0.0, 0.0, ())


class FakeAligner:
    calls = 0

    def describe(self, window):
        return {"align_xy": np.zeros(1)}

    def align(self, image, feature, pose):
        FakeAligner.calls += 1
        assert "align_xy" in feature.tensors
        if image.max() == 0:
            return None
        n = FakeAligner.calls
        return SimpleNamespace(
            prior=lambda clicks: Prior(
                np.full((len(clicks), 2), n / 3, np.float32),
                np.full(len(clicks), 0.1, np.float32),
                PriorSource.ALIGNMENT,
                25,
            )
        )


@pytest.fixture
def bundle(monkeypatch):
    monkeypatch.setattr(real_frames.Aligner, "open", lambda *_, **__: FakeAligner())
    FakeAligner.calls = 0
    return SimpleNamespace(manifest=SimpleNamespace(files={"alignment/xfeat.onnx": "abc"}))


def test_an_alignment_is_done_once_for_all_candidates_and_survives_a_kill(bundle, tmp_path):
    window = ReferenceWindow(np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), bool), None, "w", "m")
    feature = ReferenceFeature({}, None, 8, 8, "w", "m", "model", 1.0)
    grey, black = np.full((4, 4, 3), 9, np.uint8), np.zeros((4, 4, 3), np.uint8)
    clicks = np.array([[1.0, 2.0]])

    def ask(image, at=clicks):
        aligner = RememberedAligner(bundle, tmp_path)
        assert aligner.describe(window) == {}
        return aligner.align(image, feature, FramePose()).prior(at)

    first, again = ask(grey), ask(grey)
    assert FakeAligner.calls == 1
    assert (first.xy_px == again.xy_px).all() and (first.inv_var == again.inv_var).all()
    assert (again.source, again.inliers) == (PriorSource.ALIGNMENT, 25)
    assert ask(grey, clicks + 1).xy_px[0, 0] == np.float32(2 / 3)  # other clicks: asked again
    assert [ask(black).source for _ in range(2)] == [PriorSource.NONE] * 2
    assert FakeAligner.calls == 3


def test_answers_to_other_pictures_maps_labels_or_acceptance_are_others(tmp_path):
    """What a changed frame, a fitted acceptance or a new map would make of them is not known."""

    def identity(labels=b"{}", frame=b"jpg", map_id="m", threshold=0.5):
        (tmp_path / "pairs.json").write_bytes(labels)
        (tmp_path / "a.jpg").write_bytes(frame)
        frames = (
            SimpleNamespace(file="a.jpg", clicks=(1,)),
            SimpleNamespace(file="gone.jpg", clicks=()),  # is never opened
        )
        pairs = SimpleNamespace(
            path=tmp_path / "pairs.json", frames=frames, locate=lambda file: tmp_path / file
        )
        window = SimpleNamespace(window=SimpleNamespace(map_id=map_id))
        bundle = SimpleNamespace(manifest=SimpleNamespace(acceptance={"threshold": threshold}))
        return real_frames.labels_id(bundle, [SimpleNamespace(pairs=pairs, windows=(window,))])

    plain = identity()
    assert identity() == plain
    others = {
        identity(labels=b"[]"),
        identity(frame=b"png"),
        identity(map_id="n"),
        identity(threshold=0.6),
    }
    assert len(others) == 4 and plain not in others
