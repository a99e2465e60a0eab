"""Bundles: what is written is read back, and nothing altered is ever opened."""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from pathlib import Path

import msgspec
import pytest
from damaged_bundle import edit, refusal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.bundle import ENCODER, LOCALIZER, Bundle, shipped_bundle_path, write_bundle
from edge.errors import BundleError, MissingLibraryError, OutputError


@pytest.fixture
def folder(tiny_bundle, tmp_path) -> Path:
    """A copy of the tiny bundle that may be damaged."""
    return Path(shutil.copytree(tiny_bundle.path, tmp_path / "copy"))


def test_what_is_written_is_read_back(tiny_bundle, tiny):
    manifest = tiny_bundle.manifest
    assert msgspec.structs.replace(manifest, files={}, manifest_sha256="") == tiny.tiny_manifest()
    assert set(manifest.files) == {
        "graphs/fp32/reference_encoder.onnx",
        "graphs/fp32/localizer.onnx",
        "graphs/fp32/head.npz",
    }
    for name, sha256 in manifest.files.items():
        assert hashlib.sha256((tiny_bundle.path / name).read_bytes()).hexdigest() == sha256
        assert tiny_bundle.file(name) == tiny_bundle.path / name


def test_the_identity_is_the_hash_of_the_encoder(tiny_bundle):
    graph = tiny_bundle.graph(ENCODER)
    assert tiny_bundle.model_id == hashlib.sha256(graph.read_bytes()).hexdigest()
    assert tiny_bundle.encoder_id("fp32") == tiny_bundle.model_id
    assert tiny_bundle.precisions == ("fp32",)


def test_the_same_input_gives_the_same_bundle(make_tiny_bundle, tiny_bundle, tmp_path):
    again = make_tiny_bundle(tmp_path / "again")
    assert again.manifest.files == tiny_bundle.manifest.files
    other = make_tiny_bundle(tmp_path / "other", seed=1)
    assert other.model_id != tiny_bundle.model_id


def test_a_missing_graph_lists_what_is_there(tiny_bundle):
    with pytest.raises(BundleError, match=r"no file graphs/fp16/localizer\.onnx") as caught:
        tiny_bundle.graph(LOCALIZER, "fp16")
    assert "graphs/fp32/localizer.onnx" in caught.value.expected
    assert "precision" in caught.value.do


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_one_flipped_bit_anywhere_is_refused(tiny_bundle, folder, data):
    name = data.draw(st.sampled_from(sorted(tiny_bundle.manifest.files)))
    content = bytearray((tiny_bundle.path / name).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    (folder / name).write_bytes(content)
    error = refusal(folder)
    assert f"the file {name}" in error.what
    assert "was altered" in error.what
    assert error.expected == f"sha256 {tiny_bundle.manifest.files[name]}"
    assert error.found.startswith(f"sha256 {hashlib.sha256(content).hexdigest()}")
    assert "do not fly" in error.do
    shutil.copyfile(tiny_bundle.path / name, folder / name)


def test_a_truncated_file_is_refused(folder):
    path = folder / "graphs/fp32/localizer.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    assert "was altered" in refusal(folder).what


def test_a_missing_file_is_named(folder):
    (folder / "graphs/fp32/head.npz").unlink()
    error = refusal(folder)
    assert "lacks a file" in error.what
    assert error.expected == "graphs/fp32/head.npz"
    assert "No such file" in error.found
    assert "again" in error.do


def test_files_that_the_manifest_does_not_list_are_left_alone(folder):
    (folder / "engines").mkdir()
    (folder / "engines/lite.engine").write_bytes(b"built here")
    opened = Bundle.open(folder)
    with pytest.raises(BundleError, match="no file engines/lite"):
        opened.file("engines/lite.engine")


@pytest.mark.parametrize("make", [lambda f: None, lambda f: f.mkdir(), lambda f: f.write_text("")])
def test_no_bundle_at_all(tmp_path, make):
    make(tmp_path / "nothing")
    error = refusal(tmp_path / "nothing")
    assert "no readable bundle" in error.what
    assert "bundle.toml" in error.expected
    assert "path of a bundle folder" in error.do


def test_another_schema_is_refused_before_all_else(folder):
    edit(folder, "tilefix-bundle/1", "tilefix-bundle/2")
    edit(folder, "origin", "provenance")
    error = refusal(folder)
    assert "another schema" in error.what
    assert error.expected == 'schema = "tilefix-bundle/1"'
    assert error.found == "schema = 'tilefix-bundle/2'"
    assert "export the bundle again" in error.do


@pytest.mark.parametrize(
    ("old", "new", "found", "near"),
    [
        ('licence = "', 'license = "', "`license`", "`licence`"),
        ("threshold = ", "treshold = ", "`acceptance.treshold`", "`acceptance.threshold`"),
        ("layout = ", "lay_out = ", "`features.lay_out`", "`features.layout`"),
        ("gsd_m = ", "gsd = ", "`window.gsd`", "`window.gsd_m`"),
    ],
)
def test_an_unknown_key_names_the_nearest(folder, old, new, found, near):
    edit(folder, old, new)
    error = refusal(folder)
    assert "unknown key" in error.what
    assert near.split(".")[-1].strip("`") in error.expected
    assert error.found == found
    assert near in error.do


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('licence = "Apache-2.0"\n', "", "missing required field `licence`"),
        ("stride_px = 16", 'stride_px = "16"', "$.head.stride_px"),
        ("gsd_m = 0.3", "gsd_m = [0.3]", "$.window.gsd_m"),
        ("[frame]", "[[frame]]", "$.frame"),
    ],
)
def test_keys_that_are_missing_or_of_another_type(folder, old, new, found):
    edit(folder, old, new)
    error = refusal(folder)
    assert "does not fit its schema" in error.what
    assert found in error.found


