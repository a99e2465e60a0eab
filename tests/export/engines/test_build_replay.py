"""`tilefix build` in INT8 compares boxes by itself: when, on what, and what it says where not."""

from __future__ import annotations

import json
from dataclasses import replace as changed
from types import SimpleNamespace

import msgspec
import pytest
from advised_commands import parsed
from click.testing import CliRunner
from fake_engines import write_fake_engine
from made_samples import made_samples
from replayed import fake_built, fake_device, int8_notes, int8_tiny_bundle

from edge.bundle import ENCODER, LOCALIZER, write_bundle
from edge.cli import tilefix
from edge.engine_manifest import REPLAY_INDEX, engines_folder, read_engine
from edge.errors import BundleError, CalibrationError, ExecutorError
from edge.precisions import TENSORRT_FORM
from export.engines import auto, build, device, replay, targets
from export.engines.auto import AutoBuild
from export.engines.build import BuiltEngine
from export.engines.choice import Candidate, Choice
from export.engines.replay_pictures import own_pictures

GPU = device.Gpu("Fake GPU (16 SM)", 87)


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    return fake_device(monkeypatch, tmp_path / "engines")


@pytest.fixture
def bundle(make_tiny_bundle, tmp_path):
    return int8_tiny_bundle(make_tiny_bundle, tmp_path / "int8")


@pytest.fixture
def run(gpu, monkeypatch):
    """`run(bundle, ...)`: what the command says, with a fake engine for one that would be built."""
    monkeypatch.setattr(build, "check_graphs", lambda *_: None)
    monkeypatch.setattr(device, "local_gpu", lambda: GPU)

    def built(bundle, kind, precision, settings, *_):
        others = {"click_buckets": settings.click_buckets} if kind == LOCALIZER else {}
        folders = engines_folder(bundle).glob("*")
        known = [(path, read_engine(path)) for path in folders]
        fits = [x for x, m in known if (m.key.kind, m.key.precision) == (kind, precision)]
        if fits and not settings.force:
            return BuiltEngine(fits[0], read_engine(fits[0]), new=False)
        folder = write_fake_engine(bundle, kind, precision=precision, **others)
        return BuiltEngine(folder, read_engine(folder), new=True)

    monkeypatch.setattr(build, "build_engine", built)

    def call(bundle, *words: object, precision: str = "int8") -> str:
        options = ["build", str(bundle.path), "--precision", precision, *map(str, words)]
        toolkit = [] if "--toolkit" in words else ["--toolkit", "tensorrt"]
        done = CliRunner().invoke(tilefix, [*options, *toolkit])
        call.output = done.output
        if done.exception is not None:
            raise done.exception
        return done.output

    return call


def records(bundle) -> list:
    return [read_engine(path).replay for path in engines_folder(bundle).iterdir()]


def test_a_build_on_the_device_ends_the_warning(run, bundle):
    engines = fake_built(bundle)
    (note,) = int8_notes(bundle)
    ((verb, given),) = parsed(note[note.index("tilefix ") :])
    assert (verb, given["replay"], given["plugin"]) == ("build", None, engines[1].folder)
    said = run(bundle)
    assert (
        "replaying frames in windows, 6 pairs\nreplayed 24 clicks of calibration frames against"
        in said
    )
    for record in records(bundle):
        assert record.selection_sha256 == bundle.manifest.files[REPLAY_INDEX]
        assert record.iou_median > 0.99
    assert int8_notes(bundle) == ()


def test_what_was_replayed_is_not_again(run, bundle, monkeypatch):
    run(bundle)
    asked = []
    whole = replay.replay
    monkeypatch.setattr(replay, "replay", lambda *given: asked.append(1) or whole(*given))
    said = run(bundle)
    assert (
        "already replayed 24 clicks of calibration frames against onnxruntime/fp32" in said
        and not asked
    )
    run(bundle, "--force")
    assert len(asked) == 1, "other engines"
    (folder,) = [x for x in engines_folder(bundle).iterdir() if read_engine(x).key.kind == ENCODER]
    manifest = read_engine(folder)
    record = msgspec.structs.replace(manifest.replay, encoder_sha256="0" * 64)
    for path in engines_folder(bundle).iterdir():
        made = BuiltEngine(path, read_engine(path), new=False)
        build.renewed(bundle, made, msgspec.structs.replace(made.manifest, replay=record))
    assert "replaying frames" in run(bundle) and len(asked) == 2, "behind another encoder"


def test_all_of_the_selection_is_more_than_its_part(run, bundle, tmp_path):
    """And a whole selection that is given is always replayed."""
    selection = tmp_path / "int8" / "selection"
    assert "replaying frames" in run(bundle, "--replay", selection)
    (sha256,) = {record.selection_sha256 for record in records(bundle)}
    assert sha256 != bundle.manifest.files[REPLAY_INDEX]
    assert "already replayed" in run(bundle)
    assert "replaying frames" in run(bundle, "--replay", selection)
    assert {record.selection_sha256 for record in records(bundle)} == {sha256}


