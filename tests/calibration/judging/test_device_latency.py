"""What blocks save on a device without one: real graphs, a fake toolkit, and hand-made times."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import msgspec
import onnx
import pytest
from small_graphs import small_bundle, small_encoder, small_localizer

from calibration.judging import device_latency
from calibration.judging.device_latency import DeviceTrial, ranked_on_device
from calibration.judging.record import RankedBy, Ranking
from calibration.judging.request import NOT_ASKED, JudgeRequest
from calibration.quantization.int8_graphs import FloatGraphs
from calibration.ranges.record import Ranges, TensorRange
from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.engine_manifest import ENGINES_VARIABLE, engines_folder, read_engine
from edge.errors import ExecutorError
from export.engines import build, device, toolkit
from export.engines.layer_table import layers_of_profile
from export.engines.layer_times import EngineTimes, LayerTime

FAKE = Path(__file__).parents[2] / "support/fake_toolkit"


def named(graph: bytes) -> bytes:
    """The graph with a module's path for the weights of each convolution, so that it has blocks."""
    model = onnx.load_from_string(graph)
    names = [node.input[1] for node in model.graph.node if node.op_type == "Conv"]
    paths = {name: f"model.part.{number}.weight" for number, name in enumerate(names)}
    for tensor in model.graph.initializer:
        tensor.name = paths.get(tensor.name, tensor.name)
    for node in model.graph.node:
        node.input[:] = [paths.get(name, name) for name in node.input]
    return model.SerializeToString()


@pytest.fixture
def bundle(tiny, tmp_path) -> Bundle:
    graphs = {
        f"{precision}/{kind}": named(make(precision == "fp16"))
        for precision in ("fp32", "fp16")
        for kind, make in ((ENCODER, small_encoder), (LOCALIZER, small_localizer))
    }
    return small_bundle(tmp_path / "bundle", tiny.tiny_manifest(), graphs)


@pytest.fixture
def request_of(bundle, tmp_path) -> JudgeRequest:
    graphs = FloatGraphs(bundle)
    entries = tuple(
        TensorRange(
            tensor=name,
            amax=1.0,
            lowest=-1.0,
            highest=1.0,
            saturated_share=0.0,
            method="minmax",
            graph=kind,
        )
        for kind, names in graphs.observed.items()
        for name in names
    )
    ranges = Ranges(
        graph_sha256={}, selection_sha256="", method="minmax", preprocessing="", entries=entries
    )
    return JudgeRequest(
        bundle=bundle,
        ranges={"minmax": ranges},
        selection=SimpleNamespace(),
        work=tmp_path / "work",
        graphs=graphs,
    )


@pytest.fixture
def orin(monkeypatch) -> None:
    """TensorRT 10.3 on an Orin: the fake toolkit, built with in the real process."""
    monkeypatch.setenv("FAKE_VERSION", "10.3.0.30")
    monkeypatch.setenv("FAKE_FAULT", "")
    monkeypatch.delenv(ENGINES_VARIABLE, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(FAKE))
    monkeypatch.syspath_prepend(str(FAKE))
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.setattr(device, "local_gpu", lambda: device.Gpu("Orin (16 SM)", 87))
    monkeypatch.setattr(toolkit, "TOOLKITS", ("tensorrt",))


@pytest.fixture
def plugin(tmp_path) -> Path:
    """A folder as `tilefix plugin build` leaves it, with a library of no use."""
    import platform

    from export.plugin.build import LIBRARY, sha256_of

    folder = tmp_path / "plugin"
    folder.mkdir()
    (folder / LIBRARY).write_bytes(b"a library")
    values = {
        "schema_version": 1,
        "library": LIBRARY,
        "library_sha256": sha256_of(folder / LIBRARY),
        "library_bytes": 9,
        "sources_sha256": {},
        "target": platform.machine(),
        "archs": [87],
        "nvcc_release": "13.0",
        "tensorrt_headers": "10.14.1",
        "command": [],
        "spilled_bytes": 0,
    }
    (folder / "plugin.json").write_text(json.dumps(values))
    return folder


class HandMade:
    """A timer that says of each layer of an engine what a function says of its name and type."""

    def __init__(self, told: Callable[[str, str], float]) -> None:
        self.told, self.jobs = told, []

    def __call__(self, job, folder) -> tuple[EngineTimes, ...]:
        self.jobs.append(job)
        return tuple(self.times(Path(each)) for each in job.engines)

    def times(self, engine: Path) -> EngineTimes:
        precision = read_engine(engine).key.precision
        rows = json.loads((engine / "engine.plan").read_bytes())["layers"]
        layers = layers_of_profile(json.dumps({"Layers": rows}), 0)
        return EngineTimes(tuple(LayerTime(x, self.told(x.nodes[0], precision)) for x in layers))


def by_number(node: str, precision: str) -> float:
    """Convolution n of a graph takes n ms, in INT8 half of it, or a quarter more from 7 on."""
    if node.startswith("node_conv_"):
        number = float(node.removeprefix("node_conv_"))
        return number * (1.0 if precision == "fp16" else 0.5 if number < 7 else 1.25)
    return 0.125 if node.startswith(("QuantizeLinear", "node_cast")) else 0.0


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


def failing(job, folder):
    raise ExecutorError("the device is gone", expected="it", found="status 700", do="restart")


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


def test_a_disk_that_refuses_is_a_reason(request_of, orin, plugin, monkeypatch):
    def full(*args, **named):
        raise OSError(errno.ENOSPC, "No space left on device", "graphs")

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
