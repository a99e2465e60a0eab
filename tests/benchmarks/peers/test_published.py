"""The published forward is that of the model, whole; what tilefix caches answers the same."""

from __future__ import annotations

import numpy as np
import pytest
from made_scene import write_scene

from benchmarks.peers import cached, published
from benchmarks.peers.scene import read_scene
from benchmarks.peers.way import PeerRequest

torch = pytest.importorskip("torch", reason="the extra train is not installed")


@pytest.fixture(scope="module")
def request_of(tmp_path_factory, tiny_bundle) -> PeerRequest:
    home = tmp_path_factory.mktemp("scene")
    scene = read_scene(write_scene(home, placed=True), tiny_bundle, 3, 0)
    return PeerRequest(scene, tiny_bundle, 3, 1, home)


@pytest.mark.parametrize(("name", "parameters"), [("detgeo", 73_795_164), ("ocgnet", 74_845_918)])
def test_every_published_layer_is_there(name, parameters):
    model = published.published(name)
    assert sum(value.numel() for value in model.parameters()) == parameters
    assert not model.options.fold_head and not model.training


def test_the_whole_forward_is_what_cached_features_answer(request_of):
    """One click in a window of 128 px, against `localize` of the unfolded model."""
    model = published.published("detgeo", 128)
    query = request_of.scene.queries[0]
    box, logit = published.torch_locate(model, model)(query)
    frame, click = published.fitted(query, (256, 256))
    assert frame.shape == (256, 256, 3)
    assert click[0] == pytest.approx(query.click_xy_px[0] * 256 / 96)
    window = torch.from_numpy(np.array(query.window.window.image)).permute(2, 0, 1).float()
    with torch.no_grad():
        features = {k: t[0] for k, t in model.encode_reference(window[None]).items()}
        wanted = model.localize(
            torch.from_numpy(frame).permute(2, 0, 1).float(), torch.from_numpy(click), features
        )
    assert torch.allclose(box, wanted.box_xyxy_px, atol=1e-3)
    assert torch.allclose(logit, wanted.confidence_logit, atol=1e-4)


def test_a_window_is_encoded_once(request_of, monkeypatch):
    small = published.published("ocgnet", 128)
    calls = []
    encode = small.encode_reference
    small.encode_reference = lambda image: calls.append(image.shape) or encode(image)
    monkeypatch.setattr(cached, "cached_model", lambda name: small)
    way = cached.eager(request_of, "ocgnet")
    query = request_of.scene.queries[0]
    answers = [way.locate(query.anew()) for _ in range(3)]
    assert calls == [(1, 3, 128, 128)]
    assert answers[0].box_xyxy_px.shape == (3, 4)
    assert torch.equal(answers[0].box_xyxy_px, answers[2].box_xyxy_px)
    assert not way.whole and way.predictor is None


@pytest.mark.slow
def test_the_exported_whole_answers_as_torch_does(request_of):
    """With few layers: an export costs seconds for each of them."""
    from small_backbones import shallow_backbones

    with shallow_backbones():
        published.export(request_of.folder, "detgeo", 128)
        model = published.published("detgeo", 128)
    way = published.onnx(request_of, "detgeo")
    query = request_of.scene.queries[1]
    box, logit = (np.asarray(each) for each in way.locate(query))
    wanted, confidence = published.torch_locate(model, model)(query)
    assert way.whole and "leaves out" in way.note
    assert np.abs(box - wanted.numpy()).max() < 0.05
    assert np.abs(logit - confidence.numpy()).max() < 1e-3
