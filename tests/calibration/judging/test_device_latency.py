"""What blocks save on a device without one: real graphs, a fake toolkit, and hand-made times."""

from __future__ import annotations

from pathlib import Path

import pytest
from hand_timed import HandMade, by_number, failing

from calibration.judging.device_latency import DeviceTrial, ranked_on_device
from calibration.judging.record import RankedBy, Ranking
from edge.bundle import ENCODER, LOCALIZER
from edge.engine_manifest import ENGINES_VARIABLE, engines_folder, read_engine
from export.engines import build, device

E3, E5, E6, E9 = (f"{ENCODER}/part.{number}" for number in range(4))  # by their node_conv_N
L3, L5 = (f"{LOCALIZER}/part.{number}" for number in range(2))


def test_what_blocks_save_by_layers_of_engines_that_are_really_built(
    request_of, orin, plugin, monkeypatch
):
    told, timer = [], HandMade(by_number)
    trial = DeviceTrial(plugin=plugin, timer=timer)
    asked = ranked_on_device(request_of, trial, lambda *step: told.append(step))
    found = asked.ranking
    assert (found.by, found.reason) == (RankedBy.LATENCY, "")
    assert found.device == "Orin (16 SM), TensorRT 10.3.0.30"
    # 1/8 ms for what quantises the input of a convolution; E6 and E9 read the same one
    assert found.saved_ms == {
        E3: 3 - 1.5 - 0.125,
        E5: 5 - 2.5 - 0.125,
        E6: 6 - 3 - 0.0625,
        E9: 9 - 11.25 - 0.0625,  # INT8 makes it slower
        L3: 3 - 1.5 - 0.125,
        L5: 5 - 2.5 - 0.125,
    }
    encoder, localizer = found.graphs
    assert (encoder.graph, encoder.fp16_ms, encoder.int8_ms) == (ENCODER, 23.125, 18.75)
    assert (encoder.fp16_elsewhere_ms, encoder.int8_elsewhere_ms) == (0.125, 0.125)
    assert (localizer.graph, localizer.fp16_ms, localizer.int8_ms) == (LOCALIZER, 8.25, 4.5)
    assert told[-1] == ("blocks are ranked by their latency on " + found.device, 0, 0)
    for kind, job in zip((ENCODER, LOCALIZER), timer.jobs, strict=True):
        keys = [read_engine(Path(each)).key for each in job.engines]
        assert [(key.kind, key.precision) for key in keys] == [(kind, "fp16"), (kind, "int8+fp16")]
        assert keys[1].click_buckets == ((4,) if kind == LOCALIZER else ())
        assert (job.toolkit, job.clicks) == ("tensorrt", 4)
        assert job.features == (() if kind == ENCODER else ("v", "u"))
    bundle = request_of.bundle
    assert not (bundle.path / "engines").exists(), "the float bundle stays as it was"

    # the same request goes on with the same ranking, and measures nothing
    again = ranked_on_device(request_of, DeviceTrial(plugin=plugin, timer=pytest.fail)).ranking
    assert again == found
    # an engine of another TensorRT is another one
    monkeypatch.setattr(device, "local_gpu", lambda: device.Gpu("Orin (8 SM)", 87))
    other = ranked_on_device(request_of, DeviceTrial(plugin=plugin, timer=failing)).ranking
    assert other == Ranking(by=RankedBy.MACS, reason="the device is gone: status 700")


def test_engines_of_the_bundle_and_their_plugin_are_used(request_of, orin, plugin):
    """Built before, for 1, 4, 16 and 64 clicks; only INT8 is built then, without --plugin."""
    from export.engines.targets import choose_target

    bundle = request_of.bundle
    target = choose_target("local", None, device.local_gpu())
    for kind in (ENCODER, LOCALIZER):
        build.build_engine(bundle, kind, "fp16", build.BuildSettings(target, plugin))
    timer = HandMade(by_number)
    assert ranked_on_device(request_of, DeviceTrial(timer=timer)).ranking.saved_ms[L5] == 2.375
    for job in timer.jobs:
        before, after = map(Path, job.engines)
        assert before.parent == bundle.path / "engines"
        assert after.parent.parent.name.startswith("timed-")
        read = [read_engine(each).key.plugin_sha256 for each in (before, after)]
        assert read[0] == read[1]
    next(request_of.work.glob("device-latency-*.json")).unlink()
    ranked_on_device(request_of, DeviceTrial(plugin=plugin, timer=timer))
    homes = [Path(each).parent.parent.name for job in timer.jobs[2:] for each in job.engines]
    # one process runs both of a graph's engines, and takes one plugin: the one that was given
    assert homes[0] == "bundle" and all(each.startswith("timed-") for each in homes[1:])


def test_trial_engines_lie_apart_from_those_that_fly(
    request_of, orin, plugin, monkeypatch, tmp_path
):
    """Below $TILEFIX_ENGINES too, where the bundles' names are all that parts their engines."""
    monkeypatch.setenv(ENGINES_VARIABLE, str(tmp_path / "engines"))
    timer = HandMade(by_number)
    asked = ranked_on_device(request_of, DeviceTrial(plugin=plugin, timer=timer))
    assert asked.ranking.by is RankedBy.LATENCY
    homes = {Path(each).parent for job in timer.jobs for each in job.engines}
    (timed,) = request_of.work.glob("timed-*")
    assert homes == {tmp_path / "engines" / timed.name}
    assert engines_folder(request_of.bundle) not in homes
    assert not engines_folder(request_of.bundle).exists()


def test_an_engine_for_other_clicks_brings_its_plugin_all_the_same(request_of, orin, plugin):
    """It is not timed itself, since it does not take four clicks at once."""
    from export.engines.targets import choose_target

    target = choose_target("local", None, device.local_gpu())
    settings = build.BuildSettings(target, plugin, click_buckets=(1, 2))
    before = build.build_engine(request_of.bundle, LOCALIZER, "fp16", settings)
    timer = HandMade(by_number)
    found = ranked_on_device(request_of, DeviceTrial(timer=timer)).ranking
    assert (found.reason, found.saved_ms[L5]) == ("", 2.375)
    for each in timer.jobs[1].engines:
        key = read_engine(Path(each)).key
        assert key.click_buckets == (4,)
        assert key.plugin_sha256 == before.manifest.key.plugin_sha256 != ""
