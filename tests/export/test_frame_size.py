"""Bundles for frames of another size: the same weights, the same windows, coarser frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner

from edge.bundle import LOCALIZER, Bundle, shipped_bundle_path, write_bundle
from edge.cli import tilefix
from edge.engine_manifest import REPLAY_INDEX
from edge.errors import BundleError, UsageError
from export.bundle_weights import lite_from_bundle
from export.frame_size import resize_frame
from export.shared_weights import whole_graph
from tests.support.torch_answers import check_torch
from training.models.lite import Lite

CALIBRATION = ("calibration/ranges.json", "calibration/replay/frames/0000.webp", REPLAY_INDEX)


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle.open(shipped_bundle_path())


def as_if_exported(shipped: Bundle, folders: Mapping[str, Path]) -> dict[str, dict[str, Path]]:
    """The shipped localizer, weights inside, in place of one for 320 px: exports take 40 s."""
    paths = {}
    for precision, folder in folders.items():
        folder.mkdir()
        onnx.save(whole_graph(shipped.graph(LOCALIZER, precision)), str(folder / "localizer.onnx"))
        paths[precision] = {LOCALIZER: folder / "localizer.onnx"}
    return paths


@pytest.fixture(
    scope="module", params=["old graph", pytest.param("exported", marks=pytest.mark.full_size)]
)
def small(request, shipped, tmp_path_factory) -> Iterator[Bundle]:
    """The shipped bundle for frames of 320 px, made by the command; INT8 was tried and rejected."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "old graph":

            def export(model: Lite, folders: Mapping[str, Path], kinds: tuple[str, ...]):
                assert model.options.frame_px == 320 and kinds == (LOCALIZER,)
                own, source = model.state_dict(), lite_from_bundle(shipped).state_dict()
                assert own.keys() == source.keys() and not model.training
                assert all(torch.equal(own[name], source[name]) for name in own)
                return as_if_exported(shipped, folders)

            patch.setattr("export.frame_size.export_precisions", export)
        yield made_small(shipped, tmp_path_factory)


