"""The verbs reach the executors on a GPU, and the results say so."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from fake_engines import install, write_fake_engine, write_fake_engines
from fake_gpu import FakeGpu

from edge.assembly import ExecutorChoice, PriorChoice, assemble_on_map
from edge.bundle import LOCALIZER
from edge.commands.executor_options import device_options
from edge.devices.base import DeviceOptions
from edge.encoding import BundleEncoder
from edge.engine_manifest import ENGINES_VARIABLE
from edge.errors import ExecutorError, FeatureStoreError, UsageError
from edge.localizer import Localizer
from edge.types import Click, Frame, ReferenceWindow


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    monkeypatch.setenv(ENGINES_VARIABLE, str(tmp_path / "engines"))
    made = FakeGpu()
    install(monkeypatch, made)
    return made


@pytest.fixture
def fp16_bundle(make_tiny_bundle, tiny, tmp_path):
    """The tiny bundle with its graphs a second time, under the name fp16."""
    plain = make_tiny_bundle(tmp_path / "plain")
    parts = ("reference_encoder.onnx", "localizer.onnx", "head.npz")
    files = {
        f"graphs/fp16/{part}": plain.file(f"graphs/fp32/{part}").read_bytes() for part in parts
    }
    return make_tiny_bundle(tmp_path / "both", extra_files=files)


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt-rtx"])
def test_a_fix_says_what_made_it(gpu, fp16_bundle, name):
    write_fake_engines(fp16_bundle, "fp16")
    localizer = Localizer.open(fp16_bundle, name, "fp16")
    plain = Localizer.open(fp16_bundle, "onnxruntime", "fp16")
    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    window = ReferenceWindow(image, np.ones((128, 128), bool), None, "w", "m")
    frame, clicks = Frame(image[:64, :64], 0, 0.0, "test"), [Click("a", 20, 30), Click("b", 50, 9)]
    feature = localizer.encode(window)
    fixes = localizer.localize(frame, clicks, feature)
    expected = plain.localize(frame, clicks, plain.encode(window))
    for fix, known in zip(fixes, expected, strict=True):
        assert (fix.executor, fix.precision) == (name, "fp16")
        assert fix.box_xyxy_px == pytest.approx(known.box_xyxy_px, abs=1e-3)
        assert fix.confidence_logit == pytest.approx(known.confidence_logit, abs=1e-4)
        assert fix.verdict == known.verdict
    assert localizer.notes == ()
    assert feature.model_id == fp16_bundle.encoder_id("fp16")


def test_a_precision_without_an_engine_is_no_other_precision(gpu, fp16_bundle):
    write_fake_engines(fp16_bundle, "fp32")
    with pytest.raises(ExecutorError, match="no engine of the localizer in fp16") as caught:
        Localizer.open(fp16_bundle, "tensorrt", "fp16")
    assert "--precision fp16" in caught.value.do


def test_notes_of_both_engines_come_up(gpu, tiny_bundle):
    for kind in ("reference_encoder", LOCALIZER):
        write_fake_engine(tiny_bundle, kind, gpu_name="Orin Nano")
    encoder = BundleEncoder(tiny_bundle, "tensorrt")
    assert len(encoder.notes) == 1
    image = np.zeros((128, 128, 3), np.uint8)
    encoder.encode(ReferenceWindow(image, np.ones((128, 128), bool), None, "w", "m"))
    assert [note.split(" was built")[0] for note in encoder.notes] == [
        "the engine of the localizer",
        "the engine of the reference_encoder",
    ]


def test_options_become_values():
    assert device_options(None, no_cuda_graphs=False) is None
    assert device_options("pycuda", no_cuda_graphs=False) == DeviceOptions("pycuda", graphs=True)
    assert device_options(None, no_cuda_graphs=True) == DeviceOptions("cuda-python", graphs=False)


@pytest.mark.parametrize("verb", ["run", "evaluate", "encode"])
def test_every_verb_has_the_options(verb):
    from edge.commands.evaluate import evaluate
    from edge.commands.run import run
    from edge.commands.tiles import encode

    command = {"run": run, "evaluate": evaluate, "encode": encode}[verb]
    text = CliRunner().invoke(command, ["--help"]).output
    for option in ("--executor", "--precision", "--device-backend", "--no-cuda-graphs"):
        assert option in text


def encoding(bundle, home, precision) -> list[str]:
    """What `tilefix tiles` is told to encode a map of one tile into home/store on the GPU."""
    cv2 = pytest.importorskip("cv2")
    folder = home / "map" / "18" / "140000"
    folder.mkdir(parents=True)
    tile = np.random.default_rng(1).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "90000.png"), tile)
    words = ["encode", "--bundle", str(bundle.path), "--tiles", str(home / "map")]
    words += ["--store", str(home / "store"), "--executor", "tensorrt"]
    return [*words, "--precision", precision]


def test_tiles_encode_on_the_gpu(gpu, fp16_bundle, parts, tmp_path):
    """From the command line to a store that says which encoder made it."""
    from edge.commands.tiles import tiles

    write_fake_engines(fp16_bundle, "fp16")
    store = tmp_path / "store"
    arguments = encoding(fp16_bundle, tmp_path, "fp16")
    done = CliRunner().invoke(tiles, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert gpu.counts["cuGraphLaunch"] > 0
    header = json.loads((store / "header.json").read_text())
    assert fp16_bundle.encoder_id("fp16") in json.dumps(header)
    refused = CliRunner().invoke(tiles, [*arguments, "--device-backend", "cupy"])
    assert isinstance(refused.exception, UsageError)
    assert "no device backend 'cupy'" in refused.exception.what
    assert refused.exception.expected == "--device-backend with one of cuda-python, pycuda"


def test_int8_means_the_graphs_for_the_executor_from_encoding_to_a_run(
    gpu, make_tiny_bundle, tmp_path
):
    """The store is of the encoder that TensorRT ran, and a run opens it by the short name."""
    from edge.commands.tiles import tiles

    other = make_tiny_bundle(tmp_path / "other", seed=1)
    parts = ("reference_encoder.onnx", "localizer.onnx")
    files = {
        f"graphs/int8+fp16/{part}": other.file(f"graphs/fp32/{part}").read_bytes() for part in parts
    }
    bundle = make_tiny_bundle(tmp_path / "int8", extra_files=files)
    write_fake_engines(bundle, "int8+fp16")
    store = tmp_path / "store"
    arguments = encoding(bundle, tmp_path, "int8")
    done = CliRunner().invoke(tiles, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert bundle.encoder_id("int8+fp16") in (store / "header.json").read_text()
    assembly = assemble_on_map(
        bundle,
        tmp_path / "map",
        store_path=store,
        prior=PriorChoice.NONE,
        executor=ExecutorChoice("tensorrt", "int8"),
    )
    assert assembly.localizer.precision == "int8+fp16"
    (note,) = assembly.localizer.notes
    assert note.startswith("boxes of this engine in INT8 were not compared with float32's yet")
    assembly.close()
    with pytest.raises(FeatureStoreError):
        assemble_on_map(bundle, tmp_path / "map", store_path=store, prior=PriorChoice.NONE)


@pytest.mark.parametrize("features", ["int8", "float16"])
def test_a_run_makes_itself_ready_for_the_store_that_it_reads(
    gpu, fp16_bundle, parts, tmp_path, features
):
    """What a driver cannot translate is told before the flight; a store in float16 needs it not."""
    from edge.commands.tiles import tiles

    write_fake_engines(fp16_bundle, "fp16")
    arguments = [*encoding(fp16_bundle, tmp_path, "fp16"), "--features", features]
    done = CliRunner().invoke(tiles, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    int8 = features == "int8"

    def opened():
        return assemble_on_map(
            fp16_bundle,
            tmp_path / "map",
            store_path=tmp_path / "store",
            prior=PriorChoice.NONE,
            executor=ExecutorChoice("tensorrt", "fp16"),
        )

    assert not gpu.kernels.modules
    opened().close()
    assert gpu.counts.get("cuModuleLoadData", 0) == int8
    gpu.fail["cuModuleLoadData"] = 222
    if not int8:
        opened().close()
        return
    with pytest.raises(ExecutorError, match="cuModuleLoadData failed") as caught:
        opened()
    assert "tilefix tiles encode --features float16" in caught.value.do
