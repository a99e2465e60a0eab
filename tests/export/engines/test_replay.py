"""The judge's frames through engines on a device that is not there, and what a run says of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from advised_commands import parsed
from click.testing import CliRunner
from fake_engines import write_fake_engine
from fake_gpu import FakeGpu
from made_selection import made_selection
from replayed import fake_built, fake_device, int8_notes, int8_tiny_bundle

from edge.bundle import Bundle
from edge.cli import tilefix
from edge.engine_manifest import BoxReplay, engines_folder, parse_manifest, read_engine
from edge.errors import CalibrationError, ExecutorError, TilefixError, UsageError
from edge.precisions import TENSORRT_FORM
from export.engines import build, device
from export.engines.build import BuiltEngine
from export.engines.replay import replay, told
from export.engines.replay_pictures import open_pictures
from export.engines.targets import Target, choose_target

FRAMES, WINDOWS, CLICKS = 3, 2, 4


@pytest.fixture
def gpu(monkeypatch, tmp_path) -> FakeGpu:
    return fake_device(monkeypatch, tmp_path / "engines")


@pytest.fixture
def int8_bundle(make_tiny_bundle, tmp_path) -> Bundle:
    """Of an earlier version: it carries no pictures; TensorRT's graphs are of another seed."""
    return int8_tiny_bundle(make_tiny_bundle, tmp_path / "int8", other=True, pictures=False)


@pytest.fixture
def target(gpu) -> Target:
    return choose_target("local", "tensorrt", device.Gpu("Fake GPU (16 SM)", 87))


def test_an_engine_in_int8_that_was_not_replayed_is_a_warning(gpu, int8_bundle):
    engines = fake_built(int8_bundle)
    (note,) = int8_notes(int8_bundle)
    assert note.startswith("boxes of this engine in INT8 were not compared with float32's yet: ")
    ((verb, given),) = parsed(note[note.index("tilefix ") :])
    assert (verb, given["precision"], given["target"]) == ("build", "int8", "local")
    assert given["plugin"] == engines[1].folder, "so that the very engine is found again"
    assert given["buckets"] == "1,4,16,64" and not given["force"]
    assert given["replay"] == Path(f"{int8_bundle.path}.work/selection")


def test_float_engines_need_no_replay(gpu, int8_bundle):
    fake_built(int8_bundle, "fp32")
    assert int8_notes(int8_bundle, "fp32") == ()


def test_what_is_written_after_a_replay(gpu, make_tiny_bundle, int8_bundle, target, tmp_path):
    bundle = int8_tiny_bundle(make_tiny_bundle, tmp_path / "plain", pictures=False)
    engines = fake_built(bundle, kernels=int8_bundle.graph("localizer", TENSORRT_FORM))
    selection = made_selection(tmp_path / "selection", frames=FRAMES, windows=WINDOWS)
    pictures = open_pictures(selection.path, bundle, target, 2)
    assert len(pictures.cases) == FRAMES * WINDOWS
    record = replay(bundle, engines, pictures, "tensorrt")
    assert record.clicks == FRAMES * WINDOWS * CLICKS
    assert record.against == "onnxruntime/fp32"
    assert record.selection_sha256 == selection.selection.digest()
    assert record.judged_iou_median == 1.0, "the same graphs as in fp32"
    assert record.iou_median < 0.5, "kernels of another seed find other boxes"
    for each in engines:
        manifest = read_engine(each.folder)
        assert manifest.replay == record
        assert manifest.engine_sha256 == each.manifest.engine_sha256
    said = told(record)
    assert said.startswith(
        "replayed 24 clicks of calibration frames against onnxruntime/fp32: median IoU 0."
    )
    assert said.endswith("; below 0.900, so `tilefix run` warns: fp16 is the safer choice")
    (note,) = int8_notes(bundle)
    assert note.startswith("boxes of this engine in INT8 are not onnxruntime/fp32's: median IoU 0")
    assert f"{record.iou_median:.3f} of 24 clicks of calibration frames, at least 0.900" in note
    assert "fp16 is the safer choice, or look at all of the selection: tilefix build " in note
    ((verb, given),) = parsed(note[note.index("tilefix ") :])
    assert (verb, given["replay"]) == ("build", Path(f"{bundle.path}.work/selection"))


def test_an_engine_is_laid_beside_its_own_graphs(gpu, int8_bundle, target, tmp_path):
    """The form for a CPU, whose boxes are float32's here, was not what the engine is made of."""
    engines = fake_built(int8_bundle)
    pictures = open_pictures(made_selection(tmp_path / "selection").path, int8_bundle, target, 2)
    record = replay(int8_bundle, engines, pictures, "tensorrt")
    assert record.iou_median < 0.5
    assert record.judged_iou_median == pytest.approx(record.iou_median, abs=1e-3)
    assert told(record).endswith(", so that these pictures cannot tell, and `tilefix run` warns")
    (note,) = int8_notes(int8_bundle)
    assert note.startswith("these pictures cannot tell whether boxes of this engine in INT8 are ")
    assert f"its graphs in ONNX Runtime have {record.judged_iou_median:.3f} themselves" in note
    assert note.endswith("or calibrate again with --samples, which are in their windows")


def test_equal_boxes_end_the_warning(gpu, int8_bundle, target, tmp_path):
    engines = fake_built(int8_bundle, "int8+fp32")  # whose graphs are those of fp32
    selection = made_selection(tmp_path / "selection")
    pictures = open_pictures(selection.path, int8_bundle, target, 2)
    record = replay(int8_bundle, engines, pictures, "tensorrt")
    assert record.iou_median > 0.99 and record.close_share > 0.9
    accepted = fake_built(int8_bundle)
    sha256 = accepted[0].manifest.engine_sha256  # the record is put behind this encoder
    with_record(int8_bundle, accepted[1], msgspec.structs.replace(record, encoder_sha256=sha256))
    assert int8_notes(int8_bundle) == ()


