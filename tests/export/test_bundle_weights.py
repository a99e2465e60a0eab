"""The torch model that is rebuilt from the shipped bundle, against the bundle's own graphs."""

from __future__ import annotations

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from edge.bundle import ENCODER, LOCALIZER, Bundle, shipped_bundle_path
from edge.errors import BundleError
from export.bundle_weights import lite_from_bundle
from export.graph_writing import export_module
from export.graphs import graph_modules, torch_run
from export.model_taps import taps_of
from training.models.lite import Lite


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(shipped_bundle_path())


@pytest.fixture(scope="module")
def model(bundle) -> Lite:
    return lite_from_bundle(bundle)


def run(bundle: Bundle, kind: str, fed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(
        str(bundle.graph(kind)), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, fed), strict=True))


def patches(side: int, seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 255, (side // 16, side // 16, 3))
    return small.repeat(16, 0).repeat(16, 1).astype(np.uint8)


def test_answers_are_those_of_the_graphs(bundle, model) -> None:
    image = patches(1024, 0)
    features = run(bundle, ENCODER, {"image": image})
    outputs, _ = torch_run(model, {"image": torch.from_numpy(image)})
    for name, wanted in features.items():
        apart = np.abs(outputs[name].double().numpy() - wanted.astype(np.float64))
        step = np.spacing(np.abs(wanted).max())  # of float16
        assert apart.max() <= 2 * step, name
        assert (apart > 0).mean() < 0.01, name
    rng = np.random.default_rng(1)
    fed = {
        "frame": patches(512, 2),
        "frame_affine": np.float32([[0.5, 0, 0], [0, 0.5, 10]]),
        "click_xy_px": rng.uniform(0, 900, (9, 2)).astype(np.float32),
        **features,
        "prior_xy_px": rng.uniform(0, 1024, (9, 2)).astype(np.float32),
        "prior_inv_var": np.float32([0, 0, 0, 0.25, 0.01, 1e-4, 0, 0, 0]),
    }
    wanted = run(bundle, LOCALIZER, fed)
    outputs, _ = torch_run(model, {name: torch.from_numpy(value) for name, value in fed.items()})
    for name, value in wanted.items():
        scale = max(1.0, np.abs(value).max())
        assert np.abs(outputs[name].numpy() - value).max() < 2e-5 * scale, name


@pytest.mark.full_size
@pytest.mark.parametrize("kind", [ENCODER, LOCALIZER])
def test_a_new_export_has_the_nodes_and_constants_of_the_shipped_file(bundle, model, kind) -> None:
    """Stored features are named by the shipped file, so its structure is kept; taps rename."""
    taps = tuple(tap for tap in taps_of(model) if tap.graph == kind)
    ours = export_module(graph_modules(model)[kind], taps).graph
    shipped = onnx.load(bundle.graph(kind)).graph
    assert [n.op_type for n in ours.node] == [n.op_type for n in shipped.node]
    names = [
        {t.name: onnx.numpy_helper.to_array(t) for t in g.initializer} for g in (ours, shipped)
    ]
    assert names[0].keys() == names[1].keys()
    for name, value in names[1].items():
        np.testing.assert_allclose(names[0][name], value, rtol=1e-5, atol=1e-7, err_msg=name)


def test_another_model_is_refused(bundle) -> None:
    other = Bundle(bundle.path, msgspec.structs.replace(bundle.manifest, model="trogeo"))
    with pytest.raises(BundleError, match="it holds the model trogeo") as caught:
        lite_from_bundle(other)
    assert "--checkpoint" in caught.value.do


def test_a_graph_without_the_weights_is_refused(bundle) -> None:
    features = bundle.manifest.features[:1]
    other = Bundle(bundle.path, msgspec.structs.replace(bundle.manifest, features=features))
    with pytest.raises(BundleError, match="no torch model can be made"):
        lite_from_bundle(other)