def test_other_pictures_are_replayed(run, bundle):
    run(bundle)
    for path in engines_folder(bundle).iterdir():
        made = BuiltEngine(path, read_engine(path), new=False)
        record = msgspec.structs.replace(made.manifest.replay, selection_sha256="0" * 64)
        build.renewed(bundle, made, msgspec.structs.replace(made.manifest, replay=record))
    assert "replaying frames" in run(bundle)


def test_boxes_that_differ_are_told_at_once(run, make_tiny_bundle, tmp_path):
    other = int8_tiny_bundle(make_tiny_bundle, tmp_path / "other")
    wrong = make_tiny_bundle(tmp_path / "wrong", seed=1)
    fake_built(other, kernels=wrong.graph(LOCALIZER))
    assert "below 0.900, so `tilefix run` warns: fp16 is the safer choice" in run(other)
    (note,) = int8_notes(other)
    ((_, given),) = parsed(note[note.index("tilefix ") :])
    assert str(given["replay"]) == f"{other.path}.work/selection", "its own were looked at"


def test_held_out_samples_are_replayed_where_these_were_judged(run, make_tiny_bundle, tmp_path):
    samples = made_samples(tmp_path / "samples", [(True, False, True), (True, True)])
    bundle = int8_tiny_bundle(make_tiny_bundle, tmp_path / "int8", samples=(samples,))
    said = run(bundle)
    assert "2 pairs\nreplayed 4 clicks of held-out samples against onnxruntime/fp32" in said
    assert {each.pictures for each in records(bundle)} == {"held-out samples"}
    assert int8_notes(bundle) == ()
    run(bundle, "--replay", tmp_path / "int8/selection")
    assert {each.pictures for each in records(bundle)} == {"calibration frames"}
    assert "replayed 4 clicks of held-out samples" in run(bundle), "no part of the selection"
    wrong = make_tiny_bundle(tmp_path / "wrong", seed=1)
    fake_built(bundle, kernels=wrong.graph(LOCALIZER))
    assert "so `tilefix run` warns: fp16 is the safer choice" in run(bundle)
    (note,) = int8_notes(bundle)
    assert "of 4 clicks of held-out samples, at least 0.900; fp16 is the safer choice" in note
    assert "selection" not in note, "no picture of it tells more"


def test_a_bundle_of_an_earlier_version(run, make_tiny_bundle, tmp_path):
    bare = int8_tiny_bundle(make_tiny_bundle, tmp_path / "bare", pictures=False)
    said = run(bare)
    assert "were not compared with float32's here: the bundle carries no pictures; add " in said
    assert "--replay FOLDER, `selection` in the work folder of its calibration, or " in said
    assert records(bare) == [None, None]
    (note,) = int8_notes(bare)
    ((_, given),) = parsed(note[note.index("tilefix ") :])
    assert str(given["replay"]) == f"{bare.path}.work/selection"


def test_without_the_device_it_is_left_to_it(run, bundle, gpu, monkeypatch):
    def elsewhere(text, toolkit, found):
        return changed(targets_of(text, toolkit, found), present=False)

    targets_of = targets.choose_target
    monkeypatch.setattr(targets, "choose_target", elsewhere)
    said = run(bundle)
    assert "this machine has no GPU of sm87; give the same command on the device\n" in said
    assert records(bundle) == [None, None]
    with pytest.raises(ExecutorError, match="--replay needs the device"):
        run(bundle, "--replay", bundle.path)


def test_one_graph_finds_no_boxes(run, bundle):
    said = run(bundle, "--graph", "encoder")
    assert said.count("one graph alone finds no boxes; leave --graph out\n") == 1


def test_float_engines_are_not_replayed_by_themselves(run, bundle, tmp_path):
    assert "compared" not in run(bundle, precision="fp32")
    assert records(bundle) == [None, None]
    assert "replayed 24" in run(bundle, "--replay", tmp_path / "int8/selection", precision="fp32")


@pytest.mark.parametrize("buckets", ["1", "3", "1,4"])
def test_an_engine_for_few_clicks_sees_them_all(run, bundle, buckets):
    assert "replayed 24 clicks" in run(bundle, "--buckets", buckets)
    assert int8_notes(bundle) == ()


