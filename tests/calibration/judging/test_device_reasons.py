"""Whatever goes wrong on the device is a reason to rank blocks by MACs, and ends no calibration."""

from __future__ import annotations

import errno

import msgspec
import pytest
from hand_timed import HandMade, by_number, failing

from calibration.judging import device_latency
from calibration.judging.device_latency import DeviceTrial, ranked_on_device
from calibration.judging.record import RankedBy, Ranking
from calibration.judging.request import NOT_ASKED
from export.engines import build, device, toolkit
from export.engines.layer_times import EngineTimes


def test_a_device_that_fails_in_the_middle_loses_nothing_but_the_ranking(
    request_of, orin, plugin, monkeypatch
):
    """The encoder was timed, the localizer fails: no half of a ranking, and the next try is new."""
    hand, told = HandMade(by_number), []
    made = []
    real = build.build_engine

    def once_each(bundle, kind, precision, settings):
        engine = real(bundle, kind, precision, settings)
        made.append(engine.new)
        return engine

    def half(job, folder):
        return failing(job, folder) if job.features else hand(job, folder)

    monkeypatch.setattr(build, "build_engine", once_each)
    asked = ranked_on_device(
        request_of, DeviceTrial(plugin=plugin, timer=half), lambda *step: told.append(step)
    )
    reason = "the device is gone: status 700"
    assert asked.ranking == Ranking(by=RankedBy.MACS, reason=reason)
    assert told[-1] == (f"blocks are ranked by MACs: {reason}", 0, 0)
    assert len(hand.jobs) == 1
    found = ranked_on_device(request_of, DeviceTrial(plugin=plugin, timer=hand)).ranking
    assert found.by is RankedBy.LATENCY and len(found.saved_ms) == 6
    assert made == [True] * 4 + [False] * 4  # engines that were finished are kept


def test_a_disk_that_refuses_is_a_reason(request_of, orin, plugin, monkeypatch):
    def full(*args, **named):
        raise OSError(errno.ENOSPC, "No space left on device", "/flights/0412.work/graphs")

    monkeypatch.setattr(device_latency, "write_kept", full)
    told = []
    asked = ranked_on_device(
        request_of, DeviceTrial(plugin=plugin), lambda *step: told.append(step)
    )
    reason = "[Errno 28] No space left on device: 'graphs'"
    assert asked.ranking == Ranking(by=RankedBy.MACS, reason=reason)
    assert told[-1] == (f"blocks are ranked by MACs: {reason}", 0, 0)


def test_a_report_that_is_no_report_is_a_reason(request_of, orin, plugin):
    def damaged(job, folder):
        return msgspec.json.decode(b"{", type=EngineTimes)

    asked = ranked_on_device(request_of, DeviceTrial(plugin=plugin, timer=damaged))
    assert asked.ranking == Ranking(by=RankedBy.MACS, reason="Input data was truncated")


def test_times_that_cannot_be_read_again_are_measured_anew(request_of, orin, plugin):
    trial = DeviceTrial(plugin=plugin, timer=HandMade(by_number))
    found = ranked_on_device(request_of, trial).ranking
    (kept,) = request_of.work.glob("device-latency-*.json")
    whole = kept.read_bytes()
    kept.write_bytes(whole[:40])
    assert ranked_on_device(request_of, trial).ranking == found
    assert len(trial.timer.jobs) == 4 and kept.read_bytes() == whole


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda patch: patch.setattr(device, "local_gpu", lambda: None), "this machine has no GPU"),
        (lambda patch: patch.setattr(toolkit, "TOOLKITS", ()), "no TensorRT is installed"),
        (lambda patch: None, "has custom nodes, and no plugin was given for them: no --plugin"),
    ],
    ids=["no GPU", "no TensorRT", "no plugin"],
)
def test_what_is_missing_is_the_reason(request_of, orin, monkeypatch, spoil, reason):
    spoil(monkeypatch)
    asked = ranked_on_device(request_of, DeviceTrial(timer=pytest.fail))
    assert asked.ranking.by is RankedBy.MACS and reason in asked.ranking.reason
    assert asked.ranking.saved_ms == {} and len(asked.ranking.reason) <= 300
    assert asked.graphs is request_of.graphs


def test_a_build_that_fails_and_layers_that_cannot_be_told_are_reasons(
    request_of, orin, plugin, monkeypatch
):
    monkeypatch.setenv("FAKE_FAULT", "SIGABRT")
    asked = ranked_on_device(request_of, DeviceTrial(plugin=plugin, timer=pytest.fail))
    assert "the process that builds the engine ended without an answer" in asked.ranking.reason
    monkeypatch.setenv("FAKE_FAULT", "")
    hidden = lambda job, folder: (EngineTimes((), 1.0, ("{ForeignNode[a...b]}",)),) * 2  # noqa: E731
    asked = ranked_on_device(request_of, DeviceTrial(plugin=plugin, timer=hidden))
    assert asked.ranking.reason == (
        "the engine's layers cannot be told by the blocks of the model: 100%: {ForeignNode[a...b]}"
    )


def test_nobody_asks_the_device_where_macs_are_wanted(request_of, monkeypatch):
    monkeypatch.setattr(device, "local_gpu", pytest.fail)
    asked = ranked_on_device(request_of, DeviceTrial(by_macs=True))
    assert asked.ranking == NOT_ASKED and not request_of.work.exists()
