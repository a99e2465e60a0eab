"""What was run, and that it does not change under way."""

from __future__ import annotations

import hashlib
import shutil

import pytest
from fake_engines import PLUGIN, install, write_fake_engine
from fake_gpu import FakeGpu

from benchmarks.record.bundle_facts import bundle_facts, check_unchanged
from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.devices.base import DeviceOptions
from edge.engine_manifest import ENGINES_VARIABLE, read_engine
from edge.errors import BenchmarkError, ExecutorError
from edge.localizer import Localizer


@pytest.fixture
def bundle(make_tiny_bundle, tmp_path):
    """With a graph of a precision that is not run."""
    return make_tiny_bundle(
        tmp_path / "bundle", extra_files={"graphs/fp16/localizer.onnx": b"fp16"}
    )


def test_every_file_that_is_used_has_its_sha256(bundle):
    facts = bundle_facts(Localizer.open(bundle), 2)
    files = dict(facts.files)
    for name, sha256 in files.items():
        assert sha256 == hashlib.sha256((bundle.path / name).read_bytes()).hexdigest()
    assert {"bundle.toml", f"graphs/fp32/{ENCODER}.onnx", f"graphs/fp32/{LOCALIZER}.onnx"} <= set(
        files
    )
    assert "graphs/fp16/localizer.onnx" not in files
    assert (facts.executor, facts.precision, facts.threads) == ("onnxruntime", "fp32", 2)
    assert facts.model_id == files[f"graphs/fp32/{ENCODER}.onnx"]
    assert facts.frame_px == (64, 64)
    assert (facts.engines, facts.plugin_sha256, facts.timing_cache_sha256) == ((), None, None)
    assert (facts.device_backend, facts.cuda_graphs) == (None, None), "there is no GPU to use"


def test_equal_bundles_have_equal_facts(bundle, tmp_path):
    shutil.copytree(bundle.path, tmp_path / "copy")
    copy = Localizer.open(Bundle.open(tmp_path / "copy"))
    assert bundle_facts(copy, 2) == bundle_facts(Localizer.open(bundle), 2)


def test_a_bundle_that_changes_during_a_run_is_an_error(bundle):
    localizer = Localizer.open(bundle)
    facts = bundle_facts(localizer, 2)
    check_unchanged(localizer, facts)
    path = bundle.path / f"graphs/fp32/{LOCALIZER}.onnx"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(BenchmarkError, match="was changed during the run") as caught:
        check_unchanged(localizer, facts)
    now = hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"graphs/fp32/{LOCALIZER}.onnx" in caught.value.found
    assert now[:12] in caught.value.found and now[:12] not in caught.value.expected
    assert caught.value.do == (
        "restore the bundle and run the same command to go on; with the changed one a new run "
        "begins"
    )


def test_a_file_that_goes_is_an_error(bundle):
    localizer = Localizer.open(bundle)
    (bundle.path / f"graphs/fp32/{ENCODER}.onnx").unlink()
    with pytest.raises(BenchmarkError, match=r"a file of the bundle .* is gone") as caught:
        bundle_facts(localizer, 2)
    assert f"{ENCODER}.onnx" in caught.value.expected


# --- engines -------------------------------------------------------------------------------------


@pytest.fixture
def engines(bundle, tmp_path, monkeypatch):
    """Engines of both graphs, by graph; the localizer's with a plugin."""
    monkeypatch.setenv(ENGINES_VARIABLE, str(tmp_path / "engines"))
    install(monkeypatch, FakeGpu())
    return {
        ENCODER: write_fake_engine(bundle, ENCODER),
        LOCALIZER: write_fake_engine(bundle, LOCALIZER, plugin=PLUGIN),
    }


def test_engines_and_plugin_have_their_sha256(bundle, engines):
    facts = bundle_facts(Localizer.open(bundle, "tensorrt"), 2)
    wanted = {kind: read_engine(folder).engine_sha256 for kind, folder in engines.items()}
    assert facts.executor == "tensorrt" and dict(facts.engines) == wanted
    assert facts.plugin_sha256 == hashlib.sha256(PLUGIN).hexdigest()
    assert facts.timing_cache_sha256 is None  # the fake engine was built without one


@pytest.mark.parametrize(
    ("device", "backend", "graphs"),
    [
        (None, "cuda-python", True),
        (DeviceOptions(timed=True), "cuda-python", True),
        (DeviceOptions(graphs=False), "cuda-python", False),
        (DeviceOptions("pycuda"), "pycuda", True),
    ],
)
def test_how_the_gpu_is_used_is_a_fact(bundle, engines, device, backend, graphs):
    facts = bundle_facts(Localizer.open(bundle, "tensorrt"), 2, device)
    assert (facts.device_backend, facts.cuda_graphs) == (backend, graphs)


def test_an_engine_that_is_altered_or_gone_is_an_error(bundle, engines):
    localizer = Localizer.open(bundle, "tensorrt")
    facts = bundle_facts(localizer, 2)
    check_unchanged(localizer, facts)
    (engines[ENCODER] / "engine.plan").write_bytes(b"another")
    with pytest.raises(ExecutorError, match="cannot be used"):
        check_unchanged(localizer, facts)
    shutil.rmtree(engines[ENCODER])
    with pytest.raises(ExecutorError):
        bundle_facts(localizer, 2)
