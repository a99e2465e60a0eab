"""The bundle inside the wheel: its size, its acceptance, and what float16 storage costs it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from edge.bundle import Bundle, shipped_bundle_path
from edge.commands import demo
from edge.frames import open_source
from edge.letterbox import letterbox
from edge.localizer import Localizer
from edge.tiles import open_map
from edge.types import Prior, PriorSource

FLIGHT = Path(demo.__file__).parent.parent / "demo_data" / "flight"
TYPES = {np.float16: onnx.TensorProto.FLOAT16, np.float32: onnx.TensorProto.FLOAT}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(shipped_bundle_path())


def test_weighs_at_most_25_mb(bundle) -> None:
    size = sum((bundle.path / name).stat().st_size for name in bundle.manifest.files)
    assert size <= 25e6


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_every_graph_names_the_weights_beside_it(bundle, precision) -> None:
    for kind in ("reference_encoder", "localizer"):
        stored = onnx.load(bundle.graph(kind, precision), load_external_data=False)
        named = {entry.key: entry.value for entry in stored.metadata_props}
        sha256 = bundle.manifest.files[f"graphs/{precision}/weights.bin"]
        assert named == {"tilefix.weights_sha256": sha256}
        assert any(tensor.external_data for tensor in stored.graph.initializer)


def test_no_graph_says_on_which_machine_it_was_made(bundle) -> None:
    graphs = [name for name in bundle.manifest.files if name.endswith(".onnx")]
    assert "alignment/xfeat.onnx" in graphs and len(graphs) >= 5
    for name in graphs:
        graph = onnx.load(bundle.path / name, load_external_data=False).graph
        assert not graph.metadata_props, name
        for part in (*graph.node, *graph.value_info, *graph.input, *graph.output):
            assert not part.metadata_props and not part.doc_string, (name, part.name)


def test_acceptance_was_fitted(bundle) -> None:
    spec = bundle.manifest.acceptance
    weights = dict(zip(spec.features, spec.weights, strict=True))
    assert weights["log1p_inliers"] != 0
    assert weights["confidence_logit"] > 0
    assert spec.wrong_rate_held_out <= spec.wrong_rate_target
    assert spec.expected_calibration_error < 0.1
    assert "seed" in spec.fitted_on


def test_says_where_it_comes_from(bundle) -> None:
    assert "Apache-2.0" in bundle.manifest.licence
    assert "OpenStreetMap" in bundle.manifest.origin
    assert {"validation", "rendered_held_out"} <= bundle.manifest.scores.keys()


def in_float32(path: Path, names: tuple[str, ...]) -> onnxruntime.InferenceSession:
    """The graph with its float16 inputs or outputs of these names turned to float32."""
    graph = onnx.load(path)
    for value in (*graph.graph.input, *graph.graph.output):
        if value.name in names:
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    for node in graph.graph.node:
        if node.op_type == "Cast" and set(node.output) & set(names):
            node.attribute[0].i = onnx.TensorProto.FLOAT
    del graph.graph.value_info[:]
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def test_stored_float16_features_give_the_boxes_of_both_branches_in_float32(bundle) -> None:
    """Cached and rounded, against both branches run afresh in float32 throughout, on the flight."""
    with contextlib.closing(open_map(FLIGHT / "map.mbtiles")) as tiles:
        grid = tiles.grid(bundle.manifest.window.gsd_m)
        left, top, right, bottom = grid.extent_px
        place = int((left + right) / 2) - 512, int((top + bottom) / 2) - 512
        window = grid.read(*place, 1024, 1024)
    encoder, localizer = (bundle.graph(k) for k in ("reference_encoder", "localizer"))
    plain = [
        onnxruntime.InferenceSession(str(p), providers=["CPUExecutionProvider"])
        for p in (encoder, localizer)
    ]
    exact = [in_float32(p, ("v", "u")) for p in (encoder, localizer)]
    features = [e.run(["v", "u"], {"image": window.image}) for e in (plain[0], exact[0])]
    size = bundle.manifest.frame
    moved = []
    for frame in list(open_source(str(FLIGHT / "frames")))[:6]:
        fitted = letterbox(frame.image, size.width_px, size.height_px)
        xy = np.random.default_rng(frame.index).uniform(40, 440, (8, 2)).astype(np.float32)
        found = []
        for (_, locate), (v, u) in zip((plain, exact), features, strict=True):
            fed = {"frame": fitted.image, "frame_affine": fitted.affine, "click_xy_px": xy}
            fed |= {"v": v, "u": u, "prior_xy_px": np.zeros((8, 2), np.float32)}
            fed["prior_inv_var"] = np.zeros(8, np.float32)
            found.append(locate.run(["box_xyxy_px"], fed)[0])
        moved.append(np.abs(found[0] - found[1]).max(1))
    apart = np.concatenate(moved)
    # where two cells nearly tie, rounding may choose the other one
    assert (apart < 16).mean() >= 0.95, apart
    assert np.median(apart) < 1e-2, apart


def test_the_shortlist_never_misses_the_winner_that_numpy_finds_in_all_cells(bundle) -> None:
    """The graph ranks cells by a secant; the reference executor evaluates every one of them."""
    with contextlib.closing(open_map(FLIGHT / "map.mbtiles")) as tiles:
        grid = tiles.grid(bundle.manifest.window.gsd_m)
        left, top, right, bottom = grid.extent_px
        place = int((left + right) / 2) - 512, int((top + bottom) / 2) - 512
        window = grid.read(*place, 1024, 1024)
    graph, numpy_one = (Localizer.open(bundle, e) for e in ("onnxruntime", "reference"))
    feature = graph.encode(window)
    rng = np.random.default_rng(7)
    for frame in list(open_source(str(FLIGHT / "frames")))[::6]:
        clicks = rng.uniform(20, 460, (16, 2)).astype(np.float32)
        at = rng.uniform(50, 970, (16, 2)).astype(np.float32)
        wide = np.repeat(np.float32([0, 1 / 4, 1 / 100, 1 / 2500]), 4)
        prior = Prior(at, wide, PriorSource.ALIGNMENT)
        ours, theirs = (
            each.locate(frame.image, clicks, feature, prior) for each in (graph, numpy_one)
        )
        np.testing.assert_allclose(ours.confidence_logit, theirs.confidence_logit, atol=1e-3)
        np.testing.assert_allclose(ours.box_xyxy_px, theirs.box_xyxy_px, atol=1e-2)
