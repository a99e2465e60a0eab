"""Sensitivity, agreement, latency and the machine: the small measures of a judgement."""

from types import SimpleNamespace

import numpy as np
import pytest

from calibration.judging.agreement import fitted_clicks, meetings, score_agreement
from calibration.judging.environment import processor
from calibration.judging.latency import median_ratio
from calibration.judging.locating import Answer
from calibration.judging.sensitivity import relative_errors, spread_over
from calibration.selection.record import ChosenImage
from edge.acceptance import AcceptanceModel


def chosen(kind, number, affine=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0)) -> ChosenImage:
    return ChosenImage(
        kind=kind,
        file=f"{kind}s/{number:04d}.png",
        sha256=f"{number:064x}",
        source="made",
        place="",
        brightness=0.0,
        contrast=0.0,
        sharpness=0.0,
        site="made",
        frame_affine=affine,
    )


def test_the_relative_error_is_over_all_cases_together():
    wanted = [{"v": np.array([3.0, 0.0])}, {"v": np.array([0.0, 4.0])}]
    found = [{"v": np.array([3.0, 0.3])}, {"v": np.array([0.4, 4.0])}]
    assert relative_errors(wanted, found) == {"v": pytest.approx(0.1)}
    zero = [{"v": np.zeros(2)}]
    assert relative_errors(zero, zero) == {"v": 0.0}
    assert relative_errors(zero, [{"v": np.ones(2)}]) == {"v": 1.0}


def test_a_few_images_are_spread_from_the_first_to_the_last():
    images = [chosen("frame", n) for n in range(10)]
    assert [images.index(each) for each in spread_over(images, 4)] == [0, 3, 6, 9]
    assert spread_over(images[:2], 4) == images[:2]


def test_boxes_and_verdicts_are_compared_click_by_click():
    model = AcceptanceModel(np.array([1.0, 0, 0, 0, 0, 0, 0]), 0.0, 0.5, 0.6)
    box, half = (0.0, 0.0, 10.0, 10.0), (0.0, 0.0, 10.0, 5.0)
    zeros = [0.0, 0.0]
    before = Answer([box, box], zeros, [1.0, 1.0], zeros, zeros)
    after = Answer([box, half], zeros, [1.0, 0.1], zeros, zeros)
    found = score_agreement("made", [before], [after], model)
    assert (found.clicks, found.box_iou_median, found.box_iou_90) == (2, 0.75, 0.5)
    assert found.same_verdict == 0.5 and found.accepted == (2, 1)
    assert score_agreement("made", [], [], model).clicks == 0


def test_frames_meet_the_same_windows_every_time():
    frames = tuple(chosen("frame", n) for n in range(20))
    windows = tuple(chosen("window", n) for n in range(30))
    selection = SimpleNamespace(digest=lambda: "ab" * 32)
    folder = SimpleNamespace(frames=frames, windows=windows, selection=selection)
    met = meetings(folder)
    assert met == meetings(folder)
    assert len(met) <= 16
    pairs = [(w.file, f.file) for w, found in met for f in found]
    assert len(pairs) == len(set(pairs)) == 40  # two windows each
    assert meetings(SimpleNamespace(frames=frames, windows=(), selection=selection)) == []


def test_seeded_clicks_lie_in_the_picture_inside_its_letterbox():
    """A camera of 200 x 100 px in a frame of 100 x 100: halved, 25 px of border above."""
    clicks = fitted_clicks(chosen("frame", 3, (0.5, 0.0, 0.0, 0.0, 0.5, 25.0)), (100, 100))
    assert clicks.shape == (4, 2) and clicks.dtype == np.float32
    assert (clicks > (0, 25)).all() and (clicks < (100, 75)).all()


def test_the_ratio_is_of_medians_without_the_first_run():
    now = [0.0]
    spent = {"before": iter([99.0, 2.0, 50.0, 2.0]), "after": iter([0.1, 1.0, 1.0, 30.0])}

    def run(name):
        now[0] += next(spent[name])

    ratio = median_ratio(lambda: run("before"), lambda: run("after"), 3, clock=lambda: now[0])
    assert ratio == pytest.approx(2.0)


def test_the_processor_says_whether_it_has_vnni(tmp_path):
    (tmp_path / "proc").mkdir()
    path = tmp_path / "proc/cpuinfo"
    path.write_text("model name\t: Made 9000\nflags\t\t: avx2 avx_vnni\n\nmodel name\t: other\n")
    assert processor(tmp_path) == "Made 9000, avx_vnni"
    path.write_text("model name\t: Made 8000\nflags\t\t: avx2\n")
    assert processor(tmp_path) == "Made 8000, no VNNI"
    assert processor(tmp_path / "none")