def made_small(shipped: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    home = tmp_path_factory.mktemp("resized")
    out = home / "lite_320"
    files: dict[str, bytes | Path] = {x: shipped.file(x) for x in shipped.manifest.files}
    files |= dict.fromkeys(CALIBRATION, b"of frames of 512 px")
    files["graphs/fp32/localizer_window.onnx"] = b"a part of an older version"
    source = write_bundle(home / "source", shipped.manifest, files)
    words = ["export", "--from-bundle", str(source.path), "--out", str(out)]
    done = CliRunner().invoke(tilefix, [*words, "--frame-px", "320"], catch_exceptions=False)
    assert done.exit_code == 0 and "lite_320 4, fp16, fp32" in done.output
    return Bundle.open(out)


def test_without_a_bundle_the_shipped_one_is_resized(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("export.frame_size.resize_frame", lambda *given: asked.append(given))
    monkeypatch.setattr("export.command._report", lambda out, bundle: None)
    words = ["export", "--frame-px", "320", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(tilefix, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert asked[0][:3] == (shipped_bundle_path(), tmp_path / "out", (320, 320))
    with pytest.raises(UsageError, match="it is not clear what to export"):
        CliRunner().invoke(tilefix, [*words[:1], *words[3:]], catch_exceptions=False)


def weights(bundle: Bundle, precision: str) -> dict[str, bytes]:
    """What takes room in the localizer: every initializer but single numbers and shapes."""
    graph = whole_graph(bundle.graph(LOCALIZER, precision)).graph
    return {t.name: t.raw_data for t in graph.initializer if len(t.raw_data) > 16}


def test_the_weights_are_those_of_the_source_bit_for_bit(shipped, small):
    for precision in ("fp32", "fp16"):
        assert weights(small, precision) == weights(shipped, precision)
        kept = ("reference_encoder.onnx", "weights.bin", "head.npz")
        for name in (f"graphs/{precision}/{each}" for each in kept):
            assert small.manifest.files[name] == shipped.manifest.files[name]
        assert small.encoder_id(precision) == shipped.encoder_id(precision)  # stores serve both
    total = sum(path.stat().st_size for path in small.path.rglob("*") if path.is_file())
    assert total < 25e6


def test_the_manifest_says_what_changed(shipped, small):
    manifest = small.manifest
    assert (manifest.frame.width_px, manifest.frame.height_px) == (320, 320)
    assert manifest.name == "lite_320" and manifest.scores == {}
    assert manifest.acceptance.fitted_on.startswith("frames of 512 px: ")
    frame_of_before = msgspec.structs.replace(manifest.frame, width_px=512, height_px=512)
    assert frame_of_before == shipped.manifest.frame
    assert manifest.head == shipped.manifest.head and manifest.window == shipped.manifest.window


def test_what_was_found_on_frames_of_the_old_size_is_left_out(shipped, small):
    """Ranges, judgement, and pictures that an engine of this size could not take."""
    assert set(small.manifest.files) == set(shipped.manifest.files)


@pytest.mark.parametrize("small", ["exported"], indirect=True)
@pytest.mark.full_size
def test_it_answers_as_the_torch_model_at_that_size(small):
    """All outputs of the graph, in float32, on a picture that is not flat."""
    rng = np.random.default_rng(4)
    frame = rng.integers(0, 255, (320, 320, 3), dtype=np.uint8)
    assert lite_from_bundle(small).options.frame_px == 320
    check_torch(small, frame, np.array([[40, 60], [300.5, 10.25], [160, 310]], np.float32))


@pytest.mark.parametrize("size", ["512", "321", "96", "512x512", "320x200", "320x48", "112x96"])
def test_sizes_that_cannot_be(size, tmp_path):
    words = ["export", "--from-bundle", str(shipped_bundle_path()), "--out", str(tmp_path / "o")]
    done = CliRunner().invoke(tilefix, [*words, "--frame-px", size])
    assert isinstance(done.exception, UsageError)
    assert done.exception.expected == (
        "multiples of 16, one side at least 128 and the other 64, other than its own 512"
    )
    wanted = "512" if size == "512x512" else size
    assert done.exception.found == wanted and not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    "size", ["wide", "512x", "x288", "5x2x8", "-320", "320.5", "\u0663\u0662\u0660"]
)
def test_what_is_no_size_is_told_so(size, tmp_path):
    words = ["export", "--from-bundle", str(shipped_bundle_path()), "--out", str(tmp_path / "o")]
    done = CliRunner().invoke(tilefix, [*words, f"--frame-px={size}"])
    assert done.exit_code == 2
    assert f"'{size}' is no size: a side such as 320, or 320x224" in done.output


def test_other_options_mean_nothing_with_it(tmp_path):
    words = ["export", "--from-bundle", str(shipped_bundle_path()), "--out", str(tmp_path / "o")]
    done = CliRunner().invoke(tilefix, [*words, "--frame-px", "320", "--precision", "fp32"])
    assert isinstance(done.exception, UsageError)
    assert done.exception.found == "--precision"
    assert done.exception.expected == (
        "--from-bundle with --frame-px and --out with or without --fit-on and --held-out"
    )


def test_no_acceptance_is_fitted_without_alignment(shipped, tmp_path):
    files = {
        name: shipped.file(name)
        for name in shipped.manifest.files
        if not name.startswith("alignment/")
    }
    plain = msgspec.structs.replace(shipped.manifest, alignment={})
    source = write_bundle(tmp_path / "plain", plain, files).path
    with pytest.raises(
        BundleError, match="no acceptance can be fitted for a copy of lite"
    ) as error:
        resize_frame(source, tmp_path / "out", (256, 256), [tmp_path], [tmp_path])
    assert error.value.found == "none: aligned priors are part of the evidence"
    assert not (tmp_path / "out").exists()


def test_an_acceptance_is_fitted_on_frames_of_the_new_size(shipped, tmp_path, monkeypatch):
    made = {}
    for name in ("fit", "held"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "samples.jsonl").touch()
        (tmp_path / name / "made_by.json").touch()

    def refitted(draft, fit_on, held_out, progress):
        made["frame_px"] = draft.manifest.frame.width_px
        made["samples"] = *fit_on, *held_out
        head = msgspec.structs.replace(draft.manifest.head, radius_factor=1.75)
        return msgspec.structs.replace(draft.manifest, head=head)

    monkeypatch.setattr("export.frame_size.refitted", refitted)
    monkeypatch.setattr(
        "export.frame_size.export_precisions",
        lambda model, folders, kinds: as_if_exported(shipped, folders),
    )
    out = tmp_path / "lite_256"
    words = ["export", "--from-bundle", str(shipped.path), "--out", str(out), "--frame-px", "256"]
    words += ["--fit-on", str(tmp_path / "fit")]
    done = CliRunner().invoke(tilefix, words)
    assert isinstance(done.exception, UsageError)
    assert done.exception.found == "--fit-on alone" and not out.exists()
    held_out = ["--held-out", str(tmp_path / "held")]
    done = CliRunner().invoke(tilefix, [*words, *held_out], catch_exceptions=False)
    assert done.exit_code == 0
    assert made == {"frame_px": 256, "samples": (tmp_path / "fit", tmp_path / "held")}
    assert Bundle.open(out).manifest.head.radius_factor == 1.75


def test_a_calibrated_bundle_and_itself(shipped, tmp_path):
    """Ranges were found on frames of the old size."""
    files = {name: shipped.file(name) for name in shipped.manifest.files}
    int8: dict[str, bytes | Path] = {
        name.replace("/fp32/", "/int8+fp32/"): path
        for name, path in files.items()
        if "/fp32/" in name
    }
    calibrated = write_bundle(tmp_path / "int8", shipped.manifest, {**files, **int8})
    with pytest.raises(BundleError) as error:
        resize_frame(calibrated.path, tmp_path / "out", (320, 320))
    assert "int8+fp32" in error.value.found and "then calibrate" in error.value.do
    copy = write_bundle(tmp_path / "copy", shipped.manifest, files)
    with pytest.raises(BundleError) as error:
        resize_frame(copy.path, copy.path, (320, 320))
    assert error.value.do == "give a folder of its own with --out"
    assert onnx.load(str(copy.graph(LOCALIZER))).graph.initializer  # still whole
