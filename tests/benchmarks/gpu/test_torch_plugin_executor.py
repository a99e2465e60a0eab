import numpy as np
import pytest

from benchmarks.gpu.torch_plugin_executor import NAME, TorchPluginExecutor, offer
from edge.bundle import ENCODER, LOCALIZER, Bundle, shipped_bundle_path
from edge.errors import ClickError, ExecutorError
from edge.executors.base import EXECUTORS, open_executor
from edge.scoring import iou
from export.lite_graphs import lite_modules
from training.models import build


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(shipped_bundle_path())


@pytest.fixture(autouse=True)
def offered(monkeypatch):
    monkeypatch.setitem(EXECUTORS, NAME, "")  # undone after the test
    offer()


@pytest.fixture(scope="module")
def inputs(bundle):
    """A window of soft noise, and a frame cut out of it: clicks have a place to be found at."""
    random = np.random.default_rng(3)
    coarse = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    window = np.kron(coarse, np.ones((16, 16, 1), np.uint8))
    features = open_executor("onnxruntime", bundle, ENCODER).run({"image": window})
    clicks = random.uniform(40, 470, (5, 2)).astype(np.float32)
    return {"image": window}, {name: features[name] for name in ("v", "u")}, {
        "frame": np.ascontiguousarray(window[200:712, 300:812]),
        "frame_affine": np.eye(2, 3, dtype=np.float32),
        "click_xy_px": clicks,
        "prior_xy_px": clicks + np.float32([300, 200]),
        "prior_inv_var": np.full(5, 0.05, np.float32),
    }  # fmt: skip


def test_it_answers_as_onnx_runtime_does(bundle, inputs):
    _, features, frame = inputs
    found = {}
    for name in ("onnxruntime", NAME):
        executor = open_executor(name, bundle, LOCALIZER)
        executor.bind(features)
        found[name] = executor.run(frame)
    assert found[NAME].keys() == found["onnxruntime"].keys()
    for name, wanted in found["onnxruntime"].items():
        assert found[NAME][name].dtype == wanted.dtype
        np.testing.assert_allclose(found[NAME][name], wanted, rtol=1e-3, atol=2e-3)


def test_in_float16_the_boxes_stay():
    import torch

    torch.manual_seed(0)
    small = build("lite", frame_px=64, window_px=128, width=16, embedding=16, hidden=16)
    graph = lite_modules(small, "fp16")[1]
    random = np.random.default_rng(0)
    inputs = {
        spec.name: random.integers(0, 255, spec.shape, dtype=np.uint8)
        if spec.name == "frame"
        else random.uniform(0, 1, [4 if side == "N" else side for side in spec.shape]).astype(
            spec.dtype
        )
        for spec in TorchPluginExecutor(graph, "fp32").inputs
    }
    inputs |= {"click_xy_px": 40 * inputs["click_xy_px"], "prior_xy_px": 90 * inputs["prior_xy_px"]}
    found = [TorchPluginExecutor(graph, name).run(inputs) for name in ("fp32", "fp16")]
    assert {k: v.dtype for k, v in found[1].items()} == {k: v.dtype for k, v in found[0].items()}
    boxes = zip(*(each["box_xyxy_px"].tolist() for each in found), strict=True)
    assert min(iou(tuple(a), tuple(b)) for a, b in boxes) > 0.97
    assert not np.array_equal(found[0]["confidence_logit"], found[1]["confidence_logit"])


def test_its_encoder_makes_the_features_of_onnx_runtime(bundle, inputs):
    image, features, _ = inputs
    found = open_executor(NAME, bundle, ENCODER).run(image)
    assert set(found) == set(features)
    for name, wanted in features.items():
        assert found[name].dtype == np.float16 and found[name].shape == wanted.shape
        a, b = (x.astype(np.float64).ravel() for x in (found[name], wanted))
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.99999


def test_what_it_cannot_do_is_refused(bundle, inputs):
    _, features, frame = inputs
    with pytest.raises(ExecutorError, match="does not run in int8"):
        open_executor(NAME, bundle, LOCALIZER, "int8")
    executor = TorchPluginExecutor.open(bundle, LOCALIZER, "fp32", 1)
    with pytest.raises(ExecutorError, match="'v' is missing"):
        executor.run(frame)
    executor.bind(features)
    per_click = ("click_xy_px", "prior_xy_px", "prior_inv_var")
    with pytest.raises(ClickError, match="zero clicks"):
        executor.run({k: v[:0] if k in per_click else v for k, v in frame.items()})


def test_a_library_without_a_gpu_is_refused(tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ExecutorError, match="no GPU"):
        offer(tmp_path / "libtilefix_plugin.so")