def test_no_other_engine_is_run_in_its_place(run, bundle, make_tiny_bundle, tmp_path):
    """One for more clicks is preferred in flight; its boxes are not those of this one."""
    run(bundle, "--buckets", "1")
    other = make_tiny_bundle(tmp_path / "other", seed=1)
    wrong = {LOCALIZER: other.graph(LOCALIZER)}
    place = SimpleNamespace(
        manifest=bundle.manifest, path=bundle.path, graph=lambda kind, _: wrong[kind]
    )
    folder = write_fake_engine(place, LOCALIZER, precision=TENSORRT_FORM)
    for path in engines_folder(bundle).iterdir():
        made = BuiltEngine(path, read_engine(path), new=False)
        build.renewed(bundle, made, msgspec.structs.replace(made.manifest, replay=None))
    kinds = {m.key.kind: x for x in engines_folder(bundle).iterdir() if (m := read_engine(x))}
    kinds = {ENCODER: kinds[ENCODER], "wrong": folder}
    kinds[LOCALIZER] = next(x for x in engines_folder(bundle).iterdir() if x not in kinds.values())
    pictures = own_pictures(bundle, targets.choose_target("local", "tensorrt", GPU), 2)
    found = {}
    for name in (LOCALIZER, "wrong"):
        pair = [BuiltEngine(x, read_engine(x), new=False) for x in (kinds[ENCODER], kinds[name])]
        found[name] = replay.replay(bundle, pair, pictures, "tensorrt").iou_median
    assert found[LOCALIZER] > 0.99 and found["wrong"] < 0.5


def test_an_engine_that_fails_is_kept_and_told(run, bundle, gpu, monkeypatch):
    def broken(*_):
        raise ExecutorError("the device is lost", expected="one", found="none", do="reset it")

    monkeypatch.setattr(replay, "DeviceMeasurer", broken)
    with pytest.raises(ExecutorError, match="the device is lost"):
        run(bundle)
    assert "the engines are kept, with boxes that were not compared" in run.output
    assert records(bundle) == [None, None]


def rewritten(bundle, folder, **values):
    """The bundle with another index, listed and hashed as it is."""
    index = json.loads(bundle.file(REPLAY_INDEX).read_bytes()) | values
    files = {name: bundle.file(name) for name in bundle.manifest.files}
    files[REPLAY_INDEX] = json.dumps(index).encode()
    return write_bundle(folder, bundle.manifest, files)


def test_pictures_of_another_schema_end_it_before_the_build(run, bundle, tmp_path):
    newer = rewritten(bundle, tmp_path / "newer", schema="tilefix-replay/9")
    with pytest.raises(CalibrationError) as error:
        run(newer)
    assert (error.value.expected, error.value.found) == (
        "tilefix-replay/1",
        "schema 'tilefix-replay/9'",
    )
    assert not engines_folder(newer).exists(), "it built before it looked"
    assert "replaying frames" in run(newer, "--replay", tmp_path / "int8" / "selection")


def test_an_altered_picture_is_an_altered_bundle(run, bundle):
    (name,) = [x for x in bundle.manifest.files if x.endswith("windows/0001.webp")]
    path = bundle.path / name
    path.write_bytes(path.read_bytes()[:-1] + b"\0\0")
    with pytest.raises(BundleError) as error:
        run(bundle)
    assert error.value.what.startswith(f"the file {name} of the bundle ")


@pytest.mark.parametrize(
    ("kept", "stayed", "said"),
    [
        (TENSORRT_FORM, ("fp32",), True),
        ("fp32", (TENSORRT_FORM,), True),  # it was there before this build
        ("fp32", (), False),  # it lost, and was removed
    ],
)
def test_auto_replays_int8_that_is_left(run, bundle, monkeypatch, kept, stayed, said):
    made = {name: tuple(fake_built(bundle, name)) for name in (kept, *stayed)}

    def fake(*_):
        choice = Choice(kept, "the fastest that passes", True, (Candidate(kept),))
        return AutoBuild(choice, made[kept], tuple(x for n in stayed for x in made[n]), ())

    monkeypatch.setattr(auto, "build_auto", fake)
    output = run(bundle, "--inputs", "random", precision="auto")
    assert ("replayed 24 clicks" in output) == said
    replayed = [read_engine(x.folder).replay for x in made.get(TENSORRT_FORM, ())]
    assert len(replayed) == (2 if said else 0) and None not in replayed
    assert {read_engine(x.folder).replay for x in made["fp32"]} == {None}


def test_half_of_int8_that_is_left_is_passed_over(run, bundle, monkeypatch):
    """Its encoder was new, lost and was removed; the older localizer stayed."""
    kept, int8 = (tuple(fake_built(bundle, name)) for name in ("fp32", TENSORRT_FORM))
    choice = Choice("fp32", "the fastest that passes", True, (Candidate("fp32"),))
    monkeypatch.setattr(auto, "build_auto", lambda *_: AutoBuild(choice, kept, int8[1:], ()))
    output = run(bundle, "--inputs", "random", precision="auto")
    assert "repla" not in output and "compared" not in output


def test_help_says_so():
    text = " ".join(CliRunner().invoke(tilefix, ["build", "--help"]).output.split())
    assert "INT8 engines then locate the pictures that the bundle carries" in text
