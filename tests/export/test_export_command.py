"""`tilefix export` as it is typed: what is wrong is said before its minutes of work."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from quick_weights import quick_random_weights
from torch import nn

from edge.bundle import MANIFEST_NAME
from edge.cli import tilefix
from edge.errors import CheckpointError, DataError, OutputError, UsageError
from export.graph_signature import GraphModule
from export.graph_writing import export_module
from export.plugin.heads import lite_head
from export.xfeat import export_xfeat
from training.checkpoints.weights import save_weights
from training.models import build

GRAPH = GraphModule(
    kind="localizer",
    module=nn.Identity(),
    inputs=("click_xy_px",),
    outputs=("same",),
    example=(torch.zeros(3, 2),),
)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> Path:
    """A lite.safetensors and one of another model."""
    folder = tmp_path_factory.mktemp("checkpoints")
    with quick_random_weights():
        for name in ("lite", "ocgnet"):
            save_weights(build(name), folder / f"{name}.safetensors", {"step": 1})
    return folder


@pytest.fixture
def refusal(checkpoints, tmp_path, monkeypatch):
    """`refusal(...)`: the error of an export of that lite, which must come before all work."""
    monkeypatch.setattr("export.xfeat.export_xfeat", lambda *_: pytest.fail("it began to work"))
    monkeypatch.setattr("export.bundle_maker.make_bundle", lambda *_, **__: pytest.fail("worked"))

    def call(*options: object, model: str = "lite.safetensors", out: object = None) -> Exception:
        words = ["export", "--checkpoint", checkpoints / model, "--out", out or tmp_path / "out"]
        done = CliRunner().invoke(tilefix, [str(word) for word in (*words, *options)])
        assert done.exception is not None, done.output
        return done.exception

    return call


def test_a_checkpoint_that_is_none(refusal, checkpoints, tmp_path):
    (checkpoints / "cut.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{")
    for name in ("cut.safetensors", "nowhere.safetensors"):
        error = refusal(model=name)
        assert isinstance(error, CheckpointError)
        assert error.what == f"{checkpoints / name} is not a checkpoint"


def test_places_that_no_bundle_can_be_written_to(refusal, tmp_path):
    error = refusal(out="/proc/bundle")
    assert isinstance(error, OutputError) and error.what == "nothing can be written into /proc"
    (tmp_path / "pictures").mkdir()
    error = refusal(out=tmp_path / "pictures")
    assert isinstance(error, OutputError)
    assert error.what == f"{tmp_path / 'pictures'} is already there, and is no bundle"
    assert error.found == "a folder without a manifest"
    (tmp_path / "file").touch()
    assert refusal(out=tmp_path / "file").found == "a file"
    (tmp_path / "pictures" / MANIFEST_NAME).touch()  # a bundle, perhaps a broken one: replaced
    assert isinstance(refusal("--gsd-m", 0, out=tmp_path / "pictures"), UsageError)


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_a_ground_size_that_is_none(refusal, value):
    error = refusal("--gsd-m", value)
    assert isinstance(error, UsageError) and error.what == "--gsd-m is no ground size"


def test_precisions_without_float32(refusal):
    error = refusal("--precision", "fp16")
    assert isinstance(error, UsageError) and error.what == "a bundle needs its float32 graphs"


def test_an_alignment_without_its_licence(refusal, tmp_path):
    graph = tmp_path / "xfeat.onnx"
    error = refusal("--alignment", graph)
    assert isinstance(error, UsageError) and error.found == f"no file {graph}"
    graph.touch()
    assert refusal("--alignment", graph).found == f"no file {tmp_path / 'LICENSE-xfeat.txt'}"


@pytest.mark.parametrize("alone", ["--fit-on", "--held-out"])
def test_one_set_of_samples_alone(refusal, tmp_path, alone):
    error = refusal(alone, tmp_path, "--gsd-m", 0, model="ocgnet.safetensors")
    assert isinstance(error, UsageError) and error.what == "acceptance needs two sets of samples"
    assert error.found == f"{alone} alone"


def test_samples_that_nothing_can_be_fitted_on(refusal, tmp_path):
    both = ("--fit-on", tmp_path, "--held-out", tmp_path)
    assert "together with --fit-on" in refusal(*both, "--no-alignment").found
    error = refusal(*both, model="ocgnet.safetensors")
    assert error.what == "no acceptance can be fitted for a ocgnet"
    error = refusal(*both)
    assert isinstance(error, DataError) and error.what == f"{tmp_path} holds no rendered samples"
    (tmp_path / "samples.jsonl").touch()
    error = refusal(*both)
    assert error.what == f"nothing says where the samples in {tmp_path} come from"


RECORDED = {  # of torch 2.13 in an export of lite
    "`isinstance(treespec, LeafSpec)` is deprecated, use `isinstance(treespec, TreeSpec) and "
    "treespec.is_leaf()` instead.": FutureWarning,
    "# The axis name: clicks will not be used, since it shares the same shape constraints with "
    "another axis: clicks.": UserWarning,
}


@pytest.mark.parametrize("export", [lambda: export_module(GRAPH, ()), lambda: export_xfeat("x")])
def test_torch_says_nothing_that_is_of_no_use(monkeypatch, recwarn, export):
    def warn(*_, **__):
        for text, category in {**RECORDED, "mind this": UserWarning}.items():
            warnings.warn(text, category, stacklevel=1)
        raise InterruptedError

    monkeypatch.setattr("torch.onnx.export", warn)
    monkeypatch.setattr("export.xfeat.load_network", lambda: nn.Identity())
    monkeypatch.setattr("export.xfeat.XFeatGraph", lambda *_: nn.Identity())
    warnings.simplefilter("always")
    with pytest.raises(InterruptedError):
        export()
    assert [str(each.message) for each in recwarn] == ["mind this"]


def test_a_head_is_read_without_a_warning():
    with quick_random_weights():
        model = build("lite")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lite_head(model)
