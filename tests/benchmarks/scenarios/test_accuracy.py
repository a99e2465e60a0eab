"""The scores beside the latencies are those that the other verbs print."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.record.lines import Unknown
from benchmarks.scenarios import accuracy
from benchmarks.scenarios.accuracy import accuracy_line, accuracy_lines
from benchmarks.scenarios.flight_store import FlightStore
from benchmarks.scenarios.flights import open_flight
from edge.assembly import ExecutorChoice, PriorChoice
from edge.bundle import Bundle, shipped_bundle_path
from edge.evaluation import open_sites, run_site
from edge.localizer import Localizer
from edge.pairs import read_pairs
from edge.predictors import LitePredictor
from edge.scoring import JudgedClick, score

RIGHT, WRONG = (0.0, 0.0, 10.0, 10.0), (50.0, 50.0, 60.0, 60.0)


def click(name, box, accepted, truth=RIGHT):
    return JudgedClick("frame", name, truth, box, accepted)


def test_a_line_of_scores():
    judged = [click("a", RIGHT, True), click("b", WRONG, True), click("c", RIGHT, False)]
    line = accuracy_line("run", "none", judged)
    assert (line.clicks, line.acc25, line.acc50) == (3, pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert line.coverage == pytest.approx(2 / 3) and line.wrong_rate == pytest.approx(1 / 2)


def test_where_nothing_is_accepted_there_is_no_rate_of_wrong_answers():
    line = accuracy_line("run", "none", [click("a", RIGHT, False)])
    assert line.coverage == 0.0
    assert line.wrong_rate == Unknown("nothing was accepted")


def test_what_nothing_defines_is_unknown_with_its_reason():
    absent = accuracy_line("run", "none", [JudgedClick("frame", None, None, WRONG, False)] * 5)
    missing = Unknown("nothing that was clicked is on the map")
    assert (absent.acc25, absent.acc50) == (missing, missing), "not 0"
    assert absent.coverage == 0.0 and absent.clicks == 5
    nothing = accuracy_line("run", "none", [])
    assert nothing.coverage == Unknown("nothing labelled was clicked")


def test_a_pairs_file_is_scored_as_evaluate_scores_it(
    pairs_path, flight, tiny_bundle, choice, stop
):
    (line,) = accuracy_lines("run", flight, tiny_bundle, choice, stop)
    size = tiny_bundle.manifest.window
    (site,) = open_sites([read_pairs(pairs_path)], size.gsd_m, size.width_px)
    own = run_site(LitePredictor(Localizer.open(tiny_bundle, threads=1)), site).own
    expected = score(own)
    assert line.prior == "none" and line.clicks == 6
    assert line.acc25 == expected["acc@0.25"] > 0.5, "cut out of the map, so found in it"
    assert line.coverage == expected["coverage"]


@pytest.mark.parametrize("asked_at", [1, 3])
def test_a_part_of_the_frames_is_not_scored(
    flight, tiny_bundle, choice, stop, monkeypatch, asked_at
):
    localize, calls = Localizer.localize, []

    def counted(self, *given):
        calls.append(1)
        stop.requested = len(calls) == asked_at
        return localize(self, *given)

    monkeypatch.setattr(Localizer, "localize", counted)
    assert list(accuracy_lines("run", flight, tiny_bundle, choice, stop)) == []
    assert len(calls) == asked_at


def test_the_bundled_flight_is_scored_as_it_is_flown(stop, monkeypatch):
    """Two frames of it, without a prior and with alignment, which makes the difference."""
    flight = open_flight(None, most=2)
    assert flight.folder is not None and flight.name == "flight"
    bundle = Bundle.open(shipped_bundle_path())
    monkeypatch.setattr(accuracy, "_evaluated", lambda *given: pytest.fail("not as it is flown"))
    choice = ExecutorChoice(threads=1)
    without, aligned = accuracy_lines("run", flight, bundle, choice, stop)
    assert (without.prior, aligned.prior) == ("none", "alignment")
    assert without.clicks == aligned.clicks == sum(len(shot.clicks) for shot in flight.shots)
    assert aligned.acc25 > without.acc25
    assembly = flight.assemble(bundle, choice, prior=PriorChoice.NONE)
    every = [assembly.windows.choose(shot.pose).places for shot in flight.shots]
    assembly.close()
    store = FlightStore(flight, bundle, choice, dict.fromkeys(sum(every, ())))
    with store.opened() as stored:
        monkeypatch.setattr(Localizer, "encode", lambda *given: pytest.fail("encoded twice"))
        again = list(accuracy_lines("run", flight, bundle, choice, stop, (), stored))
    folder = Path(store._folder.name)
    assert again == [without, aligned], "stored windows are worth the same"
    assert folder.is_dir()
    store.close()
    assert not folder.exists()
