"""A bundle that changes during a run: whatever was at work meanwhile does not count."""

from __future__ import annotations

import msgspec
import pytest

from benchmarks.peers import run as peers_module
from benchmarks.record.lines import (
    AccuracyLine,
    CacheState,
    MeasurementLine,
    PeerLine,
    RooflineLine,
    Scenario,
    Unknown,
)
from benchmarks.roofline import lines as roofline_module
from benchmarks.scenarios import accuracy, session
from benchmarks.scenarios.plan import Planned
from edge.errors import BenchmarkError
from edge.localizer import Localizer

SINGLE = Planned(Scenario.SINGLE_STREAM, CacheState.WARM, 1)
COLD = Planned(Scenario.MULTI_STREAM, CacheState.COLD, 2)
PEER = PeerLine("", "", "OpenCV", 2, *[Unknown("not in this test")] * 5, "")
pytestmark = pytest.mark.usefixtures("few_queries")


def alter(bundle):
    graph = bundle.path / "graphs/fp32/localizer.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"!")


def test_a_bundle_that_changes_amid_a_measurement_marks_it(call, bundle, monkeypatch):
    localize = Localizer.localize

    def meddling(self, *given):
        alter(bundle)
        return localize(self, *given)

    monkeypatch.setattr(Localizer, "localize", meddling)
    with pytest.raises(BenchmarkError, match="was changed during the run"):
        call(SINGLE, COLD)
    (line,) = call.lines(MeasurementLine)
    assert line.ended.startswith("bundle changed: ")
    assert "graphs/fp32/localizer.onnx" in line.ended
    assert line.latency.count == 4, "what was measured is kept, and not taken for complete"


def test_a_bundle_that_changes_between_two_measurements_stops_the_run(call, bundle, monkeypatch):
    one = session.Session._one

    def meddling(self, planned):
        line = one(self, planned)
        (bundle.path / "bundle.toml").write_text("# other\n")
        return line

    monkeypatch.setattr(session.Session, "_one", meddling)
    with pytest.raises(BenchmarkError, match="was changed during the run"):
        call(SINGLE, COLD)
    (line,) = call.lines(MeasurementLine)
    assert (line.scenario, line.ended) == (SINGLE.scenario, "complete")


def test_a_score_of_a_bundle_that_changes_meanwhile_is_not_kept(call, bundle, monkeypatch):
    flown = accuracy._evaluated

    def meddling(*given):
        judged = flown(*given)
        alter(bundle)
        return judged

    monkeypatch.setattr(accuracy, "_evaluated", meddling)
    with pytest.raises(BenchmarkError, match="was changed during the run") as caught:
        call(SINGLE, accuracy=True)
    assert "graphs/fp32/localizer.onnx" in caught.value.found
    assert call.lines(AccuracyLine) == [] and call.lines(MeasurementLine) == []


def test_a_roofline_of_a_bundle_that_changes_meanwhile_is_not_kept(call, bundle, monkeypatch):
    counted = roofline_module.roofline_lines

    def meddling(*given, **how):
        made = counted(*given, **how)
        alter(bundle)
        return made

    monkeypatch.setattr(roofline_module, "roofline_lines", meddling)
    with pytest.raises(BenchmarkError, match="was changed during the run"):
        call(SINGLE, roofline=True)
    assert call.lines(RooflineLine) == []
    assert [line.ended for line in call.lines(MeasurementLine)] == ["complete"]


def test_a_peer_beside_a_bundle_that_changes_meanwhile_is_not_kept(call, bundle, monkeypatch):
    begun = []

    def measured(run_id, *given, **how):
        for name in ("first", "second", "third"):
            begun.append(name)
            if name == "second":
                alter(bundle)
            yield msgspec.structs.replace(PEER, run_id=run_id, name=name)

    monkeypatch.setattr(peers_module, "measure_peers", measured)
    with pytest.raises(BenchmarkError, match="was changed during the run"):
        call(peers=True)
    assert [line.name for line in call.lines(PeerLine)] == ["first"]
    assert begun == ["first", "second"], "no peer is measured beside another bundle"
    assert call.told[-1] == "peer: first, OpenCV"


def test_no_peer_is_begun_beside_another_bundle(call, bundle, monkeypatch):
    one = session.Session._one

    def meddling(self, planned):
        line = one(self, planned)
        alter(bundle)
        return line

    monkeypatch.setattr(session.Session, "_one", meddling)
    monkeypatch.setattr(peers_module, "measure_peers", lambda *given, **how: pytest.fail("begun"))
    with pytest.raises(BenchmarkError, match="was changed during the run"):
        call(SINGLE, peers=True)


def test_a_changed_bundle_goes_on_once_it_is_restored_and_else_begins_anew(call, bundle):
    """As the error of a bundle that was changed says."""
    path = bundle.path / "bundle.toml"
    before = path.read_bytes()
    first = call(SINGLE)
    path.write_bytes(before + b"# other\n")
    changed = call(SINGLE)
    assert changed.run.run_id != first.run.run_id and changed.skipped == 0
    path.write_bytes(before)
    restored = call(SINGLE, COLD)
    assert restored.run.run_id == first.run.run_id and restored.skipped == 1
