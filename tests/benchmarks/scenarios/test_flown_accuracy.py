"""What the fixes of an open loop are worth: by hand, and against the scores of the pairs format."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.record.lines import Punctuality, Unknown
from benchmarks.record.series import pack
from benchmarks.scenarios.accuracy import accuracy_lines
from benchmarks.scenarios.flight_log import FlightLog
from benchmarks.scenarios.flights import open_flight
from benchmarks.scenarios.flown_accuracy import flown_accuracy, grid_of, label_of
from benchmarks.scenarios.queries import draw_clicks
from edge.assembly import ExecutorChoice, PriorChoice
from edge.bundle import Bundle, shipped_bundle_path
from edge.scoring import JudgedClick, score
from edge.tiles.lattice import WindowPlace
from edge.types import Click, Frame, Verdict

PLACES = {"w": WindowPlace(10, 20, 64, 64)}
FAR = (900.0, 900.0, 910.0, 910.0)


def same(xy_px):
    return xy_px


def fix(box, accepted):
    """`box` in pixels of the grid; the window begins at (10, 20)."""
    if box is not None:
        box = (box[0] - 10, box[1] - 20, box[2] - 10, box[3] - 20)
    verdict = Verdict.ACCEPTED if accepted else Verdict.NOT_HERE
    return SimpleNamespace(box_xyxy_px=box, window_id="w", verdict=verdict)


def flown(shown, answers, clicks=3):
    """`answers`: number of the frame -> its (box, accepted), one for each click."""
    log = FlightLog(shown, clicks)
    for number, fixes in answers.items():
        made = tuple(fix(*each) for each in fixes)
        log.add(number, SimpleNamespace(fixes=made, places=PLACES, placed=number % 2 or None))
    ages = pack([1000] * len(answers))
    aligned = int(log.aligned.sum())
    late = Punctuality(30.0, len(shown), 0, ages, ages, (), aligned)
    return SimpleNamespace(punctuality=late, log=log)


def clicks_of(flight):
    """Of the last shot all three; of the others those that they have, and the first one again."""
    made = [shot.clicks for shot in flight.shots]
    return [(*each, *([Click("beside", 1.0, 1.0)] * (3 - len(each)))) for each in made]


def truth(flight, name):
    return flight.pairs.objects[name].box_xyxy_px


def test_a_frame_that_was_never_answered_has_no_fix(flight):
    """One shot, two frames: the first is answered rightly, the second not at all."""
    box = truth(flight, "thing-0-0")
    nothing = (None, False)
    found = flown_accuracy(
        flown([0, 0], {0: [(box, True), nothing, nothing]}), flight, clicks_of(flight), same
    )
    assert (found.frames, found.answered, found.clicks) == (2, 1, 2), "drawn clicks do not count"
    assert (found.acc25, found.acc50, found.coverage, found.wrong_rate) == (0.5, 0.5, 0.5, 0.0)


def test_what_was_seen_often_does_not_dominate(flight):
    """Shot 0 in three frames, rightly; shot 1 once: one of its two objects is accepted wrongly."""
    right = truth(flight, "thing-0-0"), True
    nothing = (None, False)
    answers = {n: [right, nothing, nothing] for n in (0, 1, 2)}
    answers[3] = [(truth(flight, "thing-1-0"), False), (FAR, True), nothing]
    found = flown_accuracy(flown([0, 0, 0, 1], answers), flight, clicks_of(flight), same)
    assert found.acc25 == pytest.approx(2 / 3), "three objects, one of which was not found"
    assert found.coverage == pytest.approx(2 / 3) and found.wrong_rate == pytest.approx(1 / 2)
    assert found.aligned == 2


def test_what_is_absent_is_one_thing_however_often_it_was_shown(flight):
    """Shot 2: two objects, and something that is not on the map, accepted in one of two frames."""
    right = [(truth(flight, "thing-2-0"), True), (truth(flight, "thing-2-1"), True)]
    answers = {0: [*right, (FAR, True)], 1: [*right, (FAR, False)]}
    found = flown_accuracy(flown([2, 2], answers), flight, clicks_of(flight), same)
    assert found.acc25 == found.acc50 == 1.0, "of what is on the map"
    assert found.coverage == pytest.approx((1 + 1 + 0.5) / 3)
    assert found.wrong_rate == pytest.approx(0.5 / 2.5)


def test_once_through_the_flight_it_is_what_the_pairs_format_scores(flight):
    """Every shot once, boxes at random about the truth."""
    random, clicks = np.random.default_rng(3), clicks_of(flight)
    answers, judged = {}, []
    for shot in range(3):
        fixes = []
        for at in range(3):
            label = label_of(flight, shot, clicks[shot][at])
            name = None if label is None else label.object_id
            box = (1.0, 2.0, 9.0, 9.0) if name is None else truth(flight, name)
            box = tuple(np.array(box) + np.tile(random.uniform(-7, 7, 2), 2))
            fixes.append((box, bool(random.random() < 0.7)))
            if label is not None:
                true = None if name is None else truth(flight, name)
                judged.append(JudgedClick(f"{shot}", name, true, *fixes[-1]))
        answers[shot] = fixes
    expected = score(judged)
    found = flown_accuracy(flown([0, 1, 2], answers), flight, clicks, same)
    assert found.clicks == len(judged) == 6
    assert 0 < found.acc50 < found.acc25, "the boxes tell both apart"
    for mine, theirs in (
        (found.acc25, "acc@0.25"),
        (found.acc50, "acc@0.5"),
        (found.coverage, "coverage"),
        (found.wrong_rate, "wrong_rate"),
    ):
        assert mine == pytest.approx(expected[theirs]), theirs


def test_nothing_is_a_reason_and_not_a_zero(flight):
    beside = [(Click("a", 1.0, 1.0),)] * 3
    assert flown_accuracy(flown([0], {}, 1), flight, beside, same) == Unknown(
        "nothing labelled was clicked"
    )
    absent = [(flight.shots[2].clicks[2],)] * 3
    found = flown_accuracy(flown([2, 2], {0: [(FAR, False)]}, 1), flight, absent, same)
    assert found.acc25 == found.acc50 == Unknown("nothing that was clicked is on the map")
    assert found.coverage == 0.0 and found.wrong_rate == Unknown("nothing was accepted")


def test_the_bundled_flight_is_judged_as_it_is_scored(stop):
    """The same pipeline over the same pictures, each once: judged here, and as `demo` scores it."""
    flight, bundle = open_flight(None, most=2), Bundle.open(shipped_bundle_path())
    choice, aligned = ExecutorChoice(threads=1), PriorChoice.ALIGNMENT
    (line,) = accuracy_lines("run", flight, bundle, choice, stop, ("none",))
    count = max(len(shot.clicks) for shot in flight.shots)
    clicks = [draw_clicks(shot, count, np.random.default_rng(0)) for shot in flight.shots]
    labels = [label_of(flight, n, click) for n in (0, 1) for click in flight.shots[n].clicks]
    assert all(label is not None for label in labels)
    assert label_of(flight, 0, Click("far", 1.0, 1.0)) is None
    assembly = flight.assemble(bundle, choice, prior=aligned)
    log = FlightLog([0, 1], count)
    try:
        for index, shot in enumerate(flight.shots):
            rgb = shot.image_bgr[:, :, ::-1].copy()
            frame = Frame(rgb, index, shot.time_s, shot.source)
            log.add(index, assembly.pipeline.process(frame, clicks[index], shot.pose))
        near = assembly.windows.choose(flight.shots[0].pose).places[0]
        to_grid = grid_of(flight, assembly.pictures, near)
    finally:
        assembly.close()
    late = Punctuality(30.0, 2, 0, pack([1000] * 2), pack([1000] * 2), (), 2)
    whole = SimpleNamespace(punctuality=late, log=log)
    found = flown_accuracy(whole, flight, clicks, to_grid)
    assert found.acc25 == pytest.approx(line.acc25) and found.acc25 > 0.8
    assert found.acc50 == pytest.approx(line.acc50)
    assert found.coverage == pytest.approx(line.coverage)
    assert found.wrong_rate == pytest.approx(line.wrong_rate)
    assert (found.aligned, found.answered, found.clicks) == (2, 2, line.clicks)