@pytest.mark.parametrize(
    ("old", "new", "key", "found"),
    [
        ("gsd_m = 0.3", "gsd_m = -0.3", "window.gsd_m", "-0.3"),
        ("gsd_m = 0.3", "gsd_m = nan", "window.gsd_m", "nan"),
        ("stride_px = 16", "stride_px = 0", "head.stride_px", "0"),
        ("sigma_px = 2.0", "sigma_px = -2.0", "click.sigma_px", "-2.0"),
        ("radius_factor = 1.42", "radius_factor = 0.0", "head.radius_factor", "0.0"),
        ('similarity = "cosine"', 'similarity = "guess"', "head.similarity", "'guess'"),
        ("        20.0,", "        -20.0,", "head.anchors_wh_px", "-20.0"),
        ("weights = [\n    10.0,\n", "weights = [\n", "acceptance.weights", "6"),
    ],
)
def test_values_that_cannot_be_meant(folder, old, new, key, found):
    edit(folder, old, new)
    error = refusal(folder)
    assert f"`{key}`" in error.what
    assert found in error.found


def test_what_is_not_toml_is_refused(folder):
    (folder / "bundle.toml").write_text("schema = \n")
    error = refusal(folder)
    assert "is not TOML" in error.what
    assert "line 1" in error.found
    (folder / "bundle.toml").write_bytes(b"\xff\xfe\x00")
    assert "UnicodeDecodeError" in refusal(folder).found


PATHS = [
    "../x",
    "graphs/../../x",
    "/etc/passwd",
    "a\\..\\b",
    "C:/x",
    "./a",
    "a//b",
    "",
    "bundle.toml",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_leaves_the_bundle_is_refused(folder, tiny_bundle, tiny, tmp_path, path):
    quoted = path.replace("\\", "\\\\")
    edit(folder, '"graphs/fp32/head.npz"', f'"{quoted}"')
    error = refusal(folder)
    assert "not inside the bundle" in error.what
    assert "'..'" in error.expected
    assert error.found == repr(path)
    assert "do not use this bundle" in error.do
    with pytest.raises(BundleError, match="not inside the bundle"):
        write_bundle(tmp_path / "new", tiny.tiny_manifest(), {path: b"x"})
    assert not (tmp_path / "new").exists()


def test_a_bundle_without_its_encoder_is_none(tiny, tmp_path):
    with pytest.raises(BundleError, match=r"no file graphs/fp32/reference_encoder\.onnx"):
        write_bundle(tmp_path / "new", tiny.tiny_manifest(), {"NOTICE": b"text"})
    assert list(tmp_path.iterdir()) == []  # nothing half made is left


def test_a_bundle_is_only_replaced_when_told(make_tiny_bundle, tmp_path):
    first = make_tiny_bundle(tmp_path / "b")
    with pytest.raises(OutputError, match="already there") as caught:
        make_tiny_bundle(tmp_path / "b", seed=1)
    assert caught.value.found == "a bundle"
    assert Bundle.open(tmp_path / "b") == first
    second = make_tiny_bundle(tmp_path / "b", seed=1, replace=True)
    assert Bundle.open(tmp_path / "b").model_id == second.model_id != first.model_id
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_bundle_that_cannot_be_replaced_stays(make_tiny_bundle, tmp_path, monkeypatch):
    first = make_tiny_bundle(tmp_path / "b")
    rename = Path.rename

    def refuse(self, target):
        if self.name.startswith(".b.") and not self.name.endswith(".old"):
            raise OSError(5, "a broken disk")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match="cannot be written"):
        make_tiny_bundle(tmp_path / "b", seed=1, replace=True)
    assert Bundle.open(tmp_path / "b") == first
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_folder_that_is_no_bundle_is_never_replaced(make_tiny_bundle, tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b/photo.jpg").write_bytes(b"dear")
    with pytest.raises(OutputError, match="already there") as caught:
        make_tiny_bundle(tmp_path / "b", replace=True)
    assert caught.value.found == "something else"
    assert (tmp_path / "b/photo.jpg").read_bytes() == b"dear"


def test_writing_without_tomli_w_says_what_to_install(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tomli_w", None)
    with pytest.raises(MissingLibraryError, match="tomli_w") as caught:
        write_bundle(tmp_path / "new", tiny.tiny_manifest(), {})
    assert caught.value.do == "pip install 'tilefix[export]'"


def test_opening_costs_little_more_than_hashing_its_files_once(make_tiny_bundle, tmp_path):
    content = bytes(range(256)) * 4096 * 25
    make_tiny_bundle(tmp_path / "big", extra_files={"alignment/xfeat.onnx": content})
    opening, hashing = [], []
    for _ in range(7):
        start = time.process_time()
        Bundle.open(tmp_path / "big")
        opened = time.process_time()
        hashlib.sha256(content).hexdigest()
        opening.append(opened - start)
        hashing.append(time.process_time() - opened)
    assert min(opening) < 3 * min(hashing)


def test_the_shipped_bundle_is_looked_for_in_the_package(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.resources.files", lambda name: tmp_path / name)
    with pytest.raises(BundleError, match="carries no bundle") as caught:
        shipped_bundle_path()
    assert "give a bundle" in caught.value.do
    lite = tmp_path / "edge/bundles/lite"
    lite.mkdir(parents=True)
    (lite / "bundle.toml").write_text("")
    assert shipped_bundle_path() == lite