def test_what_the_runtime_compiled_stays_beside_the_engine(gpu, int8_bundle):
    _, engine = fake_built(int8_bundle)
    (engine.folder / "runtime.cache").write_bytes(b"kernels of this device")
    manifest = msgspec.structs.replace(engine.manifest, notes=("another",))
    again = build.renewed(int8_bundle, engine, manifest)
    assert read_engine(again.folder).notes == ("another",)
    assert (again.folder / "runtime.cache").read_bytes() == b"kernels of this device"


def with_record(bundle: Bundle, engine: BuiltEngine, record: BoxReplay) -> None:
    build.renewed(bundle, engine, msgspec.structs.replace(engine.manifest, replay=record))


@pytest.mark.parametrize(
    ("median", "judged", "accepted"),
    [
        (0.9, 1.0, True),
        (0.89, 1.0, False),
        (0.7, 0.7, True),
        (0.64, 0.7, False),
        (0.5, 0.52, True),
        (0.49, 0.52, False),
        (0.04, 0.04, False),  # as bad as the graphs is no proof
        (0.0, 0.04, False),
        (0.6, 0.04, True),
    ],
)
def test_no_more_is_asked_than_was_judged(gpu, int8_bundle, median, judged, accepted):
    """Frames in windows that do not show them: boxes jump, in every runtime."""
    engine = fake_built(int8_bundle)[1]
    values = {"against": "onnxruntime/fp32", "selection_sha256": "", "clicks": 9, "close_share": 0}
    record = BoxReplay(**values, iou_median=median, judged_iou_median=judged)
    with_record(int8_bundle, engine, record)
    assert (int8_notes(int8_bundle) == ()) == accepted


@pytest.mark.parametrize(("judged", "tells"), [(0.5, True), (0.49, False)])
@pytest.mark.parametrize("pictures", ["held-out samples", "calibration frames", ""])
def test_what_to_do_where_the_pictures_cannot_tell(gpu, int8_bundle, judged, tells, pictures):
    engine = fake_built(int8_bundle)[1]
    values = {"against": "onnxruntime/fp32", "selection_sha256": "", "clicks": 9, "close_share": 0}
    record = BoxReplay(**values, iou_median=0.4, judged_iou_median=judged, pictures=pictures)
    with_record(int8_bundle, engine, record)
    (note,) = int8_notes(int8_bundle)
    assert note.startswith("boxes of this" if tells else "these pictures cannot tell whether boxes")
    shown = f"9 clicks of {pictures}, at" if pictures else "9 clicks, at"
    assert shown in note and "at least 0.500" in note and "fp16 is the safer choice" in note
    held_out = pictures == "held-out samples"
    assert ("calibrate again with --samples" in note) == (not tells and not held_out)
    assert ("--replay" in note) == (tells and not held_out)
    assert ("cannot tell" in told(record)) == (not tells)


def test_a_manifest_of_before_replays_is_read(gpu, int8_bundle):
    engine = fake_built(int8_bundle)[1]
    path = engine.folder / "engine.json"
    values = msgspec.json.decode(path.read_bytes())
    del values["replay"]
    path.write_bytes(msgspec.json.encode(values))
    assert parse_manifest(path).replay is None


def test_the_command_replays_what_it_built(gpu, int8_bundle, tmp_path, monkeypatch):
    """With an engine of the fake executor in the place of the one that the builder would make."""
    made = []

    def built(bundle, kind, precision, *_):
        made.append(precision)
        folder = write_fake_engine(bundle, kind, precision=precision)
        return BuiltEngine(folder, read_engine(folder), new=True)

    monkeypatch.setattr(build, "build_engine", built)
    monkeypatch.setattr(build, "check_graphs", lambda *_: None)
    monkeypatch.setattr(device, "local_gpu", lambda: device.Gpu("Fake GPU (16 SM)", 87))
    selection = made_selection(tmp_path / "selection")
    command = ["build", str(int8_bundle.path), "--precision", "int8", "--toolkit", "tensorrt"]
    done = CliRunner().invoke(tilefix, [*command, "--replay", str(selection.path)])
    assert done.exit_code == 0, (done.output, done.exception)
    assert made == [TENSORRT_FORM] * 2
    assert (
        "replaying frames in windows, 6 pairs\nreplayed 24 clicks of calibration frames against"
        in done.output
    )
    for path in engines_folder(int8_bundle).iterdir():
        assert read_engine(path).replay is not None


def test_what_cannot_be_replayed(gpu, int8_bundle, target, tmp_path):
    selection = made_selection(tmp_path / "selection").path

    def refused(*arguments: object) -> TilefixError:
        with pytest.raises(TilefixError) as error:
            open_pictures(*arguments)
        assert error.value.do
        return error.value

    one = refused(selection, int8_bundle, target, 1)
    assert isinstance(one, UsageError) and one.expected == "both graphs"
    away = refused(selection, int8_bundle, replace(target, present=False), 2)
    assert isinstance(away, ExecutorError) and away.expected == "a GPU of sm87 in this machine"
    none = refused(tmp_path, int8_bundle, target, 2)
    assert isinstance(none, CalibrationError)
    large = made_selection(tmp_path / "large", window_px=(256, 256)).path
    sizes = refused(large, int8_bundle, target, 2)
    assert sizes.found == "frames of 64 x 64 px and windows of 256 x 256 px"
    empty = made_selection(tmp_path / "empty", windows=0).path
    assert refused(empty, int8_bundle, target, 2).expected == "frames and windows"
