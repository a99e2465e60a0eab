"""A replay holds for the encoder that it was made with."""

from __future__ import annotations

import hashlib
from importlib.machinery import ModuleSpec
from pathlib import Path

import msgspec
import pytest
from fake_engines import install, write_fake_engine
from fake_gpu import FakeGpu
from made_selection import made_selection

from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.engine_manifest import (
    ENGINE_FILE,
    ENGINES_VARIABLE,
    BoxReplay,
    engines_folder,
    read_engine,
    write_engine,
)
from edge.executors.base import open_executor
from edge.precisions import TENSORRT_FORM
from export.engines import device
from export.engines.build import BuiltEngine, renewed
from export.engines.replay import replay
from export.engines.replay_pictures import open_pictures
from export.engines.targets import choose_target

STALE = "behind another encoder, which was built again since: tilefix build "


@pytest.fixture
def bundle(monkeypatch, tmp_path, make_tiny_bundle) -> Bundle:
    """Its graphs in INT8 are those in fp32, and a fake GPU is there."""
    monkeypatch.setenv(ENGINES_VARIABLE, str(tmp_path / "engines"))
    for name, module in install(monkeypatch, FakeGpu()).items():
        module.__spec__ = ModuleSpec(name, None)
    plain = make_tiny_bundle(tmp_path / "plain")
    files = {}
    for part in ("reference_encoder.onnx", "localizer.onnx"):
        files[f"graphs/{TENSORRT_FORM}/{part}"] = plain.file(f"graphs/fp32/{part}").read_bytes()
    return make_tiny_bundle(tmp_path / "int8", extra_files=files)


@pytest.fixture
def engines(bundle) -> dict[str, BuiltEngine]:
    """Of both graphs, by kind; the localizer was replayed with that encoder."""
    made = {}
    for kind in (ENCODER, LOCALIZER):
        folder = write_fake_engine(bundle, kind, precision=TENSORRT_FORM)
        made[kind] = BuiltEngine(folder, read_engine(folder), new=True)
    record = BoxReplay(
        against="onnxruntime/fp32",
        selection_sha256="",
        clicks=9,
        iou_median=0.95,
        close_share=0.9,
        encoder_sha256=made[ENCODER].manifest.engine_sha256,
    )
    for kind, each in made.items():
        made[kind] = renewed(bundle, each, msgspec.structs.replace(each.manifest, replay=record))
    return made


def build_again(bundle: Bundle, engine: BuiltEngine) -> Path:
    """The same key, other bytes, and no record yet, as `tilefix build --force` leaves it."""
    plan = (engine.folder / ENGINE_FILE).read_bytes()
    plan = plan.rstrip(b"}") + b" }"
    sha256 = hashlib.sha256(plan).hexdigest()
    manifest = msgspec.structs.replace(
        engine.manifest, engine_sha256=sha256, engine_bytes=len(plan), replay=None
    )
    return write_engine(engines_folder(bundle), manifest, {ENGINE_FILE: plan})


def notes(bundle: Bundle) -> tuple[str, ...]:
    opened = open_executor("tensorrt", bundle, LOCALIZER, "int8")
    said = tuple(note for note in opened.notes if "INT8" in note)
    opened.close()
    return said


def test_the_record_of_an_encoder_that_was_built_again_is_stale(bundle, engines):
    assert notes(bundle) == ()
    assert build_again(bundle, engines[ENCODER]) == engines[ENCODER].folder, "of the same key"
    (note,) = notes(bundle)
    assert STALE in note and "--replay" in note


def test_a_second_encoder_that_would_run_makes_it_stale_too(bundle, engines):
    """Another build flag, newer: this one runs."""
    first = engines[ENCODER]
    key = msgspec.structs.replace(first.manifest.key, flags=("workspace=9MiB",))
    other = msgspec.structs.replace(first.manifest, key=key)
    assert build_again(bundle, BuiltEngine(first.folder, other, new=True)) != first.folder
    (note,) = notes(bundle)
    assert STALE in note


def test_stored_windows_alone_need_no_encoder(bundle, engines):
    """One that is not there cannot be another one."""
    for path in engines[ENCODER].folder.iterdir():
        path.unlink()
    engines[ENCODER].folder.rmdir()
    assert notes(bundle) == ()


def test_a_record_of_before_names_no_encoder(bundle, engines):
    old = engines[LOCALIZER].manifest
    record = msgspec.structs.replace(old.replay, encoder_sha256="")
    renewed(bundle, engines[LOCALIZER], msgspec.structs.replace(old, replay=record))
    build_again(bundle, engines[ENCODER])
    assert notes(bundle) == ()


def test_a_replay_names_its_encoder_and_ends_the_note(bundle, engines, tmp_path):
    folder = build_again(bundle, engines[ENCODER])
    again = {**engines, ENCODER: BuiltEngine(folder, read_engine(folder), new=True)}
    target = choose_target("local", "tensorrt", device.Gpu("Fake GPU (16 SM)", 87))
    selection = made_selection(tmp_path / "selection", frames=1, windows=1)
    pictures = open_pictures(selection.path, bundle, target, 2)
    record = replay(bundle, list(again.values()), pictures, "tensorrt")
    assert record.encoder_sha256 == again[ENCODER].manifest.engine_sha256
    assert record.encoder_sha256 != engines[ENCODER].manifest.engine_sha256
    assert notes(bundle) == ()
