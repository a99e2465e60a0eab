"""Bundles of models other than the shipped one: written, opened, and located with."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from small_backbones import OPTIONS, shallow_backbones

from edge.bundle import LOCALIZER, Bundle
from edge.cli import tilefix
from edge.errors import BundleError, UsageError
from edge.localizer import Localizer
from edge.types import Click, Frame, FramePose, ReferenceWindow, Verdict
from export.added_precision import add_precisions
from export.bundle_manifest import manifest_of
from export.bundle_weights import lite_from_bundle
from export.published_bundle import random_bundle
from export.shared_weights import whole_graph
from training.checkpoints.weights import save_weights
from training.models import build

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ocgnet(tmp_path_factory) -> Bundle:
    """Through the command, from a checkpoint."""
    folder = tmp_path_factory.mktemp("ocgnet")
    with shallow_backbones():
        model = build("ocgnet", sigma=0.075, **OPTIONS)
        save_weights(model, folder / "weights.safetensors", {})
        arguments = ["export", "--checkpoint", folder / "weights.safetensors", "--no-alignment"]
        arguments += ["--gsd-m", "0.5", "--out", folder / "bundle"]
        found = CliRunner().invoke(tilefix, [str(a) for a in arguments])
    assert found.exception is None, found.output
    assert "fp16, fp32" in found.output
    assert "this bundle accepts no fix" in found.output
    return Bundle.open(folder / "bundle")


def window(side: int, seed: int = 0) -> ReferenceWindow:
    image = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    return ReferenceWindow(image, np.ones((side, side), bool), None, "w", "made here")


@pytest.mark.full_size
def test_the_manifest_says_what_the_model_is(ocgnet) -> None:
    manifest = ocgnet.manifest
    assert (manifest.name, manifest.model) == ("ocgnet", "ocgnet")
    assert (manifest.frame.width_px, manifest.frame.height_px) == (128, 64)
    assert (manifest.window.width_px, manifest.window.gsd_m) == (256, 0.5)
    assert (manifest.click.encoding, manifest.click.drawn_sigma) == ("gaussian", 0.075)
    assert (manifest.head.stride_px, manifest.head.similarity) == (16, "cosine")
    assert manifest.head.anchors_wh_px[0] == (550.0, 573.0)
    assert [f.name for f in manifest.features][:2] == ["v", "u"]
    assert manifest.features[0].shape == (512, 16, 16)
    assert "nothing" in manifest.acceptance.fitted_on


@pytest.mark.full_size
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_localizer_opens_it_and_accepts_nothing(ocgnet, precision) -> None:
    localizer = Localizer.open(ocgnet, precision=precision)
    feature = localizer.encode(window(256))
    frame = Frame(np.full((300, 600, 3), 90, np.uint8), 0, 0.0, "made here", FramePose())
    clicks = [Click("a", 40.0, 50.0), Click("b", 500.0, 200.0)]
    fixes = localizer.localize(frame, clicks, feature)
    assert [fix.click_id for fix in fixes] == ["a", "b"]
    assert {fix.verdict for fix in fixes} == {Verdict.NOT_HERE}
    assert all(np.isfinite(fix.box_xyxy_px).all() for fix in fixes)


@pytest.mark.full_size
def test_the_reference_executor_needs_a_lite(ocgnet) -> None:
    with pytest.raises(BundleError, match=re.escape("has no file graphs/fp32/head.npz")):
        Localizer.open(ocgnet, "reference")


@pytest.mark.full_size
def test_precisions_are_added_to_a_lite_alone(ocgnet, tmp_path) -> None:
    with pytest.raises(BundleError, match="it holds the model ocgnet"):
        lite_from_bundle(ocgnet)
    with pytest.raises(UsageError, match="nothing to add"):
        add_precisions(ocgnet.path, tmp_path / "more", ["fp16"])


@pytest.mark.parametrize(
    ("name", "options", "encoding", "similarity"),
    [
        ("detgeo", {}, ("squared-distance", None), "cosine"),
        ("mogeo", {}, ("impulse", None), "cosine"),
        ("mogeo", {"neighbourhood": "fixed"}, ("impulse with neighbourhood", None), "cosine"),
        ("mogeo", {"mope": False, "click_encoding": "hybrid"}, ("hybrid", 0.02), "cosine"),
        ("attengeo", {}, ("squared-distance", None), "confidence"),
        ("trogeo", {}, ("squared-distance", None), "confidence"),
        ("detgeo_ported", {}, ("squared-distance", None), "confidence"),
        ("detgeo_ported", {"cvcam": False, "mhsam": True}, ("squared-distance", None), "cosine"),
    ],
)
def test_manifests_of_all_models(name, options, encoding, similarity) -> None:
    with shallow_backbones():
        model = build(name, **{**OPTIONS, **options})
        manifest = manifest_of(model, "x", "1", "made here", 0.25)
    assert (manifest.click.encoding, manifest.click.drawn_sigma) == encoding
    assert manifest.head.similarity == similarity
    assert manifest.click.sigma_px == pytest.approx(3 * 64 / 512)


SMALL = {"frame_px": 64, "window_px": 128, "reference_depth": 1, "query_depth": 1}
SMALL["backbone"] = "xfeat"  # which exports soonest


def test_a_random_bundle_is_written_of_the_model_of_its_seed(tmp_path, monkeypatch) -> None:
    written = []
    monkeypatch.setattr("export.published_bundle.write_model", lambda *given: written.append(given))
    random_bundle("lite", tmp_path / "made", SMALL, ("fp32",), seed=5)
    ((model, manifest, files, folder, precisions),) = written
    assert (files, folder, precisions) == ({}, tmp_path / "made", ("fp32",))
    assert "random weights of seed 5" in manifest.origin and not model.training
    torch.manual_seed(5)
    wanted = build("lite", **SMALL).state_dict()
    found = model.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())


@pytest.mark.full_size
def test_a_random_bundle_holds_the_weights_of_its_seed(tmp_path) -> None:
    made = random_bundle("lite", tmp_path / "made", SMALL, ("fp32",), seed=5)
    assert "random weights of seed 5" in made.manifest.origin
    torch.manual_seed(5)
    wanted = build("lite", **SMALL).query_embedding.weight
    weights = {t.name: t for t in whole_graph(made.graph(LOCALIZER)).graph.initializer}
    found = onnx.numpy_helper.to_array(weights["model.query_embedding.weight"])
    np.testing.assert_array_equal(found, wanted.detach().numpy())


def invoke(*arguments: object) -> UsageError:
    found = CliRunner().invoke(tilefix, ["export", *map(str, arguments)])
    assert isinstance(found.exception, UsageError), found.output
    return found.exception


def test_wrong_use_is_refused(tmp_path) -> None:
    out = "--out", tmp_path / "out"
    assert "not clear what to export" in str(invoke(*out))
    both = "--checkpoint", "a", "--from-bundle", "b"
    assert "both" in str(invoke(*both, *out))
    assert "--name means nothing" in str(invoke("--from-bundle", "b", "--name", "n", *out))
    only = "--checkpoint", "a", "--precision", "fp16", "--no-alignment"
    assert "needs its float32 graphs" in str(invoke(*only, *out))
